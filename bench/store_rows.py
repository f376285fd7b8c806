"""The rows of a job's lists as a Python program makes them, for the peers of `bench store`.

The same columns and values as the trace store's, which DuckDB makes: `same` says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crp.models import Attempt, JobRecord, StepRecord
from crp_analytics import list_rows
from crp_analytics.facts import JobFact, Noted, document
from crp_analytics.rows import rows_of
from crp_analytics.text import INLINE, as_json, sha256, utc

Row = dict[str, Any]
Rows = dict[str, list[Row]]

SEEN_AT = datetime(2026, 3, 1, tzinfo=UTC)


def rows(record: JobRecord) -> Rows:
    """Give a job's rows by table."""
    return {
        "jobs": rows_of(Noted(1, SEEN_AT, JobFact(record=record)))["jobs"],
        "steps": _steps(record),
        "attempts": [_attempt(record, i, one) for i, one in enumerate(record.attempts)],
        "events": _events(record),
    }


def same(record: JobRecord) -> bool:
    """Whether these are the rows that the trace store has."""
    noted = Noted(1, SEEN_AT, JobFact(record=record))
    theirs = list_rows.rows([document(noted)])
    mine = rows(record)
    return all(mine[table] == more for table, more in theirs.items())


def _events(record: JobRecord) -> list[Row]:
    return [
        {
            "job_id": record.job.job_id,
            "sequence": event.sequence,
            "happened_at": utc(event.at),
            "kind": event.kind,
            "stage": event.stage,
            "step": event.step,
            "attempt": event.attempt,
            "body": as_json(event.body),
        }
        for event in record.events
    ]


def _steps(record: JobRecord) -> list[Row]:
    queued: dict[str, float] = {}
    for attempt in record.attempts:
        queued[attempt.step] = queued.get(attempt.step, 0.0) + attempt.queued
    return [
        _step(record.job.job_id, i, step, queued.get(step.id))
        for i, step in enumerate(record.result.steps)
    ]


def _step(job_id: str, position: int, step: StepRecord, queued: float | None) -> Row:
    start, end, value = step.started_at, step.finished_at, as_json(step.value)
    return {
        "job_id": job_id,
        "position": position,
        "step_id": step.id,
        "template_step": step.step,
        "item": step.item,
        "title": step.title,
        "status": step.status,
        "reason": step.reason or None,
        "scaffold_start": int(step.level_start),
        "scaffold_end": int(step.level_end),
        "attempts": step.attempts,
        "quality": step.quality,
        **_text(step.output),
        "value": value if value and len(value) <= INLINE else None,
        "needs": list(step.needs),
        "started_at": utc(start),
        "finished_at": utc(end),
        "run_seconds": (end - start).total_seconds() if start and end else None,
        "queue_seconds": queued,
    }


def _attempt(record: JobRecord, position: int, attempt: Attempt) -> Row:
    model, usage, verdicts = record.job.model(attempt.model), attempt.usage, attempt.verdicts
    unanswered = attempt.status == "transport" and attempt.transport
    failed = attempt.transport[-1].kind if unanswered else attempt.status
    return {
        "job_id": record.job.job_id,
        "position": position,
        "stage": attempt.stage,
        "step_id": attempt.step,
        "part": attempt.part or None,
        "attempt": attempt.number,
        "round": attempt.round,
        "sample": attempt.sample,
        "scaffold_level": int(attempt.level),
        "model_alias": attempt.model,
        "status": attempt.status,
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": model.provider,
        "gen_ai_request_model": model.name,
        "gen_ai_response_model": attempt.response_model or None,
        "gen_ai_response_finish_reasons": [attempt.finish_reason] if attempt.finish_reason else [],
        "gen_ai_usage_input_tokens": usage.prompt_tokens,
        "gen_ai_usage_output_tokens": usage.completion_tokens,
        "gen_ai_usage_cache_read_input_tokens": usage.cached_tokens,
        "error_type": None if attempt.status == "ok" else failed,
        "error": attempt.error or None,
        "cost": usage.cost,
        "model_seconds": usage.seconds,
        "queue_seconds": attempt.queued,
        "time_to_first_token": attempt.time_to_first_token,
        "quality": attempt.quality,
        "checks_passed": [v.check for v in verdicts if v.passed],
        "checks_failed": [v.check for v in verdicts if not v.passed],
        "hints": [v.hint for v in verdicts if not v.passed and v.hint],
        "verdicts": as_json(verdicts),
        **_text(attempt.output),
        "prompt_sha256": attempt.prompt_sha256 or None,
        "raw_sha256": attempt.raw_sha256 or None,
        "dropped": list(attempt.dropped),
        "transport_failures": len(attempt.transport),
        "transport": as_json(attempt.transport),
        "replayed": attempt.replayed,
        "started_at": utc(attempt.started_at),
        "finished_at": utc(attempt.finished_at),
    }


def _text(output: str) -> Row:
    long = len(output) > INLINE
    return {
        "output": output[:INLINE],
        "output_characters": len(output),
        "output_sha256": sha256(output) if long else None,
    }
