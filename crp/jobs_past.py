"""How a job stood at any moment of its life: a pure fold over its events.

`past(events[: n + 1])` is the job as it was right after event n. Nothing else is asked, so it works
for jobs that run and for those that ended years ago. Texts are the previews that events carry; the
whole ones are in the job's record. Events may come from workers of another version: what is not
there, or not of its type, counts as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crp.models import Event


@dataclass
class PastStep:
    """One planned step, as it was."""

    id: str
    title: str = ""
    status: str = "waiting"
    attempts: int = 0
    """Answers to the step itself, the number of the last one."""
    calls: int = 0
    """All that was asked for it: samples, judges, critiques, parts that other templates solved."""
    tokens: int = 0
    quality: float | None = None
    reason: str = ""
    output: str = ""
    """The beginning of what it gave."""


@dataclass
class Past:
    """A job, as it was."""

    sequence: int = -1
    """The last event that is counted in; -1: nothing had happened."""
    status: str = "waiting"
    """`running`, `paused`, `awaits approval`, or how it ended."""
    template: str = ""
    gate: str = ""
    """The gate's reason; empty before it decided."""
    paused_by: str = ""
    awaits_approval: bool = False
    approved_by: str = ""
    steps: dict[str, PastStep] = field(default_factory=dict)
    attempts: int = 0
    """Model calls that were told of, with those that another job had paid."""
    reused: int = 0
    """Answers of another job, given again: a fork's."""
    tokens: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    """By candidate: `probe`, `joined`, `synthesized`, `direct`."""
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def take(self, event: Event) -> None:
        """Let one more event happen."""
        self.sequence = event.sequence
        if event.kind == "attempt.finished":
            _tried(self, event)
        elif event.body.get("inside"):
            return  # a part that another template solves has a plan and steps of its own
        elif event.kind.startswith("step."):
            _step(self, event)
        elif change := _CHANGES.get(event.kind):
            change(self, event.body)
        elif event.kind.startswith("job."):
            self.status = event.kind.removeprefix("job.")
            self.paused_by, self.awaits_approval = "", False
            self.error = _text(event.body, "error")


def past(events: Iterable[Event]) -> Past:
    """Give the job as it was after these events, the first ones of its life."""
    job = Past()
    for event in events:
        job.take(event)
    return job


# -- what each kind of event changes ---------------------------------------------------------------


def _started(job: Past, body: Mapping[str, Any]) -> None:
    job.status = "running"


def _routed(job: Past, body: Mapping[str, Any]) -> None:
    job.template = _text(body, "template")


def _gated(job: Past, body: Mapping[str, Any]) -> None:
    job.gate = _text(body, "reason")


def _planned(job: Past, body: Mapping[str, Any]) -> None:
    """A plan that a person changed takes the place of the last one."""
    planned = body.get("steps")
    known = [s for s in planned if isinstance(s, dict)] if isinstance(planned, list) else []
    steps = (PastStep(_text(s, "id"), _text(s, "title")) for s in known)
    job.steps = {step.id: step for step in steps}


def _paused(job: Past, body: Mapping[str, Any]) -> None:
    job.paused_by, job.status = _text(body, "by") or "somebody", "paused"


def _resumed(job: Past, body: Mapping[str, Any]) -> None:
    job.paused_by, job.status = "", "awaits approval" if job.awaits_approval else "running"


def _awaits(job: Past, body: Mapping[str, Any]) -> None:
    job.awaits_approval = True
    job.status = "paused" if job.paused_by else "awaits approval"


def _approved(job: Past, body: Mapping[str, Any]) -> None:
    job.awaits_approval, job.approved_by = False, _text(body, "by") or "somebody"
    job.status = "paused" if job.paused_by else "running"


def _scored(job: Past, body: Mapping[str, Any]) -> None:
    job.scores[_text(body, "candidate")] = _number(body, "quality")


def _noted(job: Past, body: Mapping[str, Any]) -> None:
    job.notes.append(_text(body, "text"))


_CHANGES: dict[str, Callable[[Past, Mapping[str, Any]], None]] = {
    "job.started": _started,
    "job.paused": _paused,
    "job.resumed": _resumed,
    "routed": _routed,
    "gated": _gated,
    "planned": _planned,
    "approval.awaited": _awaits,
    "approved": _approved,
    "scored": _scored,
    "noted": _noted,
}


def _tried(job: Past, event: Event) -> None:
    tokens = int(_number(event.body, "tokens"))
    job.attempts += 1
    job.tokens += tokens
    job.reused += is_reused(event)
    step = job.steps.get(event.step.split(">")[0])
    if step is None or event.stage != "execute":
        return
    step.calls += 1
    step.tokens += tokens
    if event.step == step.id and not event.body.get("part"):
        step.attempts = max(step.attempts, event.attempt)


def _step(job: Past, event: Event) -> None:
    step = job.steps.get(event.step)
    if step is None:
        return
    status = event.kind.removeprefix("step.")
    step.status = "running" if status == "started" else status
    if status != "started":
        step.attempts = event.attempt
        step.reason, step.output = _text(event.body, "reason"), _text(event.body, "preview")
        quality = event.body.get("quality")
        step.quality = float(quality) if isinstance(quality, int | float) else None


def is_reused(event: Event) -> bool:
    """Whether an event tells of an answer that another job had paid for."""
    free = bool(event.body.get("replayed")) and not event.body.get("tokens")
    return event.kind == "attempt.finished" and free


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return "" if value is None else str(value)


def _number(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
