"""Reading the store: jobs, traces, past retrievals, as Python data. Nothing here writes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from duckdb import DuckDBPyConnection

from crp.models import Evidence, Offer, ReasoningStep, ReasoningTrace, Receipt
from crp_analytics.facts import RetrievalFact

JSON_COLUMNS = frozenset({"body", "value", "verdicts", "transport", "parts", "steps", "evidence"})


def select(connection: DuckDBPyConnection, query: str, values: list[Any]) -> list[dict[str, Any]]:
    """Run a query and give its rows by column name: times as ISO strings, JSON read."""
    result = connection.execute(query, values)
    names = [column[0] for column in result.description or ()]
    return [
        {name: _plain(name, value) for name, value in zip(names, row, strict=True)}
        for row in result.fetchall()
    ]


def job(connection: DuckDBPyConnection, job_id: str) -> dict[str, Any] | None:
    """Give everything about one job but its prompts: steps, attempts, scores, retrievals."""
    found = select(connection, JOB, [job_id])
    if not found:
        return None
    data = _whole(connection, found[0], "task", "answer")
    for table, order in JOB_PARTS.items():
        query = f"SELECT * EXCLUDE (job_id) FROM {table} WHERE job_id = ? ORDER BY {order}"
        data[table] = [
            _whole(connection, row, "output") for row in select(connection, query, [job_id])
        ]
    return data


def jobs(connection: DuckDBPyConnection, limit: int) -> list[dict[str, Any]]:
    """Give the latest jobs, newest first, without their parts."""
    return select(connection, JOBS, [limit])


def place_of(connection: DuckDBPyConnection, job_id: str) -> int | None:
    """Give the number of the journal entry with a job's record, or None."""
    query = "SELECT journal_sequence FROM jobs WHERE job_id = ? LIMIT 1"
    found = connection.execute(query, [job_id]).fetchall()
    return int(found[0][0]) if found else None


def traces(
    connection: DuckDBPyConnection, task_type: str | None, limit: int, active_only: bool
) -> list[ReasoningTrace]:
    """Give library entries, newest first, with their usage counts."""
    found = connection.execute(TRACES, [task_type, task_type, active_only, limit]).fetchall()
    return [_trace(row) for row in found]


def traces_by_id(connection: DuckDBPyConnection, ids: list[str]) -> dict[str, ReasoningTrace]:
    """Give some library entries by id, retired ones too."""
    if not ids:
        return {}
    found = connection.execute(TRACES_BY_ID, [ids]).fetchall()
    return {row[0]: _trace(row) for row in found}


def usage_counts(connection: DuckDBPyConnection, ids: list[str]) -> dict[str, int]:
    """Say how often each of these traces has been shown to a job."""
    if not ids:
        return {}
    return dict(connection.execute(USAGE, [ids]).fetchall())


def past_retrieval(connection: DuckDBPyConnection, job_id: str) -> RetrievalFact | None:
    """Give what a job was given when it asked before."""
    runs = select(connection, RETRIEVAL_RUN, [job_id])
    if not runs:
        return None
    offers = tuple(Offer(**row) for row in select(connection, OFFERS, [job_id]))
    known = runs[0].pop("evidence")
    evidence = Evidence(**known) if known else None
    receipt = Receipt(sequence=runs[0].pop("journal_sequence"), at=runs[0].pop("retrieved_at"))
    return RetrievalFact(
        job_id=job_id, offers=offers, evidence=evidence, receipt=receipt, **runs[0]
    )


def jobs_since_curation(connection: DuckDBPyConnection) -> int:
    """Count the jobs that were recorded after the last curation."""
    return int(connection.execute(JOBS_SINCE_CURATION).fetchall()[0][0])


def _trace(row: tuple[Any, ...]) -> ReasoningTrace:
    trace_id, task_type, summary, steps, model_class, quality, created, used = row
    return ReasoningTrace(
        trace_id=trace_id,
        task_type=task_type,
        task_summary=summary,
        steps=[ReasoningStep.model_validate(step) for step in json.loads(steps)],
        model_class=model_class,
        quality_score=quality,
        created_at=created,
        usage_count=used,
    )


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if name in JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    return value


def _whole(connection: DuckDBPyConnection, row: dict[str, Any], *names: str) -> dict[str, Any]:
    """Put the whole text from blobs where the row has only its beginning."""
    for name in names:
        if sha256 := row.get(f"{name}_sha256"):
            query = "SELECT body FROM blobs WHERE sha256 = ? AND body IS NOT NULL"
            for (body,) in connection.execute(query, [sha256]).fetchall():
                row[name] = body
    return row


JOB = "SELECT * FROM jobs WHERE job_id = ?"

JOBS = "SELECT * FROM jobs ORDER BY journal_sequence DESC LIMIT ?"

JOB_PARTS = {
    "steps": "position",
    "attempts": "position",
    "scores": "journal_sequence, candidate",
    "retrievals": "rank",
    "events": "sequence",
}

_TRACE_COLUMNS = """
    t.trace_id, t.task_type, t.task_summary, t.steps, t.model_class, t.quality_score,
    t.created_unix, u.usage_count
"""

TRACES = f"""
SELECT {_TRACE_COLUMNS}
FROM traces AS t JOIN v_usage_count AS u USING (trace_id)
WHERE (?::VARCHAR IS NULL OR t.task_type = ?) AND (t.status = 'active' OR NOT ?)
ORDER BY t.journal_sequence DESC LIMIT ?
"""

TRACES_BY_ID = f"""
SELECT {_TRACE_COLUMNS}
FROM traces AS t JOIN v_usage_count AS u USING (trace_id)
WHERE t.trace_id IN (SELECT unnest(?::VARCHAR[]))
"""

USAGE = """
SELECT trace_id, usage_count FROM v_usage_count
WHERE trace_id IN (SELECT unnest(?::VARCHAR[]))
"""

RETRIEVAL_RUN = """
SELECT task_type, model_class, template_sha256, model_name, candidates, held_out, evidence, note,
       journal_sequence, retrieved_at
FROM retrieval_runs WHERE job_id = ? LIMIT 1
"""

OFFERS = """
SELECT trace_id, rank, overlap, similarity, usage_before AS usage_count
FROM retrievals WHERE job_id = ? ORDER BY rank
"""

JOBS_SINCE_CURATION = """
SELECT count(*) FROM jobs
WHERE journal_sequence > (SELECT coalesce(max(run_id), 0) FROM curation_runs)
"""
