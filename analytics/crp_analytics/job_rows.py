"""The rows of one job: which column holds what of a `JobRecord`.

Every function gives the rows of one table, or some columns of one, as {column: value}. Long texts
go into `blobs` on the way. gen_ai_* and error_type are OpenTelemetry's names with dots as
underscores: `crp.telemetry.conventions` maps them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crp.models import Attempt, JobRecord, Score, StepRecord
from crp.telemetry.conventions import answered, asked, columns
from crp_analytics.facts import JobFact, Noted, scored_by
from crp_analytics.text import Inline, as_json, clean, short_json, utc

Row = dict[str, Any]


def job_row(noted: Noted, fact: JobFact, blobs: dict[str, str]) -> Row:
    record, result = fact.record, fact.record.result
    task, answer = Inline(record.job.task.text, blobs), Inline(result.answer, blobs)
    return {
        "job_id": record.job.job_id,
        "journal_sequence": noted.sequence,
        "recorded_at": utc(noted.at),
        "status": result.status,
        "task": task.text,
        "task_sha256": task.sha256,
        "task_type": task_type(record),
        "template": result.template,
        "template_version": record.template_version,
        "template_sha256": result.template_sha256,
        "template_score": _match_score(record),
        **_model_columns(record),
        **_gate_columns(record),
        **_quality_columns(record),
        **_example_columns(record),
        **_usage_columns(record),
        "submitted_at": utc(record.job.submitted_at),
        "started_at": utc(record.started_at),
        "finished_at": utc(record.finished_at),
        "answer": answer.text,
        "answer_characters": answer.characters,
        "answer_sha256": answer.sha256,
        "trace_id": record.trace.trace_id if record.trace else None,
        "store_above": record.store_above,
        "stored": fact.stored,
        "stored_reason": fact.reason,
        "notes": [clean(note) for note in result.notes],
        "error": result.error or None,
    }


def task_type(record: JobRecord) -> str:
    """Say what kind of task a job was: its trace says it, or its template's name."""
    return record.trace.task_type if record.trace else record.result.template


def _model_columns(record: JobRecord) -> Row:
    model = record.job.model("default")
    return {
        "model_alias": model.alias,
        "model_name": model.name,
        "model_provider": model.provider,
        "model_class": model.model_class,
        "capability": model.capability,
    }


def _gate_columns(record: JobRecord) -> Row:
    gate, plan, reading = record.result.gate, record.result.plan, record.reading
    return {
        "complexity": record.result.complexity or None,
        "pressure": reading.pressure.name if reading else None,
        "pressure_reason": reading.reason if reading else None,
        "gate_orc": gate.orc if gate else None,
        "gate_rule": gate.rule if gate else None,
        "gate_reason": gate.reason if gate else None,
        "plan_made_by": plan.made_by if plan else None,
    }


def _quality_columns(record: JobRecord) -> Row:
    result = record.result
    best: dict[str, Score] = {}
    for score in result.scores:
        best.setdefault(score.candidate, score)
    by = {name: score.value for name, score in best.items()}
    chosen = best.get(result.chosen)
    return {
        "chosen": result.chosen or None,
        "quality": result.quality,
        "scored_by": chosen.by if chosen else None,
        "probe_quality": by.get("probe"),
        "chain_quality": max((by[c] for c in ("joined", "synthesized") if c in by), default=None),
        "joined_quality": by.get("joined"),
        "synthesized_quality": by.get("synthesized"),
    }


def _example_columns(record: JobRecord) -> Row:
    retrieved = record.retrieved
    return {
        "examples_shown": 0 if retrieved.held_out else len(retrieved.examples),
        "held_out": retrieved.held_out,
        "example_candidates": retrieved.candidates,
    }


def _usage_columns(record: JobRecord) -> Row:
    result, usage = record.result, record.result.usage
    return {
        "steps_total": len(result.steps),
        "steps_done": sum(step.fulfilled for step in result.steps),
        "calls": usage.calls,
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost": usage.cost,
        "model_seconds": usage.seconds,
        "seconds": result.seconds,
    }


def _match_score(record: JobRecord) -> float | None:
    name = record.result.template
    return next((m.score for m in record.matches if m.template == name), None)


def event_rows(record: JobRecord) -> list[Row]:
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


def step_rows(record: JobRecord, blobs: dict[str, str]) -> list[Row]:
    queued: dict[str, float] = {}
    for attempt in record.attempts:
        queued[attempt.step] = queued.get(attempt.step, 0.0) + attempt.queued
    return [
        {"job_id": record.job.job_id, "position": i, **_step_row(step, queued, blobs)}
        for i, step in enumerate(record.result.steps)
    ]


def _step_row(step: StepRecord, queued: dict[str, float], blobs: dict[str, str]) -> Row:
    output = Inline(step.output, blobs)
    return {
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
        "output": output.text,
        "output_characters": output.characters,
        "output_sha256": output.sha256,
        "value": short_json(step.value),
        "needs": list(step.needs),
        "started_at": utc(step.started_at),
        "finished_at": utc(step.finished_at),
        "run_seconds": _seconds(step.started_at, step.finished_at),
        "queue_seconds": queued.get(step.id),
    }


def attempt_rows(record: JobRecord, blobs: dict[str, str]) -> list[Row]:
    return [
        {
            "job_id": record.job.job_id,
            "position": i,
            **_call_columns(record, attempt),
            **_check_columns(attempt),
            **_text_columns(attempt, blobs),
        }
        for i, attempt in enumerate(record.attempts)
    ]


def _call_columns(record: JobRecord, attempt: Attempt) -> Row:
    model = record.job.model(attempt.model)
    return {
        "stage": attempt.stage,
        "step_id": attempt.step,
        "part": attempt.part or None,
        "attempt": attempt.number,
        "round": attempt.round,
        "sample": attempt.sample,
        "scaffold_level": int(attempt.level),
        "model_alias": attempt.model,
        "status": attempt.status,
        **columns(asked(model)),
        **columns(
            answered(
                attempt.response_model,
                attempt.finish_reason,
                attempt.usage.prompt_tokens,
                attempt.usage.completion_tokens,
                attempt.usage.cached_tokens,
            )
        ),
        "error_type": _error_type(attempt),
        "error": attempt.error or None,
        "cost": attempt.usage.cost,
        "model_seconds": attempt.usage.seconds,
        "queue_seconds": attempt.queued,
        "time_to_first_token": attempt.time_to_first_token,
        "replayed": attempt.replayed,
        "started_at": utc(attempt.started_at),
        "finished_at": utc(attempt.finished_at),
    }


def _check_columns(attempt: Attempt) -> Row:
    verdicts = attempt.verdicts
    return {
        "quality": attempt.quality,
        "checks_passed": [v.check for v in verdicts if v.passed],
        "checks_failed": [v.check for v in verdicts if not v.passed],
        "hints": [v.hint for v in verdicts if not v.passed and v.hint],
        "verdicts": as_json([v.model_dump(mode="json") for v in verdicts]),
    }


def _text_columns(attempt: Attempt, blobs: dict[str, str]) -> Row:
    output = Inline(attempt.output, blobs)
    return {
        "output": output.text,
        "output_characters": output.characters,
        "output_sha256": output.sha256,
        "prompt_sha256": attempt.prompt_sha256 or None,
        "raw_sha256": attempt.raw_sha256 or None,
        "dropped": list(attempt.dropped),
        "transport_failures": len(attempt.transport),
        "transport": as_json([t.model_dump(mode="json") for t in attempt.transport]),
    }


def _error_type(attempt: Attempt) -> str | None:
    """`error.type`: of the last transport failure, or the status when it is not ok."""
    if attempt.status == "transport" and attempt.transport:
        return attempt.transport[-1].kind
    return None if attempt.status == "ok" else attempt.status


def job_score_row(noted: Noted, record: JobRecord, score: Score) -> Row:
    return {
        "job_id": record.job.job_id,
        "journal_sequence": noted.sequence,
        "scored_at": utc(record.finished_at),
        "candidate": score.candidate,
        "score": score.value,
        "scored_by": score.by,
        "scorer_kind": scored_by(score.by),
        "parts": as_json([part.model_dump(mode="json") for part in score.parts]),
        "note": None,
    }


def template_rows(noted: Noted, record: JobRecord) -> list[Row]:
    source = record.template_source
    if source is None:
        return []
    row = {
        "sha256": source.sha256,
        "name": source.name,
        "version": record.template_version,
        "origin": source.origin,
        "body": clean(source.text),
        "journal_sequence": noted.sequence,
    }
    return [row]


def price_rows(noted: Noted, record: JobRecord) -> list[Row]:
    return [
        {
            "model_name": model.name,
            "provider": model.provider,
            "input_price": model.input_price,
            "output_price": model.output_price,
            "since": utc(record.job.submitted_at),
            "journal_sequence": noted.sequence,
        }
        for model in record.job.models.values()
    ]


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
