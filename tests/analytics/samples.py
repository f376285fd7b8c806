"""Jobs as the engine would record them, small enough to read."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from crp.models import (
    Attempt,
    Event,
    GateDecision,
    Job,
    JobRecord,
    JobResult,
    Level,
    ModelProfile,
    Plan,
    Pressure,
    Reading,
    ReasoningStep,
    ReasoningTrace,
    Score,
    StepRecord,
    Task,
    TemplateSource,
    Usage,
    Verdict,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEMPLATE = TemplateSource(name="comparison", text="name: comparison\n", sha256="t" * 64)
MODEL = ModelProfile(name="small-1", capability=1, input_price=1.0, output_price=2.0)
RETRIEVE: dict[str, Any] = {
    "task_type": "comparison",
    "model_class": MODEL.model_class,
    "template_sha256": TEMPLATE.sha256,
    "model_name": MODEL.name,
    "limit": 3,
    "min_quality": 0.7,
    "hold_out": 0.0,
}


def trace(summary: str = "compare React and Vue", **changes: Any) -> ReasoningTrace:
    data: dict[str, Any] = {
        "task_type": "comparison",
        "task_summary": summary,
        "steps": [ReasoningStep(step_description=f"look at {summary}", scaffold_level=1)],
        "model_class": MODEL.model_class,
        "quality_score": 0.9,
        "created_at": START.timestamp(),
    }
    return ReasoningTrace(**{**data, **changes})


def record(job_id: str, task: str = "compare React and Vue", **changes: Any) -> JobRecord:
    """A completed chain of two steps, one of which needed two attempts."""
    kept = trace(task, trace_id=f"trace-{job_id}")
    data: dict[str, Any] = {
        "job": Job(
            job_id=job_id,
            task=Task(text=task),
            models={"default": MODEL},
            submitted_at=START,
        ),
        "result": result(job_id),
        "started_at": START,
        "finished_at": START + timedelta(seconds=20),
        "template_source": TEMPLATE,
        "template_version": "1",
        "reading": Reading(pressure=Pressure.LOW, reason="memory 40%"),
        "attempts": attempts(),
        "events": tuple(
            Event(sequence=i, at=START, kind=kind, body={"n": i})
            for i, kind in enumerate(("submitted", "gate", "finished"))
        ),
        "trace": kept,
        "blobs": {hashlib.sha256(b"a prompt").hexdigest(): "a prompt"},
    }
    return JobRecord(**{**data, **changes})


def result(job_id: str, **changes: Any) -> JobResult:
    data: dict[str, Any] = {
        "job_id": job_id,
        "status": "completed",
        "answer": "Vue is smaller.",
        "chosen": "joined",
        "quality": 0.9,
        "scores": (Score(candidate="probe", value=0.5), Score(candidate="joined", value=0.9)),
        "template": "comparison",
        "template_sha256": TEMPLATE.sha256,
        "complexity": 3,
        "gate": GateDecision(orc=True, rule="probe", reason="probe 0.5 < 0.7"),
        "plan": Plan(),
        "steps": (
            StepRecord(id="a", step="a", status="done", attempts=1, output="A"),
            StepRecord(
                id="b", step="b", status="done", attempts=2, output="B", level_end=Level.HEAVY
            ),
        ),
        "usage": Usage(calls=4, prompt_tokens=400, completion_tokens=80, cost=0.5, seconds=8),
        "seconds": 20.0,
    }
    return JobResult(**{**data, **changes})


def attempts() -> tuple[Attempt, ...]:
    usage = Usage(calls=1, prompt_tokens=100, completion_tokens=20, seconds=2)
    broken = Verdict(check="covers: items", score=0.0, passed=False, hint="name React")
    times = {"started_at": START, "finished_at": START + timedelta(seconds=2)}
    return (
        Attempt(stage="probe", output="Vue.", usage=usage, quality=0.5, **times),
        Attempt(stage="execute", step="a", output="A", usage=usage, quality=1.0, **times),
        Attempt(
            stage="execute", step="b", status="content", verdicts=(broken,), usage=usage, **times
        ),
        Attempt(
            stage="execute",
            step="b",
            number=2,
            level=Level.HEAVY,
            output="B",
            usage=usage,
            quality=1.0,
            **times,
        ),
    )
