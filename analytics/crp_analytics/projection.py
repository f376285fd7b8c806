"""The projection: facts of the journal as rows in DuckDB.

What must stay true: the rows of a fact and its position in the journal are committed in one
transaction, so a fact is in the tables once or not at all; the same facts give the same rows,
whatever the batches in which they were applied.

Rows are written with DuckDB's Appender (row by row with `executemany` is 100 times slower).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from crp_analytics.facts import CurationFact, Noted, ScoreFact, from_entry, scored_by
from crp_analytics.job_rows import Row
from crp_analytics.journal import Journal
from crp_analytics.rows import CONTENT_ADDRESSED, Rows, merged, rows_of
from crp_analytics.schema import transaction
from crp_analytics.text import utc

_log = logging.getLogger(__name__)

BATCH = 100
"""Facts per transaction when a store catches up."""


def position(connection: DuckDBPyConnection) -> int:
    """Say which journal entry is the last one in the tables."""
    return int(connection.execute("SELECT sequence FROM journal_position").fetchall()[0][0])


def catch_up(connection: DuckDBPyConnection, journal: Journal) -> int:
    """Apply what the journal knows and the tables do not; give how many facts that were."""
    entries = journal.read(after=position(connection))
    count = 0
    while batch := [from_entry(entry) for entry in islice(entries, BATCH)]:
        apply_or_skip(connection, batch)
        count += len(batch)
    return count


def apply(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
    """Put facts into the tables, all or none of them."""
    rows = merged(rows_of(noted) for noted in batch)
    with transaction(connection):
        _only_new(connection, rows)
        for table, more in rows.items():
            _append(connection, table, more)
        for noted in batch:
            _change_traces(connection, noted)
        connection.execute(MOVE, [batch[-1].sequence])


def apply_or_skip(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
    """Put facts into the tables; one that can not be mapped must not stop the others for ever.

    It stays in the journal, so a version that can map it finds it at the next rebuild.
    """
    try:
        apply(connection, batch)
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError):
        raise  # the disk, not the fact
    except Exception:
        if len(batch) == 1:
            _log.exception("fact %d of the journal is not in the tables", batch[0].sequence)
            connection.execute(MOVE, [batch[0].sequence])
            return
        for noted in batch:
            apply_or_skip(connection, [noted])


def _append(connection: DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    if not rows:
        return
    with connection.appender(table, columns=list(rows[0])) as appender:
        appender.append_rows(tuple(row.values()) for row in rows)


def _only_new(connection: DuckDBPyConnection, rows: Rows) -> None:
    for table, key in CONTENT_ADDRESSED.items():
        keys = [row[key] for row in rows[table]]
        if keys:
            query = f"SELECT {key} FROM {table} WHERE {key} IN (SELECT unnest(?))"
            known = {found for (found,) in connection.execute(query, [keys]).fetchall()}
            rows[table] = [row for row in rows[table] if row[key] not in known]
    rows["prices"] = _changed_prices(connection, rows.get("prices", []))


def _changed_prices(connection: DuckDBPyConnection, rows: Iterable[Row]) -> list[Row]:
    """A job repeats the prices of its models: only a change makes a row."""
    if not (rows := list(rows)):
        return []
    last: dict[Any, Any] = {
        tuple(found[:2]): tuple(found[2:]) for found in connection.execute(PRICES).fetchall()
    }
    changed = []
    for row in rows:
        model, price = (
            (row["model_name"], row["provider"]),
            (row["input_price"], row["output_price"]),
        )
        if last.get(model) != price:
            last[model] = price
            changed.append(row)
    return changed


def _change_traces(connection: DuckDBPyConnection, noted: Noted) -> None:
    """The two things that change a library entry: curation retires it, a person scores its job."""
    fact = noted.fact
    if isinstance(fact, CurationFact):
        ids = [retired.trace_id for retired in fact.retired]
        reasons = [f"{retired.reason}: {retired.detail}" for retired in fact.retired]
        connection.execute(RETIRE, [utc(noted.at), ids, reasons])
    elif isinstance(fact, ScoreFact) and scored_by(fact.by) == "person":
        connection.execute(PERSON_SCORE, [fact.value, fact.job_id])


MOVE = "UPDATE journal_position SET sequence = ?"

PRICES = """
SELECT model_name, provider, last(input_price ORDER BY journal_sequence, rowid),
       last(output_price ORDER BY journal_sequence, rowid)
FROM prices GROUP BY ALL
"""

RETIRE = """
UPDATE traces SET status = 'retired', status_reason = gone.reason, status_at = ?
FROM (SELECT unnest(?::VARCHAR[]) AS trace_id, unnest(?::VARCHAR[]) AS reason) AS gone
WHERE traces.trace_id = gone.trace_id
"""

PERSON_SCORE = "UPDATE traces SET quality_score = ? WHERE job_id = ?"
