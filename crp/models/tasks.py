"""What a job is asked, and by what rules: the input of a job, frozen when it starts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crp.models.base import Capability, Complexity, Inputs, LevelWord, Pressure, Quality, Wire
from crp.models.traces import ReasoningTrace


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
    inputs: Inputs = Field(default_factory=dict)
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
    whole_task: bool = False
    """Whether the whole task, which the probe or the direct answer asks, is asked anew too: it goes
    to another model."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Planned steps that a person took out of that job's plan, and who."""


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
