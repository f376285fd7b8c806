"""Forgetting a job: its texts leave the tables and the journal for good, its numbers stay.

`ForgetFact` says that it happened and is applied like every fact; `changes` tells the journal
which of its entries have to be written anew. Touches what it is given and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Sequence
from typing import Any

from duckdb import DuckDBPyConnection

from crp.errors import NotFound
from crp.models import JobRecord
from crp_analytics import skipping
from crp_analytics.blanking import WITH_TEXTS, Names, blanked, mention, without_entries
from crp_analytics.entries import Piece
from crp_analytics.facts import (
    ForgetFact,
    ForgottenFact,
    JobFact,
    MoveFact,
    Noted,
    ScoreFact,
    TraceFact,
)
from crp_analytics.journal import Change, encode
from crp_analytics.library import Library
from crp_analytics.rows import Rows, every_row_of
from crp_analytics.text import forgotten_name, name_of, sha256, utc

Append = Callable[[DuckDBPyConnection, str, list[dict[str, Any]]], None]


def decide(
    connection: DuckDBPyConnection, job_id: str, since: Sequence[JobFact] = ()
) -> ForgetFact:
    """Say what has to go for a job to be forgotten. NotFound when it is not recorded.

    The tables do not have `since` yet: what these jobs name stays theirs, what they quote goes.
    """
    if not _column(connection, RECORDED, [job_id, forgotten_name(job_id)]):
        raise NotFound(f"no job {job_id!r} in the trace store")
    traces = _column(connection, ENTRIES, [job_id])
    own = {*_column(connection, OWN_BLOBS, [job_id])}.difference(*map(_named, since))
    quoting = {*_column(connection, QUOTING, [traces])}
    for fact in since:
        quoting |= {sha256(text) for text in _quoting(fact.record, traces)}
    return ForgetFact(
        job=sha256(job_id),
        traces=tuple(sorted(sha256(trace_id) for trace_id in traces)),
        blobs=tuple(sorted(own | quoting)),
    )


def without_forgotten(record: JobRecord, library: Library) -> JobRecord:
    """Give a record without what it quotes of entries that were forgotten while its job ran."""
    seen = record.retrieved
    names = library.forgotten(
        {*(e.trace.trace_id for e in seen.examples), *(o.trace_id for o in seen.offers)}
    )
    if not names:
        return record
    quoting = _quoting(record, names)
    body = without_entries(record.model_dump(mode="json"), names)
    body["blobs"] = {key: text for key, text in record.blobs.items() if text not in quoting}
    return JobRecord.model_validate(body)


def rename(connection: DuckDBPyConnection, names: Names) -> None:
    """Call jobs and entries by their new names, in every table."""
    for old, new in names.items():
        _rename(connection, old, new)


def names_of(connection: DuckDBPyConnection, fact: ForgetFact) -> dict[str, str]:
    """Give the new names of what is still called by its old one in the tables."""
    jobs = _column(connection, OLD_JOB, [fact.job])
    traces = _column(connection, OLD_ENTRIES, [list(fact.traces)])
    return {old: forgotten_name(old) for old in [*jobs, *traces]}


def apply(connection: DuckDBPyConnection, noted: Noted, fact: ForgetFact, append: Append) -> None:
    """Take the texts out of the tables. Done again, it changes nothing."""
    names = names_of(connection, fact)
    job = name_of(fact.job)
    rename(connection, names)
    rows = {
        table: _rows(connection, f"SELECT * FROM {table} WHERE job_id = ?", [job])
        for table in WITH_TEXTS
        if table != "traces"
    }
    for table, more in blanked(rows, {}).items():
        connection.execute(f"DELETE FROM {table} WHERE job_id = ?", [job])
        append(connection, table, more)
    traces = [name_of(digest) for digest in fact.traces]
    connection.execute(WORDS, [traces])
    connection.execute(WHYS, [traces])
    connection.execute(TRACES, [utc(noted.at), noted.sequence, traces])
    connection.execute(BLOBS, [list(fact.blobs)])
    connection.execute(OTHERS_BLOBS, [job])
    connection.execute(REASON, [job])


def changes(names: Names, removed: frozenset[str], sequence: int) -> Change:
    """Give what the journal has to write anew: entries that hold the ids or the removed texts.

    A text that came back after it was forgotten, which is entry `sequence`, is somebody else's.
    """
    needles = [json.dumps(text)[1:-1].encode() for text in (*names, *removed)]

    def change(piece: Piece) -> tuple[str, str] | None:
        if not any(needle in piece.line for needle in needles):
            return None
        noted = skipping.read(piece.entry())
        fact = noted.fact
        if isinstance(fact, ForgetFact):
            return None
        if _is_own(noted, names) or skipping.was_skipped(noted):
            rows = blanked(_own_rows(noted, names), names)
            body: Any = ForgottenFact(rows=rows).model_dump(mode="json")
            return ForgottenFact.kind, encode(ForgottenFact.kind, body)
        body = without_entries(fact.model_dump(mode="json"), names)
        if isinstance(fact, ScoreFact) and fact.job_id in names:
            body["note"] = ""
        if isinstance(fact, MoveFact):
            for move, said in zip(fact.moves, body["moves"], strict=True):
                said["why"] = "" if move.trace_id in names else said["why"]
        if isinstance(fact, JobFact) and noted.sequence < sequence:
            blobs = body["record"]["blobs"]
            gone = [key for key, text in blobs.items() if {key, sha256(text)} & removed]
            body["record"]["blobs"] = {k: v for k, v in blobs.items() if k not in gone}
        return fact.kind, encode(fact.kind, body)

    return change


def _own_rows(noted: Noted, names: Names) -> Rows:
    """The rows of a fact; of one that can not be read or mapped, the one that says so."""
    if skipping.was_skipped(noted):
        return skipping.forgiven(noted, names)
    try:
        return every_row_of(noted)
    except Exception as error:
        if not skipping.is_facts_fault(error):
            raise
        return skipping.rows_of(noted, None)


def _is_own(noted: Noted, names: Names) -> bool:
    fact = noted.fact
    if isinstance(fact, JobFact):
        return fact.record.job.job_id in names
    if isinstance(fact, TraceFact):
        return bool({fact.trace.trace_id, fact.job_id} & names.keys())
    return False


def _named(fact: JobFact) -> set[str]:
    """The texts that a job has, by their sha256."""
    rows = _own_rows(Noted(0, fact.record.finished_at, fact), {})
    columns = (item for more in rows.values() for row in more for item in row.items())
    return {value for column, value in columns if column.endswith("sha256") and value}


def _quoting(record: JobRecord, traces: Container[str]) -> set[str]:
    """The texts of a job that quote these library entries, as QUOTING says it."""
    shown = [e.trace.task_summary for e in record.retrieved.examples if e.trace.trace_id in traces]
    theirs = [words for words in shown if words and words not in record.job.task.text]
    return {text for text in record.blobs.values() if any(words in text for words in theirs)}


def _rename(connection: DuckDBPyConnection, old: str, new: str) -> None:
    for table, column in connection.execute(ID_COLUMNS).fetchall():
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [new, old])
    for table, column in MENTIONS:
        connection.execute(
            f"UPDATE {table} SET {column} = regexp_replace({column}, $2, $3, 'g')"
            f" WHERE contains({column}, $1)",
            [old, mention(old), rf"\1{new}\2"],
        )


def _rows(connection: DuckDBPyConnection, query: str, values: list[Any]) -> list[dict[str, Any]]:
    found = connection.execute(query, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _column(connection: DuckDBPyConnection, query: str, values: list[Any]) -> list[Any]:
    return [value for (value,) in connection.execute(query, values).fetchall()]


ID_COLUMNS = """
SELECT table_name, column_name
FROM duckdb_columns() AS c JOIN duckdb_tables() AS t USING (database_name, table_name)
WHERE column_name IN ('job_id', 'trace_id') AND NOT c.internal ORDER BY ALL
"""

MENTIONS = (("jobs", "stored_reason"), ("events", "body"), ("traces", "status_reason"))
"""Where the id of a job or an entry stands in the words about another one."""

RECORDED = """
SELECT 1 FROM jobs WHERE job_id = $1
UNION ALL SELECT 1 FROM skipped WHERE kind = 'job' AND job_id IN ($1, $2) LIMIT 1
"""

OLD_JOB = """
SELECT job_id FROM (SELECT job_id FROM jobs UNION SELECT job_id FROM skipped)
WHERE sha256(job_id) = ?
"""

REASON = "UPDATE skipped SET reason = NULL WHERE job_id = ?"

ENTRIES = """
SELECT trace_id FROM traces WHERE job_id = $1 OR trace_id = $1
UNION SELECT trace_id FROM jobs WHERE job_id = $1 AND trace_id IS NOT NULL
"""

OLD_ENTRIES = """
SELECT trace_id FROM (SELECT trace_id FROM traces UNION SELECT trace_id FROM jobs)
WHERE list_contains(?::VARCHAR[], sha256(trace_id))
"""

_NAMED = """
    SELECT job_id, task_sha256 AS sha256 FROM jobs
    UNION SELECT job_id, answer_sha256 FROM jobs
    UNION SELECT job_id, output_sha256 FROM steps
    UNION SELECT job_id, output_sha256 FROM attempts
    UNION SELECT job_id, prompt_sha256 FROM attempts
    UNION SELECT job_id, raw_sha256 FROM attempts
"""

OWN_BLOBS = f"""
WITH named AS ({_NAMED}), brought AS (
    SELECT sha256 FROM blobs
    WHERE journal_sequence IN (SELECT journal_sequence FROM jobs WHERE job_id = $1)
)
SELECT sha256 FROM named WHERE job_id = $1 AND sha256 IS NOT NULL
UNION SELECT sha256 FROM brought
EXCEPT SELECT sha256 FROM named WHERE job_id <> $1 AND sha256 IS NOT NULL
"""

# A job that asks the same has these words in its prompts by itself: its own texts stay.
QUOTING = """
SELECT DISTINCT b.sha256
FROM traces AS t
JOIN retrievals AS r ON r.trace_id = t.trace_id AND r.shown
JOIN jobs AS j ON j.job_id = r.job_id
JOIN attempts AS a ON a.job_id = r.job_id
JOIN blobs AS b ON b.sha256 = a.prompt_sha256
WHERE t.trace_id IN (SELECT unnest(?::VARCHAR[])) AND t.task_summary <> ''
    AND contains(b.body, t.task_summary) AND NOT contains(j.task, t.task_summary)
"""

WORDS = """
DELETE FROM trace_words WHERE journal_sequence IN (
    SELECT journal_sequence FROM traces WHERE trace_id IN (SELECT unnest(?::VARCHAR[]))
)
"""

WHYS = "UPDATE trace_moves SET why = '' WHERE trace_id IN (SELECT unnest(?::VARCHAR[]))"

TRACES = """
UPDATE traces
SET task_summary = '', steps = '[]', identity = '', word_count = 0, status = 'retired',
    status_reason = 'forgotten', status_at = $1, status_sequence = $2, changed_sequence = $2,
    held = 'out'
WHERE trace_id IN (SELECT unnest($3::VARCHAR[]))
"""

BLOBS = "DELETE FROM blobs WHERE sha256 IN (SELECT unnest(?::VARCHAR[]))"

OTHERS_BLOBS = f"""
UPDATE blobs SET journal_sequence = others.first
FROM (
    SELECT named.sha256, min(jobs.journal_sequence) AS first
    FROM ({_NAMED}) AS named JOIN jobs USING (job_id)
    WHERE job_id <> $1 GROUP BY ALL
) AS others
WHERE blobs.sha256 = others.sha256
    AND blobs.journal_sequence IN (SELECT journal_sequence FROM jobs WHERE job_id = $1)
"""
