"""What a job has done so far, put together from its events: a row for each step.

Pure: reads events, knows no screen. All texts in it are clean single lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crp.cli.lines import dicts, line_of, number, text, why
from crp.cli.terminal import one_line
from crp.models import Event
from crp_workflows.attributes import ENDED
from crp_workflows.ledger import WAITS, WAITS_END

_DOING = {
    "job.started": "choosing a template",
    "routed": "looking at the machine",
    "pressure.sampled": "looking for examples",
    "retrieved": "trying the whole task once",
    "extracted": "making the plan",
    "planned": "working on the steps",
    "recorded": "done",
}


@dataclass
class Row:
    """One step, as it is shown."""

    id: str
    title: str
    state: str = "waiting"
    attempt: int = 1
    level: str = ""
    why: str = ""
    """Why the last attempt was not good enough, or the step failed."""
    quality: float | None = None
    seconds: float = 0.0
    tokens: int = 0
    since: datetime | None = None


@dataclass
class Story:
    """Everything that is shown of a job under way."""

    template: str = ""
    gate: str = ""
    doing: str = "waiting for a worker"
    rows: dict[str, Row] = field(default_factory=dict)
    calls: int = 0
    tokens: int = 0
    ended: bool = False
    waits: str = ""
    """The event that makes the job wait for a person; empty: it does not."""

    def add(self, event: Event) -> None:
        """Take one event in."""
        body = event.body
        if body.get("inside") or body.get("part"):  # of a step that is shown as one
            self._count(event)
            return
        self.doing = _DOING.get(event.kind, self.doing)
        self._wait(event)
        if event.kind in ENDED:
            self.ended, self.doing = True, "recording the trace"
        elif event.kind == "routed":
            self.template = f"{text(body, 'template')}, complexity {body.get('complexity')}"
        elif event.kind == "gated":
            self.gate = text(body, "reason")
            self.doing = "making the plan" if body.get("orc") else "answering in one go"
        elif event.kind == "planned":
            self._plan(body)
        elif event.kind == "attempt.finished":
            self._tried(event)
        elif event.kind.startswith("step."):
            self._step(event)

    def _wait(self, event: Event) -> None:
        """A paused job may wait for approval too: what came last is told."""
        if event.kind in WAITS:
            self.waits, self.doing = event.kind, line_of(event)
        elif event.kind in (*WAITS_END, *ENDED):
            self.waits, self.doing = "", "working on the steps"

    def _plan(self, body: dict[str, Any]) -> None:
        self.rows = {}  # a person may have changed the plan
        for step in dicts(body, "steps"):
            row = Row(text(step, "id"), text(step, "title"), level=text(step, "level"))
            item = row.id.partition("/")[2]
            if item and row.title.endswith(f": {item}"):
                # What tells the rows of a fan-out apart comes first: the rest may be cut off.
                row.title = f"{item}: {row.title.removesuffix(f': {item}')}"
            self.rows[row.id] = row

    def _count(self, event: Event) -> None:
        if event.kind == "attempt.finished":
            self.calls += 1
            self.tokens += int(number(event.body.get("tokens")))

    def _tried(self, event: Event) -> None:
        self._count(event)
        row = self.rows.get(one_line(event.step))
        if row is None or event.stage != "execute":
            return
        row.seconds += number(event.body.get("seconds"))
        row.tokens += int(number(event.body.get("tokens")))
        row.attempt, row.level = event.attempt, text(event.body, "level")
        if event.body.get("status") != "ok":
            row.why, row.attempt = why(event), event.attempt + 1

    def _step(self, event: Event) -> None:
        row = self.rows.get(one_line(event.step))
        if row is None:
            return
        row.state = event.kind.removeprefix("step.")
        if row.state == "started":
            row.state, row.since = "running", event.at
            return
        row.attempt = max(1, event.attempt)
        quality = event.body.get("quality")
        row.quality = quality if isinstance(quality, float | int) else None
        row.why = text(event.body, "reason")
        if all(r.state not in ("waiting", "running") for r in self.rows.values()):
            self.doing = "putting the parts together"
