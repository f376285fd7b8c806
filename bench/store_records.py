"""Jobs for `bench store`: invented, but of the size of a real chain. The same number, the same job.

One job is 45 rows (1 job, 6 steps, 8 attempts, 30 events) and about 9 kB of JSON; its scores, its
library entry and the words of that come on top.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from crp.models import (
    Attempt,
    Event,
    GateDecision,
    Job,
    JobRecord,
    JobResult,
    Level,
    ModelProfile,
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
KINDS = ("comparison", "extraction", "report", "math-word-problem", "decision")
MODELS = (
    ModelProfile(name="small-1", capability=1, input_price=0.1, output_price=0.4),
    ModelProfile(name="small-2", capability=2, input_price=0.3, output_price=1.2),
)
WORDS = tuple(
    a + b
    for a in ("ba", "ke", "mo", "tu", "fi", "ra", "so", "le", "nu", "pi")
    for b in ("rin", "dal", "vex", "som", "tir", "lok", "wen", "gas", "fem", "jut")
)
STEPS, AGAIN, EVENTS = 6, (1, 3), 30
"""Steps of a job, which of them need a second attempt, and what else is told of it."""


def record(number: int, name: str = "j") -> JobRecord:
    """Make one finished job."""
    chance = random.Random(f"{name}{number}")
    kind, model = chance.choice(KINDS), chance.choice(MODELS)
    job_id, task = f"{kind}-{name}{number}", f"{kind} of {_text(chance, 60)}"
    start = START + timedelta(seconds=30 * number)
    probe, chain = chance.uniform(0.3, 0.8), chance.uniform(0.5, 1.0)
    result = _result(chance, job_id, kind, start, probe, chain)
    return JobRecord(
        job=Job(job_id=job_id, task=Task(text=task), models={"default": model}, submitted_at=start),
        result=result,
        started_at=start,
        finished_at=start + timedelta(seconds=20),
        template_source=TemplateSource(name=kind, text=f"name: {kind}\n", sha256=f"{kind:t<64}"),
        template_version="1",
        attempts=_attempts(chance, start, result.steps),
        events=tuple(_event(n, start) for n in range(EVENTS)),
        trace=_trace(task, kind, job_id, model, chain, result.steps, start),
    )


def trace(number: int) -> ReasoningTrace:
    """Make the library entry of one job."""
    found = record(number).trace
    assert found is not None
    return found


def _result(
    chance: random.Random, job_id: str, kind: str, start: datetime, probe: float, chain: float
) -> JobResult:
    scores = (Score(candidate="probe", value=probe), Score(candidate="joined", value=chain))
    return JobResult(
        job_id=job_id,
        status="completed",
        answer=_text(chance, 300),
        chosen="joined",
        quality=chain,
        scores=scores,
        template=kind,
        template_sha256=f"{kind:t<64}",
        complexity=3,
        gate=GateDecision(orc=True, rule="probe", reason=f"probe {probe:.2f} < 0.80"),
        steps=tuple(_step(chance, n, start) for n in range(STEPS)),
        usage=Usage(calls=8, prompt_tokens=2400, completion_tokens=640, cost=0.0005, seconds=12.0),
        seconds=20.0,
    )


def _step(chance: random.Random, number: int, start: datetime) -> StepRecord:
    again = number in AGAIN
    return StepRecord(
        id=f"step-{number}",
        step=f"step-{number}",
        title=f"look at part {number}",
        status="done",
        attempts=2 if again else 1,
        level_end=Level.LIGHT if again else Level.NONE,
        quality=0.9,
        output=_text(chance, 120),
        needs=(f"step-{number - 1}",) if number else (),
        started_at=start + timedelta(seconds=3 * number),
        finished_at=start + timedelta(seconds=3 * number + chance.uniform(1, 3)),
    )


def _attempts(
    chance: random.Random, start: datetime, steps: tuple[StepRecord, ...]
) -> tuple[Attempt, ...]:
    usage = Usage(calls=1, prompt_tokens=300, completion_tokens=80, cost=0.0001, seconds=1.5)
    missing = Verdict(check="covers: items", score=0.0, passed=False, hint="name the second one")
    return tuple(
        Attempt(
            stage="execute",
            step=step.id,
            number=number,
            level=Level(number - 1),
            status="content" if number < step.attempts else "ok",
            verdicts=(missing,) if number < step.attempts else (),
            output=_text(chance, 120),
            prompt_sha256=f"{chance.getrandbits(256):064x}",
            usage=usage,
            queued=0.1,
            time_to_first_token=0.2,
            quality=0.9,
            started_at=start,
            finished_at=start + timedelta(seconds=1.5),
        )
        for step in steps
        for number in range(1, step.attempts + 1)
    )


def _event(number: int, start: datetime) -> Event:
    return Event(
        sequence=number,
        at=start + timedelta(seconds=number / 2),
        kind="attempt",
        stage="execute",
        step=f"step-{number % STEPS}",
        attempt=1,
        body={"n": number},
    )


def _trace(
    task: str,
    kind: str,
    job_id: str,
    model: ModelProfile,
    quality: float,
    steps: tuple[StepRecord, ...],
    start: datetime,
) -> ReasoningTrace:
    return ReasoningTrace(
        trace_id=f"trace-{job_id}",
        task_type=kind,
        task_summary=task,
        steps=[ReasoningStep(step_description=step.title) for step in steps],
        model_class=model.model_class,
        quality_score=quality,
        created_at=start.timestamp(),
    )


def _text(chance: random.Random, characters: int) -> str:
    return " ".join(chance.choices(WORDS, k=characters // 6))
