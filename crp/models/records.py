"""What a job leaves: its events, its steps, its result and its whole record."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from crp.models.base import Level, Quality, Wire
from crp.models.calls import Attempt, Score, Usage
from crp.models.plans import GateDecision, Match, Plan, Reading
from crp.models.tasks import Job, Library, TemplateSource
from crp.models.traces import ReasoningTrace, Retrieved


class Event(Wire):
    """One fact of a job's life. `sequence` counts from 0 in each job."""

    sequence: int
    at: datetime
    kind: str
    stage: str = ""
    step: str = ""
    attempt: int = 0
    body: dict[str, JsonValue] = Field(default_factory=dict)


class Kept(Wire):
    """One result that a job hands on to its next history: a value, or an error."""

    value: str = "null"
    """As JSON text, which costs nothing to hand on; of an error its details."""
    error: str = ""
    """The error's type."""
    message: str = ""


class Carried(Wire):
    """What a job hands on to its next history."""

    library: Library
    started_at: datetime
    results: dict[str, Kept]
    events: tuple[Event, ...]
    paused_by: str = ""
    asked: int = 0
    """Model calls that were begun."""
    spent: Usage = Usage()
    changes: tuple[str, ...] = ()
    """Changes of the code that the job's path has; see `Stages.changed`."""


StepStatus = Literal["waiting", "running", "done", "accepted", "failed", "skipped", "unneeded"]


FULFILLED: tuple[StepStatus, ...] = ("done", "accepted", "unneeded")


class StepRecord(Wire):
    """How one planned step went."""

    id: str
    step: str
    item: str | None = None
    title: str = ""
    status: StepStatus = "waiting"
    """`accepted`: the best of several attempts was taken although a check failed. `unneeded`: its
    `when` did not hold when its turn came; nothing is missing for it."""
    reason: str = ""
    level_start: Level = Level.NONE
    level_end: Level = Level.NONE
    attempts: int = 0
    quality: Quality | None = None
    output: str = ""
    value: JsonValue = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    needs: tuple[str, ...] = ()

    @property
    def fulfilled(self) -> bool:
        """Whether nothing is missing for it: it gave its output, or was not needed."""
        return self.status in FULFILLED


JobStatus = Literal["running", "completed", "incomplete", "failed", "cancelled"]


class JobResult(Wire):
    """What a job gives back."""

    job_id: str
    status: JobStatus
    answer: str = ""
    chosen: Literal["direct", "probe", "joined", "synthesized", ""] = ""
    quality: Quality | None = None
    scores: tuple[Score, ...] = ()
    probe_text: str | None = None
    template: str = ""
    template_sha256: str = ""
    complexity: int = 0
    gate: GateDecision | None = None
    plan: Plan | None = None
    steps: tuple[StepRecord, ...] = ()
    usage: Usage = Usage()
    seconds: float = 0.0
    trace_id: str = ""
    stored: bool = False
    """Whether the trace entered the library."""
    stored_reason: str = ""
    notes: tuple[str, ...] = ()
    """What a person should know: what was dropped, cut, accepted or left out."""
    error: str = ""


class JobRecord(Wire):
    """Everything about a finished job, as the store keeps it. Idempotent by `job_id`."""

    job: Job
    result: JobResult
    started_at: datetime
    finished_at: datetime
    template_source: TemplateSource | None = None
    template_version: str = ""
    matches: tuple[Match, ...] = ()
    reading: Reading | None = None
    retrieved: Retrieved = Retrieved()
    attempts: tuple[Attempt, ...] = ()
    events: tuple[Event, ...] = ()
    trace: ReasoningTrace | None = None
    """The library entry, if the job deserves one."""
    store_above: Quality = 0.7
    blobs: dict[str, str] = Field(default_factory=dict)
    """Prompts and answers by their sha256; filled in by the activity, not by the workflow."""
