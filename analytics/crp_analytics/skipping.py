"""Facts that can not come into the tables: one of them must not stop the others, nor be lost.

Such a fact stays in the journal, so a version that can read and map it finds it at the next
rebuild. Until then its place is a row of `skipped`, which holds no word of it: what an error says
may quote the fact. Touches nothing; the projection writes the row.
"""

from __future__ import annotations

import json
from collections.abc import Container

import duckdb
from duckdb import DuckDBPyConnection
from pydantic import ValidationError

from crp.errors import StoreError, StoreTooNew
from crp_analytics.entries import Entry
from crp_analytics.facts import ForgottenFact, JobFact, Noted, from_entry
from crp_analytics.rows import Rows
from crp_analytics.text import clean


def is_facts_fault(error: Exception) -> bool:
    """Whether a fact can not be mapped; otherwise it is the disk, the memory or the file."""
    if isinstance(error, duckdb.Error):
        return isinstance(error, FACTS_FAULTS)
    return not isinstance(error, OSError | MemoryError)


def skipped(noted: Noted, error: Exception) -> Noted:
    """Give what is put into the tables in the place of a fact that can not be mapped."""
    return noted._replace(fact=ForgottenFact(rows=rows_of(noted, reason_of(error))))


def rows_of(noted: Noted, reason: str | None) -> Rows:
    """Give the row that says that a fact was skipped."""
    fact = noted.fact
    job_id = fact.record.job.job_id if isinstance(fact, JobFact) else getattr(fact, "job_id", "")
    return _rows(noted.sequence, fact.kind, job_id, reason)


def read(entry: Entry) -> Noted:
    """Read an entry; one that this version can not read is skipped. StoreTooNew."""
    try:
        return from_entry(entry)
    except StoreTooNew:
        raise
    except StoreError as error:
        rows = _rows(entry.sequence, entry.kind, job_of(entry), reason_of(error))
        return Noted(entry.sequence, entry.at, ForgottenFact(rows=rows))


def was_skipped(noted: Noted) -> bool:
    """Whether `read` or `skipped` gave this."""
    return isinstance(noted.fact, ForgottenFact) and "skipped" in noted.fact.rows


def forgiven(noted: Noted, names: Container[str]) -> Rows:
    """Give the row of what was skipped: nobody is told of it when its job is forgotten."""
    assert isinstance(noted.fact, ForgottenFact)
    rows = noted.fact.rows["skipped"]
    return {"skipped": [{**r, "reason": None} if r["job_id"] in names else r for r in rows]}


def job_of(entry: Entry) -> str:
    """Give the job of an entry that can not be read as a fact; empty when that can not be told."""
    try:
        body = json.loads(entry.text, parse_int=str)
    except (ValueError, RecursionError):
        return ""
    match body:
        case {"record": {"job": {"job_id": str(job_id)}}} | {"job_id": str(job_id)}:
            return job_id
    return ""


def reason_of(error: BaseException) -> str:
    """Say what was wrong with a fact without a word of it."""
    cause = error.__cause__ if isinstance(error, StoreError) else error
    if isinstance(cause, ValidationError):
        return cause.errors(include_input=False, include_context=False)[0]["type"]
    return type(cause or error).__name__


def told(connection: DuckDBPyConnection) -> tuple[str, ...]:
    """Say which facts are not in the tables, but those of jobs that were forgotten."""
    found = connection.execute(SKIPPED).fetchall()
    return tuple(
        f"entry {sequence} of the journal ({kind}{f', job {job_id}' if job_id else ''}): {reason}"
        for sequence, kind, job_id, reason in found
    )


def _rows(sequence: int, kind: str, job_id: str, reason: str | None) -> Rows:
    row = {"journal_sequence": sequence, "kind": kind, "job_id": clean(job_id) or None}
    return {"skipped": [{**row, "reason": reason}]}


FACTS_FAULTS = (
    duckdb.DataError,
    duckdb.ProgrammingError,
    duckdb.IntegrityError,
    duckdb.NotSupportedError,
)

SKIPPED = """
SELECT journal_sequence, kind, job_id, reason FROM skipped
WHERE reason IS NOT NULL ORDER BY journal_sequence
"""
