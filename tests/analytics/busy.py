"""A few hundred jobs as a season of work would leave them: for the report and its tests."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from crp.models import (
    Attempt,
    GateDecision,
    Level,
    ModelProfile,
    Retrieved,
    Score,
    StepRecord,
    TemplateSource,
    Usage,
)
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, START, record, result, trace

TYPES = ("comparison", "math-word-problem", "extraction", "long-summary")
STEPS = {
    "comparison": ("profile", "table", "verdict"),
    "math-word-problem": ("numbers", "expression", "result"),
    "extraction": ("fields", "normalise"),
    "long-summary": ("parts", "notes", "summary"),
}
LIFT = {"comparison": 0.2, "math-word-problem": 0.12, "extraction": 0.0, "long-summary": -0.06}
MODELS = (
    ModelProfile(name="small-1", capability=1, input_price=0.1, output_price=0.4),
    ModelProfile(name="small-2", capability=2, input_price=0.3, output_price=1.2),
)


def fill(store: TraceStore, jobs: int = 300, days: int = 60, names: tuple[str, ...] = ()) -> None:
    """Record jobs spread over some days; `names` are more task types, one job each in turn."""
    chance = random.Random(7)
    for number in range(jobs):
        kind = names[number % len(names)] if names and number % 9 == 0 else chance.choice(TYPES)
        _job(store, chance, number, kind, days * number / jobs)


def _job(store: TraceStore, chance: random.Random, number: int, kind: str, day: float) -> None:
    job_id, model = f"{kind[:40]}-{number}", chance.choice(MODELS)
    words = f"{kind} of thing {number % 40} and thing {chance.randrange(40)}"
    asked = {**RETRIEVE, "task_type": kind, "model_name": model.name, "hold_out": 0.1}
    seen = store.retrieve(job_id, words, **asked)
    probe = _between(chance.gauss(0.55 + day / 400, 0.15))
    helped = 0.05 if seen.examples else 0.0
    chain = _between(probe + chance.gauss(LIFT.get(kind, 0.05) + helped, 0.12))
    split = probe < 0.7
    made = record(
        job_id,
        task=words,
        **_changes(chance, job_id, kind, model, day, probe, chain if split else None, seen),
    )
    store.record(made)


def _changes(
    chance: random.Random,
    job_id: str,
    kind: str,
    model: ModelProfile,
    day: float,
    probe: float,
    chain: float | None,
    seen: Retrieved,
) -> dict[str, Any]:
    start = START + timedelta(days=day)
    steps = _steps(chance, kind, start) if chain is not None else ()
    failed = chance.random() < 0.04
    best = max(probe, chain or 0.0)
    scores = [Score(candidate="probe", value=probe)]
    scores += [Score(candidate="joined", value=chain)] if chain is not None else []
    rule = "probe" if chance.random() < 0.8 else "evidence"
    said = f"probe {probe:.2f} {'<' if chain is not None else '>='} 0.70"
    calls = 1 + sum(step.attempts for step in steps)
    usage = Usage(
        calls=calls,
        prompt_tokens=calls * chance.randint(200, 500),
        completion_tokens=calls * chance.randint(40, 160),
        seconds=calls * 1.5,
        cost=calls * 0.0001,
    )
    made = result(
        job_id,
        status="failed" if failed else "completed",
        template=kind,
        chosen="" if failed else ("joined" if chain is not None and chain >= probe else "probe"),
        quality=None if failed else best,
        scores=() if failed else tuple(scores),
        gate=GateDecision(orc=chain is not None, rule=rule, reason=said),
        steps=steps,
        usage=usage,
        seconds=calls * 2.0,
        error="the model did not answer" if failed else "",
    )
    job = record(job_id).job.model_copy(
        update={"models": {"default": model}, "submitted_at": start}
    )
    kept = trace(f"{kind} {job_id}", trace_id=f"trace-{job_id}", task_type=kind, quality_score=best)
    return {
        "job": job,
        "result": made,
        "started_at": start,
        "finished_at": start + timedelta(seconds=calls * 2),
        "template_source": TemplateSource(name=kind, text=kind, sha256=f"{kind:t<64}"[:64]),
        "retrieved": seen,
        "attempts": _attempts(steps),
        "events": (),
        "trace": kept if chain is not None and not failed else None,
        "blobs": {},
    }


def _steps(chance: random.Random, kind: str, start: Any) -> tuple[StepRecord, ...]:
    steps = []
    for place, name in enumerate(STEPS.get(kind, ("only",))):
        again = chance.random() < (0.1, 0.35, 0.2)[place]
        attempts = chance.choice((2, 3)) if again else 1
        seconds = attempts * chance.uniform(0.5, 3.0) * (place + 1)
        steps.append(
            StepRecord(
                id=name,
                step=name,
                status="failed" if attempts == 3 and chance.random() < 0.3 else "done",
                attempts=attempts,
                level_end=Level.HEAVY if attempts == 3 else Level.NONE,
                output="x",
                started_at=start,
                finished_at=start + timedelta(seconds=seconds),
            )
        )
    return tuple(steps)


def _attempts(steps: tuple[StepRecord, ...]) -> tuple[Attempt, ...]:
    usage = Usage(calls=1, prompt_tokens=300, completion_tokens=80, seconds=1.5)
    probe = Attempt(stage="probe", usage=usage, queued=0.1)
    return (
        probe,
        *(
            Attempt(stage="execute", step=step.id, number=n + 1, usage=usage, queued=0.2)
            for step in steps
            for n in range(step.attempts)
        ),
    )


def _between(value: float) -> float:
    return min(1.0, max(0.0, value))
