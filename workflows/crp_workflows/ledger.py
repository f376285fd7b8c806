"""What a job has done so far: its events, attempts, steps and what they cost. Pure state.

Events are append-only and number themselves; everything that is shown while a job runs and
recorded when it ends is read from here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from crp.models import Attempt, Event, Plan, PlannedStep, StepRecord, StepStatus, Usage

PREVIEW = 400
"""Characters of an output that an event carries; the whole text is in the record."""


WAITS = {"job.paused": "pause", "approval.awaited": "approval"}
WAITS_END = {"job.resumed": "pause", "approved": "approval"}
"""Events between which a job waits for a person."""
BY_PEOPLE = ("job.paused", "job.resumed")
"""Events that the job's path does not tell again in its next history."""


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
        self.notes: dict[str, None] = {}
        self.on_event: Callable[[Event], None] | None = None
        self._before: dict[str, list[Event]] = {}
        """Events of earlier histories that were not told again yet."""
        self._answered: set[tuple[object, ...]] = set()
        self._waits: set[str] = set()
        """What the job waits for a person for, now."""
        self._waits_since: datetime | None = None
        self._stood = 0.0
        self._tries: dict[str, list[Attempt]] = {}
        self._places: dict[tuple[str, str], int] = {}
        """Where each item of a fan-out stands in its list."""

    def go_on_from(self, events: Iterable[Event]) -> None:
        """Take over what earlier histories told: what is told again now stands there already."""
        self.events = list(events)
        for event in self.events:
            self._wait(event)
        for event in reversed(self.events):
            if event.kind not in BY_PEOPLE:
                self._before.setdefault(_known_by(event), []).append(event)

    def say(
        self, kind: str, *, stage: str = "", step: str = "", attempt: int = 0, **body: Any
    ) -> Event:
        """Append one event; give it, or the one that said this in an earlier history."""
        if self.whole is not None:
            step = self.path(step)
            return self.root.say(kind, stage=stage, step=step, attempt=attempt, inside=True, **body)
        event = Event(
            sequence=len(self.events),
            at=self.now(),
            kind=kind,
            stage=stage,
            step=step,
            attempt=attempt,
            body={name: value for name, value in body.items() if value is not None},
        )
        if self._before and (told := self._before.get(_known_by(event))):
            return told.pop()
        self.events.append(event)
        self._wait(event)
        if self.on_event is not None:
            self.on_event(event)
        return event

    def _wait(self, event: Event) -> None:
        """Let the clock of the waits start and stop: they may overlap."""
        if begins := WAITS.get(event.kind):
            self._waits_since = self._waits_since or event.at
            self._waits.add(begins)
        elif (ends := WAITS_END.get(event.kind)) in self._waits:
            self._waits.remove(ends)
            if not self._waits and self._waits_since is not None:
                self._stood += (event.at - self._waits_since).total_seconds()
                self._waits_since = None

    def stood(self) -> float:
        """Seconds that the job waited for a person, also those of a wait that goes on."""
        since = self._waits_since
        return self._stood + ((self.now() - since).total_seconds() if since else 0.0)

    def note(self, text: str) -> None:
        """Keep something that a person should know, once."""
        if self.whole is not None:
            self.root.note(f"{self.within}: {text}")
            return
        if text not in self.notes:
            self.notes[text] = None
            self.say("noted", text=text)

    def knows(self, attempt: Attempt) -> bool:
        """Whether this is an answer that the job had before, given again by the answer journal.

        A direct answer asks first what the probe has asked: one call, paid and counted once.
        """
        return attempt.replayed and _name(attempt) in self._answered

    def tried(self, attempt: Attempt) -> None:
        """Count one model call."""
        self.attempts.append(attempt)
        self._answered.add(_name(attempt))
        if (attempt.stage, attempt.part) == ("execute", ""):
            self._tries.setdefault(attempt.step, []).append(attempt)
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
        """Start the record of every step; a plan that is made anew takes the place of the last."""
        self.steps = {}
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
        items = [(step.step, step.item) for step in plan.steps if step.item is not None]
        self._places = {name: place for place, name in enumerate(items)}
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
        said = self.say("step.started", stage="execute", step=step.id, title=step.title)
        self._update(step.id, status="running", started_at=said.at)

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
        )
        if taken is not None:
            self._keep(step, taken.value)
        said = self.say(
            f"step.{status}",
            stage="execute",
            step=step.id,
            attempt=max((a.number for a in tries), default=0),
            title=step.title,
            reason=reason or None,
            quality=round(taken.quality, 3) if taken else None,
            preview=taken.output[:PREVIEW] if taken else None,
        )
        self._update(step.id, finished_at=said.at)

    @property
    def root(self) -> Ledger:
        """The ledger of the whole job."""
        return self.whole.root if self.whole else self

    def tries(self, step_id: str) -> list[Attempt]:
        """Give the answers to a step itself, without what its critique and judges said."""
        return self._tries.get(self.path(step_id), [])

    def path(self, step: str) -> str:
        """Say how the whole job calls a step of this part."""
        return ">".join(part for part in (self.within, step) if part)

    def _keep(self, step: PlannedStep, value: JsonValue) -> None:
        if step.item is None:
            self.outputs[step.step] = value
            return
        items = self.outputs.setdefault(step.step, {})
        assert isinstance(items, dict)
        late = next(reversed(items), None) if items else None
        items[step.item] = value
        if late is not None and self._place(step.step, late) > self._place(step.step, step.item):
            # In the order of the list, whichever item was ready first.
            order = sorted(items, key=lambda item: self._place(step.step, item))
            self.outputs[step.step] = {item: items[item] for item in order}

    def _place(self, step: str, item: str) -> int:
        return self._places.get((step, item), 0)

    def _update(self, step_id: str, **changes: Any) -> None:
        self.steps[step_id] = self.steps[step_id].model_copy(update=changes)


def _name(a: Attempt) -> tuple[object, ...]:
    return a.stage, a.step, a.part, a.number, a.round, a.sample, a.prompt_sha256


def _known_by(event: Event) -> str:
    """What two tellings of one event have in common: everything but time and number."""
    body = json.dumps(event.body, sort_keys=True, default=str)
    return f"{event.kind} {event.stage} {event.step} {event.attempt} {body}"
