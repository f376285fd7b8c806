"""Model calls and what came of them: prompts, answers, checks, costs, scores."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from crp.models.base import Level, Quality, Wire

ModelStage = Literal["probe", "extract", "decompose", "execute", "synthesize"]
CallPart = Literal["", "when", "until", "critique", "judge", "check"]


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
    free: bool = False
    """Only such an answer is wanted; without one the attempt is `unknown`, and nobody is asked."""
    seconds: float | None = None
    """What is left of the job's time: when it is over, a call that failed is not tried again."""

    @property
    def step_id(self) -> str:
        """The planned step's id: `profile/Vue` in a fan-out."""
        return self.step if self.item is None else f"{self.step}/{self.item}"


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
    status: Literal["ok", "content", "overflow", "transport", "unknown"] = "ok"
    """`content`: the answer fails its checks. `transport`: no answer came. `unknown`: nobody was
    asked, see `Call.free`; such an attempt is in no record."""
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
