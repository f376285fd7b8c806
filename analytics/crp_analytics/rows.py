"""The mapping from facts to rows: with its two parts, the one place that knows what a column holds.

`rows_of` gives the rows that a fact adds, by table, each as {column: value}. Those of a job are in
`job_rows`, and those of a job's lists in `list_rows`: DuckDB makes them. Columns are documented in
migrations/*.sql.
"""

from __future__ import annotations

from collections.abc import Iterable

from crp.models import JobRecord, ReasoningTrace
from crp_analytics import list_rows
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
from crp_analytics.job_rows import (
    Row,
    job_row,
    job_score_row,
    price_rows,
    template_rows,
)
from crp_analytics.retrieval import identity
from crp_analytics.text import Inline, as_json, clean, from_unix, sha256, utc
from crp_analytics.words import words

Rows = dict[str, list[Row]]
"""Rows by table."""

CONTENT_ADDRESSED = {"blobs": "sha256", "template_versions": "sha256"}
"""Tables that hold each thing once, and the column that says which one it is."""


def every_row_of(noted: Noted) -> Rows:
    """Give the rows that a fact adds, by table, those that DuckDB makes too."""
    lists = list_rows.rows([document(noted)]) if isinstance(noted.fact, JobFact) else {}
    return {**rows_of(noted), **lists}


def rows_of(noted: Noted) -> Rows:
    """Give the rows that a fact adds, by table, but those of a job's lists."""
    fact = noted.fact
    if isinstance(fact, JobFact):
        return _of_job(noted, fact)
    if isinstance(fact, RetrievalFact):
        return _of_retrieval(noted, fact)
    if isinstance(fact, CurationFact):
        return _of_curation(noted, fact)
    if isinstance(fact, ScoreFact):
        return {"scores": [_score_row(noted, fact)]}
    if isinstance(fact, MoveFact):
        return _of_move(noted, fact)
    if isinstance(fact, ForgottenFact):
        return {table: list(rows) for table, rows in fact.rows.items()}
    if isinstance(fact, ForgetFact):
        return {}  # it adds nothing: see `forgetting`
    return _of_trace(noted, fact.trace, fact.job_id or None, fact.tokens)


def _of_job(noted: Noted, fact: JobFact) -> Rows:
    record = fact.record
    blobs = {sha256(text): clean(text) for text in record.blobs.values()}
    outputs = [step.output for step in record.result.steps]
    for output in [*outputs, *(attempt.output for attempt in record.attempts)]:
        Inline(output, blobs)
    trace = record.trace if fact.stored else None
    rows: Rows = {
        "jobs": [job_row(noted, fact, blobs)],
        "scores": [job_score_row(noted, record, score) for score in record.result.scores],
        **(_of_trace(noted, trace, record.job.job_id, _tokens(record)) if trace else {}),
        "template_versions": template_rows(noted, record),
        "prices": price_rows(noted, record),
    }
    # Last: the job's row puts its long texts here.
    rows["blobs"] = [
        {"sha256": key, "characters": len(text), "body": text, "journal_sequence": noted.sequence}
        for key, text in blobs.items()
    ]
    return rows


def _tokens(record: JobRecord) -> int:
    return record.result.usage.tokens


def _of_trace(noted: Noted, trace: ReasoningTrace, job_id: str | None, tokens: int | None) -> Rows:
    known = sorted(words(trace.task_summary))
    postings = [{"word": word, "journal_sequence": noted.sequence} for word in known]
    row = {**_trace_row(noted, trace), "job_id": job_id, "tokens": tokens}
    return {"traces": [row], "trace_words": postings}


def _trace_row(noted: Noted, trace: ReasoningTrace) -> Row:
    return {
        "trace_id": trace.trace_id,
        "journal_sequence": noted.sequence,
        "task_type": trace.task_type,
        "task_summary": trace.task_summary,
        "steps": as_json(trace.steps),
        "model_class": trace.model_class,
        "quality_score": trace.quality_score,
        "created_at": from_unix(trace.created_at),
        "created_unix": trace.created_at,
        "usage_imported": trace.usage_count,
        "word_count": len(words(trace.task_summary)),
        "identity": identity(trace),
        "status": "active",
        "status_reason": None,
        "status_at": utc(noted.at),
        "status_sequence": noted.sequence,
        "changed_sequence": noted.sequence,
    }


def _of_retrieval(noted: Noted, fact: RetrievalFact) -> Rows:
    run = fact.model_dump(exclude={"offers", "evidence"})
    run |= {
        "journal_sequence": noted.sequence,
        "retrieved_at": utc(noted.at),
        "found": len(fact.offers),
        "evidence": as_json(fact.evidence),
    }
    offers = [
        {
            "job_id": fact.job_id,
            "trace_id": offer.trace_id,
            "rank": offer.rank,
            "overlap": offer.overlap,
            "similarity": offer.similarity,
            "usage_before": offer.usage_count,
            "shown": not fact.held_out,
            "candidates": fact.candidates,
            "retrieved_at": utc(noted.at),
        }
        for offer in fact.offers
    ]
    return {"retrieval_runs": [run], "retrievals": offers}


def _score_row(noted: Noted, fact: ScoreFact) -> Row:
    return {
        "job_id": fact.job_id,
        "journal_sequence": noted.sequence,
        "scored_at": utc(noted.at),
        "candidate": "answer",
        "score": fact.value,
        "scored_by": fact.by,
        "scorer_kind": scored_by(fact.by),
        "parts": None,
        "note": fact.note or None,
    }


def _of_curation(noted: Noted, fact: CurationFact) -> Rows:
    run = fact.model_dump(exclude={"retired"})
    run |= {"run_id": noted.sequence, "ran_at": utc(noted.at), "retired": len(fact.retired)}
    log = [{"run_id": noted.sequence, **retired.model_dump()} for retired in fact.retired]
    return {"curation_runs": [run], "curation_log": log}


def _of_move(noted: Noted, fact: MoveFact) -> Rows:
    about = {"journal_sequence": noted.sequence, "moved_at": utc(noted.at), "cause": fact.cause}
    moves = [{**about, "run_id": fact.run_id, **move.model_dump()} for move in fact.moves]
    return {"trace_moves": moves}


def merged(parts: Iterable[Rows]) -> Rows:
    """Put the rows of several facts together, each content-addressed thing once."""
    rows: Rows = {}
    for part in parts:
        for table, more in part.items():
            rows.setdefault(table, []).extend(more)
    for table, key in CONTENT_ADDRESSED.items():
        first_one = {row[key]: row for row in reversed(rows.get(table, []))}
        rows[table] = list(reversed(first_one.values()))
    return rows
