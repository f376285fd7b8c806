"""The rows of one job but for its lists: which column holds what of a `JobRecord`.

Every function gives the rows of one table, or some columns of one, as {column: value}. Long texts
go into `blobs` on the way.
"""

from __future__ import annotations

from typing import Any

from crp.models import JobRecord, Score
from crp_analytics.facts import JobFact, Noted, scored_by
from crp_analytics.text import Inline, as_json, clean, utc

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


def job_score_row(noted: Noted, record: JobRecord, score: Score) -> Row:
    return {
        "job_id": record.job.job_id,
        "journal_sequence": noted.sequence,
        "scored_at": utc(record.finished_at),
        "candidate": score.candidate,
        "score": score.value,
        "scored_by": score.by,
        "scorer_kind": scored_by(score.by),
        "parts": as_json(score.parts),
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
