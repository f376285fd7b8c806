"""The projection: facts of the journal as rows in DuckDB.

What must stay true: the rows of a fact and its position in the journal are committed in one
transaction, so a fact is in the tables once or not at all; the same facts give the same rows,
whatever the batches in which they were applied.

Rows that Python makes are written with DuckDB's Appender (row by row with `executemany` is 100
times slower); the lists of a job, nearly all of its rows, DuckDB makes from JSON.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from duckdb import DuckDBPyConnection

from crp_analytics import forgetting, list_rows, skipping
from crp_analytics.facts import (
    CurationFact,
    ForgetFact,
    ForgottenFact,
    JobFact,
    MoveFact,
    Noted,
    RetrievalFact,
    ScoreFact,
    document,
    scored_by,
)
from crp_analytics.job_rows import Row
from crp_analytics.journal import Entry, Journal
from crp_analytics.rows import CONTENT_ADDRESSED, Rows, merged, rows_of
from crp_analytics.schema import transaction
from crp_analytics.text import forgotten_name, utc

_log = logging.getLogger(__name__)

BATCH = 400
"""Facts per transaction: each table costs some milliseconds a batch, however few its rows."""


def position(connection: DuckDBPyConnection) -> int:
    """Say which journal entry is the last one in the tables."""
    return int(connection.execute("SELECT sequence FROM journal_position").fetchall()[0][0])


def catch_up(
    connection: DuckDBPyConnection,
    journal: Journal,
    progress: Callable[[int], None] = lambda sequence: None,
) -> int:
    """Apply what the journal knows and the tables do not; give how many facts that were.

    `progress` is told the number of the last one after each batch.
    """
    entries = journal.read(after=position(connection))
    count, once = 0, _Once(connection)
    with no_collection():
        while batch := [once(_read(entry)) for entry in islice(entries, BATCH)]:
            apply_or_skip(connection, batch)
            count += len(batch)
            progress(batch[-1].sequence)
    return count


def apply(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
    """Put facts into the tables, all or none of them."""
    with no_collection(), transaction(connection):
        for run in _runs(batch):
            rows = merged(rows_of(noted) for noted in run)
            _only_new(connection, rows)
            for table, more in rows.items():
                _append(connection, table, more)
            if jobs := [document(noted) for noted in run if isinstance(noted.fact, JobFact)]:
                list_rows.insert(connection, jobs)
            _change_rows(connection, run[-1])
        connection.execute(MOVE, [batch[-1].sequence])


def apply_or_skip(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
    """Put facts into the tables; one that can not be mapped must not stop the others for ever.

    It stays in the journal, and a row of `skipped` says so (see `skipping`).
    """
    try:
        apply(connection, batch)
    except Exception as error:
        if not skipping.is_facts_fault(error):
            raise
        if len(batch) == 1:
            _log.exception("fact %d of the journal is not in the tables", batch[0].sequence)
            apply(connection, [skipping.skipped(batch[0], error)])
            return
        half = len(batch) // 2
        apply_or_skip(connection, batch[:half])
        apply_or_skip(connection, batch[half:])


@contextmanager
def no_collection() -> Iterator[None]:
    """Make many objects that hold no cycles: Python's collector would look through all in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(entry: Entry) -> Noted:
    noted = skipping.read(entry)
    if skipping.was_skipped(noted) and entry.kind != ForgottenFact.kind:
        _log.error("entry %d of the journal can not be read: it is skipped", entry.sequence)
    return noted


class _Once:
    """Lets each job and each retrieval through once.

    The journal may have one twice when the tables could not take the first at its time.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._seen: dict[str, set[str]] = {}

    def __call__(self, noted: Noted) -> Noted:
        fact = noted.fact
        if isinstance(fact, JobFact):
            known, job_id = self._known("jobs"), fact.record.job.job_id
        elif isinstance(fact, RetrievalFact):
            known, job_id = self._known("retrieval_runs"), fact.job_id
        else:
            return noted
        if job_id in known or forgotten_name(job_id) in known:
            return noted._replace(fact=ForgottenFact(rows={}))
        known.add(job_id)
        return noted

    def _known(self, table: str) -> set[str]:
        if table not in self._seen:
            found = self._connection.execute(f"SELECT job_id FROM {table}").fetchall()
            self._seen[table] = {job_id for (job_id,) in found}
        return self._seen[table]


def _runs(batch: Iterable[Noted]) -> Iterator[list[Noted]]:
    """Cut a batch after each fact that changes rows: later facts have not added theirs then."""
    run: list[Noted] = []
    for noted in batch:
        run.append(noted)
        if isinstance(noted.fact, CHANGING):
            yield run
            run = []
    if run:
        yield run


def _append(connection: DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    alike: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        alike.setdefault(tuple(row), []).append(tuple(row.values()))
    for columns, more in alike.items():
        with connection.appender(table, columns=list(columns)) as appender:
            appender.append_rows(more)


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


def _change_rows(connection: DuckDBPyConnection, noted: Noted) -> None:
    """What changes a library entry: curation retires it, a person moves it or scores its job.

    And what changes everything about a job: it is forgotten.
    """
    fact = noted.fact
    if isinstance(fact, CurationFact):
        ids = [retired.trace_id for retired in fact.retired]
        reasons = [f"{retired.reason}: {retired.detail}" for retired in fact.retired]
        connection.execute(RETIRE, [utc(noted.at), noted.sequence, noted.sequence, ids, reasons])
    elif isinstance(fact, MoveFact):
        for move in fact.moves:
            values = [
                move.status,
                move.why,
                utc(noted.at),
                noted.sequence,
                fact.held,
                noted.sequence,
            ]
            connection.execute(MOVE_TRACE, [*values, move.trace_id])
    elif isinstance(fact, ScoreFact) and scored_by(fact.by) == "person":
        connection.execute(PERSON_SCORE, [fact.value, noted.sequence, fact.job_id])
    elif isinstance(fact, ForgetFact):
        forgetting.apply(connection, noted, fact, _append)


CHANGING = (CurationFact, MoveFact, ScoreFact, ForgetFact)


MOVE = "UPDATE journal_position SET sequence = ?"

PRICES = """
SELECT model_name, provider, last(input_price ORDER BY journal_sequence, rowid),
       last(output_price ORDER BY journal_sequence, rowid)
FROM prices GROUP BY ALL
"""

RETIRE = """
UPDATE traces
SET status = 'retired', status_reason = gone.reason, status_at = ?, status_sequence = ?,
    held = NULL, changed_sequence = ?
FROM (SELECT unnest(?::VARCHAR[]) AS trace_id, unnest(?::VARCHAR[]) AS reason) AS gone
WHERE traces.trace_id = gone.trace_id
"""

MOVE_TRACE = """
UPDATE traces
SET status = ?, status_reason = ?, status_at = ?, status_sequence = ?, held = ?,
    changed_sequence = ?
WHERE trace_id = ?
"""

PERSON_SCORE = "UPDATE traces SET quality_score = ?, changed_sequence = ? WHERE job_id = ?"
