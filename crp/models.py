"""Every model that crosses a boundary: workflow, activity, store, command line, Python API.

Nothing here does I/O or reads a clock. Wire models are frozen and ignore unknown fields, so a
history written by a newer version can still be replayed. Times are UTC, durations in seconds,
qualities in 0..1, texts are str.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from crp.errors import ConfigError

Quality = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""0 to 1. NaN and values outside are refused."""

Capability = Annotated[int, Field(ge=0, le=3)]
Complexity = Annotated[int, Field(ge=1, le=5)]


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# -- levels ---------------------------------------------------------------------------------


class Level(IntEnum):
    """How much help a prompt gets (spec, section 5)."""

    NONE = 0
    LIGHT = 1
    MEDIUM = 2
    HEAVY = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def help(self) -> str:
        """How people are told: `no help`, `light help`."""
        return f"{'no' if self is Level.NONE else self.word} help"

    @classmethod
    def named(cls, word: str) -> Level:
        return cls[word.upper()]

    def heavier(self) -> Level:
        return Level(min(self + 1, Level.HEAVY))


LevelWord = Literal["auto", "none", "light", "medium", "heavy"]


class Pressure(IntEnum):
    """How scarce the machine's resources are (spec, section 2)."""

    NONE = 0
    LOW = 1
    MODERATE = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def named(cls, word: str | Pressure) -> Pressure:
        """Read a pressure by its name, in any case; `medium` means MODERATE."""
        if isinstance(word, Pressure):
            return word
        name = str(word).strip().upper()
        try:
            return cls["MODERATE" if name == "MEDIUM" else name]
        except KeyError:
            names = ", ".join(p.name for p in cls)
            raise ConfigError(f"no resource pressure {word!r}: it is one of {names}") from None


# -- the public types of the Python API (spec, section 9) --------------------------------------


class ReasoningStep(BaseModel):
    """One step of a reasoning chain, as it is shown in worked examples."""

    step_description: str = ""
    system_prompt_template: str = ""
    expected_output_format: str = ""
    scaffold_level: int = Field(default=0, ge=0, le=3)


class ReasoningTrace(BaseModel):
    """A finished chain that may serve as an example. `created_at` is in Unix seconds."""

    model_config = ConfigDict(validate_assignment=True)

    trace_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    task_type: str = ""
    task_summary: str = ""
    steps: list[ReasoningStep] = Field(default_factory=list)
    model_class: str = ""
    quality_score: Quality = 0.0
    created_at: float = Field(default_factory=time.time)
    usage_count: int = Field(default=0, ge=0)

    def to_dict(self) -> dict[str, Any]:
        """Give the trace as JSON data, in the form of the reference implementation."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote. Unknown keys are ignored, missing ones get defaults."""
        return cls.model_validate(dict(data))


class MetaLearningConfig(BaseModel):
    """How the engine decides. Every field has an effect; a wrong value is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    """False: a job is one plain dispatch; nothing is retrieved, scaffolded or stored."""
    orc_enabled: bool = True
    orc_max_steps: int = Field(default=10, ge=1, le=100)
    orc_min_model_capability: Capability = 1
    orc_probe_threshold: Quality = 0.7
    """A probe of this quality is the answer."""
    gate: Literal["rules", "evidence"] = "evidence"
    """Whether the gate may use what the store knows about this template and this model."""
    icml_enabled: bool = True
    icml_max_examples: int = Field(default=3, ge=0, le=50)
    icml_hold_out: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the jobs that get no examples, so that their effect can be measured."""
    rtl_enabled: bool = True
    rtl_min_quality_for_storage: Quality = 0.7
    rtl_max_traces: int = Field(default=1000, ge=1)
    """Most library entries of one task type."""
    rtl_grace_jobs: int = Field(default=50, ge=0)
    """A trace is not retired as unused before this many later jobs of its task type."""
    scaffold_level: LevelWord = "auto"
    curation_interval: int = Field(default=5, ge=1)


# -- what a job is asked ----------------------------------------------------------------------


class ModelProfile(Wire):
    """What the decisions need to know of a model. Never holds a key."""

    alias: str = "default"
    provider: Literal["embedded", "openai", "callable", "scripted"] = "openai"
    name: str = ""
    """The model's name at its server."""
    base_url: str = ""
    capability: Capability = 1
    context_window: int = Field(default=8192, ge=256)
    """Tokens that prompt and answer share."""
    concurrency: int = Field(default=4, ge=1)
    """Calls that may be under way at once."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds that one call may take."""
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(default=512, ge=1)
    """Longest answer when a step does not say."""
    structured: bool = True
    """Whether the server is asked for JSON-schema output where a step has a schema."""
    repeat_penalty: float | None = None
    input_price: float = Field(default=0.0, ge=0)
    """Money per million prompt tokens."""
    output_price: float = Field(default=0.0, ge=0)
    model_classes: tuple[str, str, str, str] = ("<0.5B", "0.5B-1B", "2B-7B", "7B+")

    @property
    def model_class(self) -> str:
        """The class label in traces: an opaque name."""
        return self.model_classes[self.capability]


class TemplateSource(Wire):
    """The exact text of one template, pinned."""

    name: str
    text: str
    sha256: str
    origin: str = ""
    """Where it was found, for people: `box`, `user`, `project` or a path."""
    base: str = ""
    """The text of the template that it extends; `sha256` is then that of both, one after the
    other."""


class Library(Wire):
    """All templates that a job may use, frozen when the job starts."""

    templates: tuple[TemplateSource, ...] = ()
    scaffolds: str = ""
    """The text of scaffolds.yaml: the default help of each level."""
    snippets: str = ""
    """The text of _snippets.yaml: texts that every template may use."""

    def get(self, name: str) -> TemplateSource | None:
        return next((t for t in self.templates if t.name == name), None)


class Task(Wire):
    """What a user wants solved."""

    text: str = Field(min_length=1)
    context: str = ""
    """Facts to answer from."""
    context_sha256: str = ""
    """Where the facts lie in the blob store, when they are too long to travel: see `crp.facts`."""
    system_prompt: str = ""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    template: str | None = None
    """Forces a template; None routes."""
    orc: Literal["auto", "on", "off"] = "auto"
    probe: Literal["auto", "always"] = "auto"
    """`always` makes the probe even when the gate does not need it (to show it)."""
    complexity: Complexity | None = None
    pressure: Pressure | None = None
    examples: tuple[ReasoningTrace, ...] | None = None
    """An explicit list overrides retrieval; an empty one means none."""

    @field_validator("text")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("the task is empty: say what you want to know")
        return text


class Budget(Wire):
    """The most that a job may cost. It ends with the best answer so far when a part is used up.

    `calls` is exact. The others are looked at before each call: calls that are under way then may
    go over them.
    """

    calls: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0)
    """In the money of the models' prices."""
    seconds: float | None = Field(default=None, gt=0)
    """Since the job's start, without the time that it waited for a person."""


class Origin(Wire):
    """The job that a fork was made of: its answers are given again instead of asking a model."""

    job_id: str
    step: str = ""
    """The planned step (`profile/Vue`), or the step of the template (`profile`), that is asked
    anew with all that depends on it; `synthesize` for the last one; empty: whatever is known is
    given again."""
    also: tuple[str, ...] = ()
    """Further steps that are asked anew, with all that depends on them."""


class Job(Wire):
    """The input of one job, frozen."""

    job_id: str
    task: Task
    config: MetaLearningConfig = MetaLearningConfig()
    models: dict[str, ModelProfile]
    """By alias; `default` is always there."""
    submitted_at: datetime
    store_queue: str = "crp-store"
    """The task queue of the trace store's owner."""
    budget: Budget = Budget()
    approve: bool = False
    """Whether a person has to approve the plan before anything of it runs."""
    origin: Origin | None = None
    """Set in a fork."""

    def model(self, alias: str) -> ModelProfile:
        """The profile behind an alias; an alias that is not configured means the default."""
        return self.models.get(alias) or self.models["default"]


# -- what the stages say to each other ----------------------------------------------------------


class Problem(Wire):
    """One mistake or warning in a template, with its place (1-based)."""

    file: str
    line: int
    column: int
    severity: Literal["error", "warning"] = "error"
    message: str
    code: str
    help: str = ""
    source_line: str = ""
    width: int = 1

    def __str__(self) -> str:
        head = (
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.code}]"
        )
        parts = [head]
        if self.source_line:
            gutter = f" {self.line} | "
            parts.append(gutter + self.source_line)
            parts.append(
                " " * (len(gutter) - 2) + "| " + " " * (self.column - 1) + "^" * self.width
            )
        if self.help:
            parts.append(f"     = help: {self.help}")
        return "\n".join(parts)


class Match(Wire):
    """How well one template fits a request, and why."""

    template: str
    score: float
    reasons: tuple[str, ...] = ()


class Reading(Wire):
    """What the machine that would run the steps says of itself."""

    pressure: Pressure
    reason: str
    memory_used: float = 0.0
    """Share of memory in use, 0..1."""
    load: float = 0.0
    """Running processes per core."""
    wait: float = 0.0
    """Seconds that model calls currently wait for a slot."""


class Evidence(Wire):
    """What the store knows about this template with this model."""

    jobs: int
    """Jobs in which probe and chain were both scored."""
    lift: float
    """Mean of chain quality minus probe quality."""
    low: float
    high: float
    """The 95% interval of the lift."""


class Example(Wire):
    """One trace that was offered to a job."""

    trace: ReasoningTrace
    overlap: int
    """Words that task and trace share."""
    similarity: Quality
    """Jaccard: shared words over all words of both."""
    rank: int


class Receipt(Wire):
    """Where the trace store keeps what it decided: the entry of its journal, and when.

    It lies in the histories too, so that a store can be made again from them, row by row.
    """

    sequence: int
    at: datetime


class Offer(Wire):
    """One trace that was found for a job."""

    trace_id: str
    rank: int
    overlap: int
    similarity: Quality
    usage_count: int = 0
    """How often it had been shown before this job."""


class Retrieved(Wire):
    examples: tuple[Example, ...] = ()
    held_out: bool = False
    """The job was chosen to run without examples."""
    candidates: int = 0
    evidence: Evidence | None = None
    note: str = ""
    offers: tuple[Offer, ...] = ()
    """What was found, also when the job was held out."""
    receipt: Receipt | None = None


class GateDecision(Wire):
    """Whether ORC runs, which rule said so, and whether a probe is still needed."""

    orc: bool
    rule: Literal[
        "disabled",
        "forced",
        "pressure",
        "capability_floor",
        "complexity",
        "probe",
        "evidence",
        "open",
    ]
    reason: str
    needs_probe: bool = False


class Rung(Wire):
    """One rung of the ladder: what to do after a failed attempt."""

    action: Literal[
        "retry", "heavier", "scaffold", "model", "temperature", "use", "accept_best", "skip", "stop"
    ]
    value: str | float | None = None


class PlannedStep(Wire):
    """One micro-step of a plan: a template step, or one item of a fan-out of it."""

    id: str
    """`table`, or `profile/Vue` for one item of a fan-out."""
    step: str
    item: str | None = None
    index: int = 0
    """Position in the fan-out, from 0."""
    title: str
    description: str = ""
    kind: Literal["prompt", "render", "calculate", "pick", "use"] = "prompt"
    needs: tuple[str, ...] = ()
    """Ids of the planned steps whose outputs it reads."""
    optional_needs: tuple[str, ...] = ()
    """Needs that it can do without when they failed."""
    late: bool = False
    """Its `when` is decided when its turn comes."""
    level: Level = Level.NONE
    model: str = "default"
    ladder: tuple[Rung, ...] = ()
    max_tokens: int = 512


class Plan(Wire):
    """The steps of a job, fixed from the moment it is made."""

    steps: tuple[PlannedStep, ...] = ()
    made_by: Literal["template", "model", "fallback"] = "template"
    cut: tuple[str, ...] = ()
    """Titles of steps that were cut to stay under the cap."""
    calls_likely: int = 0
    calls_worst: int = 0
    tokens_likely: int = 0
    tokens_worst: int = 0

    def step(self, step_id: str) -> PlannedStep:
        return next(s for s in self.steps if s.id == step_id)


class Approval(Wire):
    """What a person says of a plan: go on, and with which changes."""

    by: str = ""
    drop: tuple[str, ...] = ()
    """Steps to leave out, by their id or by that of their template's step."""
    template: TemplateSource | None = None
    """The template as the person wants it; the plan is made again from it."""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    """Inputs and lists to use instead of those that were found."""


class Standing(Wire):
    """How a job that is under way stands."""

    paused_by: str = ""
    awaits_approval: Plan | None = None
    under_way: int = 0
    """Effects that run now."""


class Verdict(Wire):
    """What one check says of one output."""

    check: str
    """The check in the template's words, such as `covers: items`."""
    score: Quality
    passed: bool
    weight: float = 1.0
    detail: str = ""
    """What was found, for people."""
    hint: str = ""
    """What the model is told when it is asked again."""


class Usage(Wire):
    """What model calls cost. Sums with +."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    """Time that the model took."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost=self.cost + other.cost,
            seconds=self.seconds + other.seconds,
        )

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class TransportFailure(Wire):
    """One model call that did not answer; the same prompt was tried again."""

    at: datetime
    kind: str
    """The error's type, such as `RateLimited`."""
    message: str
    retry_after: float | None = None


class Message(Wire):
    role: Literal["system", "user", "assistant"]
    content: str


class Completion(Wire):
    """What a model answered."""

    text: str
    finish_reason: str = "stop"
    """`stop`, `length` (cut off), or what the server said."""
    model: str = ""
    """The model's name as the server gave it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    time_to_first_token: float | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


ModelStage = Literal["probe", "extract", "decompose", "execute", "synthesize"]


CallPart = Literal["", "when", "until", "critique", "judge", "check"]


class Call(Wire):
    """One question to a model, or one text to render: what the activity needs beside the brief."""

    stage: ModelStage
    step: str = ""
    """The id of the template's step or list; empty for the probe."""
    part: CallPart = ""
    """What of the step is meant: the step itself, its conditions, its critique, a judge; or
    `check`: hold `draft`, which another template made, to what the step asks."""
    within: str = ""
    """The planned id of the step, in the job's own template, that this call works for: `use`."""
    item: str | None = None
    index: int = 0
    number: int = 1
    """The attempt, from 1."""
    round: int = 0
    """Of `repeat`, from 0."""
    sample: int = 0
    """Of `samples`, from 0."""
    level: Level = Level.NONE
    model: str = "default"
    temperature: float | None = None
    hints: tuple[str, ...] = ()
    """Why the last attempt was not good enough."""
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    """What earlier steps made, by step id: a value, or for a fan-out a mapping item -> value. A
    step in sequence finds its own earlier items here."""
    draft: JsonValue = None
    """The answer that a critique, a judge or a check looks at; in a later round of `repeat`, the
    last one."""
    critique: JsonValue = None
    """What the critique said of `draft`."""
    question: str = ""
    """A judge's."""
    use: str = ""
    """The template that answers instead of a prompt: the rung `use`."""
    shrink: int = 0
    """How often the prompt was too long for the server: each halves its budget."""
    origin: str = ""
    """The job whose answer to this is given again, where it has one: a fork's."""


class Attempt(Wire):
    """One model call made for a step, with everything that is worth knowing about it."""

    stage: ModelStage
    step: str = ""
    """The planned step's id (`profile/Vue`); empty for the probe."""
    part: CallPart = ""
    number: int = 1
    round: int = 0
    sample: int = 0
    level: Level = Level.NONE
    model: str = "default"
    status: Literal["ok", "content", "overflow", "transport"] = "ok"
    """`content`: the answer fails its checks. `transport`: no answer came."""
    output: str = ""
    """The answer without what the scaffold made the model write around it."""
    value: JsonValue = None
    """The parsed output, as later steps see it."""
    verdicts: tuple[Verdict, ...] = ()
    quality: Quality = 0.0
    """Weighted mean of the verdicts."""
    finish_reason: str = ""
    """What the server said; `loop` when what the model said again and again was taken off."""
    response_model: str = ""
    usage: Usage = Usage()
    prompt_sha256: str = ""
    """Where the prompt lies in the blob store."""
    raw_sha256: str = ""
    """Where the untouched answer lies, when it differs from `output`."""
    dropped: tuple[str, ...] = ()
    """What did not fit the context window: `examples`, `facts`."""
    transport: tuple[TransportFailure, ...] = ()
    replayed: bool = False
    """The answer came from the answer journal: it was not paid for again."""
    queued: float = 0.0
    """Seconds between scheduling and start."""
    time_to_first_token: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stop: bool = False
    """A check that failed says `otherwise: stop`."""
    error: str = ""

    @property
    def usable(self) -> bool:
        """Whether `accept_best` may take it: there is something, in the declared form."""
        return self.status in ("ok", "content") and self.value is not None and self.output != ""


class Candidate(Wire):
    """A text that may become the answer."""

    kind: Literal["direct", "probe", "joined", "synthesized"]
    text: str
    value: JsonValue = None
    finish_reason: str = "stop"
    judged: dict[str, float] = Field(default_factory=dict)
    """What a judge said, 0 or 1, by its question."""


class Score(Wire):
    """The quality of one candidate, with the parts that explain it."""

    candidate: Literal["direct", "probe", "joined", "synthesized"]
    value: Quality
    parts: tuple[Verdict, ...] = ()
    by: str = "checks"


# -- the record of a job -------------------------------------------------------------------------


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

    value: JsonValue = None
    """As JSON; of an error its details."""
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


class Recorded(Wire):
    """The store's answer to a record."""

    job_id: str
    duplicate: bool = False
    stored: bool = False
    reason: str = ""
    curation_due: bool = False
    receipt: Receipt | None = None


class Retired(Wire):
    """One trace that curation took out of the library, and why."""

    trace_id: str
    task_type: str = ""
    reason: str
    detail: str = ""
    quality: float = 0.0
    usage_count: int = 0
    later_jobs: int = 0


class CurationReport(Wire):
    considered: int = 0
    retired: int = 0
    reasons: dict[str, int] = Field(default_factory=dict)
    traces: tuple[Retired, ...] = ()
    """Those that were retired."""
    receipt: Receipt | None = None
