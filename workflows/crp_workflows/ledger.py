"""What a job has done so far: its events, attempts, steps and what they cost. Pure state.

Events are append-only and number themselves; everything that is shown while a job runs and
recorded when it ends is read from here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from crp.models import Attempt, Event, Plan, PlannedStep, StepRecord, StepStatus, Usage

PREVIEW = 400
"""Characters of an output that an event carries; the whole text is in the record."""


class Ledger:
    """Collects the facts of one job, or of a part of it that another template solves.

    What happens in a part is told to the whole job; `within` is the step that it works for, and
    stands before its own steps: `outer>inner/item`.
    """

    def __init__(
        self, now: Callable[[], datetime], whole: Ledger | None = None, within: str = ""
    ) -> None:
        self.now = now
        self.whole = whole
        self.within = within
        self.events: list[Event] = []
        self.attempts: list[Attempt] = []
        self.steps: dict[str, StepRecord] = {}
        self.outputs: dict[str, JsonValue] = {}
        """What finished steps made, by template step: a value, or item -> value of a fan-out."""
        self.usage = Usage()
        self.notes: list[str] = []
        self.on_event: Callable[[Event], None] | None = None

    def say(
        self, kind: str, *, stage: str = "", step: str = "", attempt: int = 0, **body: Any
    ) -> None:
        """Append one event."""
        if self.whole is not None:
            step = self.path(step)
            self.root.say(kind, stage=stage, step=step, attempt=attempt, inside=True, **body)
            return
        event = Event(
            sequence=len(self.events),
            at=self.now(),
            kind=kind,
            stage=stage,
            step=step,
            attempt=attempt,
            body={name: value for name, value in body.items() if value is not None},
        )
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def note(self, text: str) -> None:
        """Keep something that a person should know, once."""
        if self.whole is not None:
            self.root.note(f"{self.within}: {text}")
            return
        if text not in self.notes:
            self.notes.append(text)
            self.say("noted", text=text)

    def knows(self, attempt: Attempt) -> bool:
        """Whether this is an answer that the job had before, given again by the answer journal.

        A direct answer asks first what the probe has asked: one call, paid and counted once.
        """

        def name(a: Attempt) -> tuple[object, ...]:
            return a.stage, a.step, a.part, a.number, a.round, a.sample, a.prompt_sha256

        return attempt.replayed and name(attempt) in map(name, self.attempts)

    def tried(self, attempt: Attempt) -> None:
        """Count one model call."""
        self.attempts.append(attempt)
        self.usage += attempt.usage
        if self.whole is not None:
            self.whole.tried(attempt)
            return
        failed = [v.check for v in attempt.verdicts if not v.passed]
        self.say(
            "attempt.finished",
            stage=attempt.stage,
            step=attempt.step,
            attempt=attempt.number,
            part=attempt.part or None,
            sample=attempt.sample or None,
            status=attempt.status,
            level=attempt.level.word,
            quality=round(attempt.quality, 3),
            failed=failed or None,
            tokens=attempt.usage.tokens,
            seconds=round(attempt.usage.seconds, 3),
            preview=attempt.output[:PREVIEW],
            error=attempt.error or None,
            replayed=attempt.replayed or None,
            retried=len(attempt.transport) or None,
        )
        if attempt.dropped:
            where = f" of step {attempt.step}" if attempt.step else ""
            self.note(f"did not fit the prompt{where}: {', '.join(attempt.dropped)}")

    def planned(self, plan: Plan) -> None:
        """Start the record of every step."""
        for step in plan.steps:
            self.steps[step.id] = StepRecord(
                id=step.id,
                step=step.step,
                item=step.item,
                title=step.title,
                level_start=step.level,
                level_end=step.level,
                needs=step.needs,
            )
        steps: list[JsonValue] = [
            {
                "id": s.id,
                "title": s.title,
                "description": s.description,
                "needs": list(s.needs),
                "level": s.level.word,
                "kind": s.kind,
            }
            for s in plan.steps
        ]
        self.say(
            "planned", stage="decompose", steps=steps, made_by=plan.made_by, cut=list(plan.cut)
        )

    def begin(self, step: PlannedStep) -> None:
        self._update(step.id, status="running", started_at=self.now())
        self.say("step.started", stage="execute", step=step.id, title=step.title)

    def finish(
        self, step: PlannedStep, status: StepStatus, taken: Attempt | None = None, reason: str = ""
    ) -> None:
        """Close a step; `taken` is the attempt whose output it gives on."""
        tries = self.tries(step.id)
        self._update(
            step.id,
            status=status,
            reason=reason,
            attempts=max((a.number for a in tries), default=0),
            level_end=tries[-1].level if tries else step.level,
            quality=taken.quality if taken else None,
            output=taken.output if taken else "",
            value=taken.value if taken else None,
            finished_at=self.now(),
        )
        if taken is not None:
            self._keep(step, taken.value)
        self.say(
            f"step.{status}",
            stage="execute",
            step=step.id,
            attempt=max((a.number for a in tries), default=0),
            title=step.title,
            reason=reason or None,
            quality=round(taken.quality, 3) if taken else None,
            preview=taken.output[:PREVIEW] if taken else None,
        )

    @property
    def root(self) -> Ledger:
        """The ledger of the whole job."""
        return self.whole.root if self.whole else self

    def tries(self, step_id: str) -> list[Attempt]:
        """Give the answers to a step itself, without what its critique and judges said."""
        step = self.path(step_id)
        return [a for a in self.attempts if (a.stage, a.step, a.part) == ("execute", step, "")]

    def path(self, step: str) -> str:
        """Say how the whole job calls a step of this part."""
        return ">".join(part for part in (self.within, step) if part)

    def _keep(self, step: PlannedStep, value: JsonValue) -> None:
        if step.item is None:
            self.outputs[step.step] = value
            return
        items = self.outputs.setdefault(step.step, {})
        assert isinstance(items, dict)
        items[step.item] = value
        # In the order of the list, whichever item was ready first.
        order = [s.item for s in self.steps.values() if s.step == step.step]
        self.outputs[step.step] = {i: items[i] for i in order if i is not None and i in items}

    def _update(self, step_id: str, **changes: Any) -> None:
        self.steps[step_id] = self.steps[step_id].model_copy(update=changes)
