"""The stages of a job: the one thing that workflows and activities both know.

`Stages` is what the orchestration asks for. The Temporal workflow implements it by calling
activities, the in-process engine by calling the same functions directly. `STAGES` says of each
where it runs; time-outs and retry policies stand in `crp_workflows.options`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from pydantic import Field, JsonValue

from crp.language.schema import FewShot, Template
from crp.models import (
    Approval,
    Attempt,
    Call,
    Candidate,
    Complexity,
    CurationReport,
    Example,
    Job,
    JobRecord,
    Library,
    Match,
    MetaLearningConfig,
    Plan,
    Reading,
    Recorded,
    Retrieved,
    Score,
    TemplateSource,
    Wire,
)


class Brief(Wire):
    """What every model call of a job shares: sent as an argument of its own, so that its bytes
    are the same each time and lie in the blob store once."""

    job: Job
    template: Template
    scaffolds: str = ""
    """The text of the pinned scaffolds.yaml."""
    complexity: Complexity
    names: dict[str, JsonValue] = Field(default_factory=dict)
    """Inputs and extracted lists, by name."""
    examples: tuple[Example, ...] = ()


class Route(Wire):
    """Which template a task goes to, compiled, and why."""

    source: TemplateSource
    template: Template
    matches: tuple[Match, ...] = ()
    matched: bool = True
    """False when nothing fits: the model may be asked for a plan."""
    complexity: Complexity
    names: dict[str, JsonValue] = Field(default_factory=dict)
    """Inputs, and the lists that stand in the request itself."""
    notes: tuple[str, ...] = ()
    """What a person should know about how the request was read."""


class PlanRequest(Wire):
    max_steps: int
    made_by: Literal["template", "model", "fallback"] = "template"


class ExamplesWanted(NamedTuple):
    """What a job asks the library for."""

    examples: int
    min_quality: float


def examples_wanted(config: MetaLearningConfig, few_shot: FewShot) -> ExamplesWanted:
    """Let the settings and the template decide together: fewer and better ones win."""
    examples = min(config.icml_max_examples, few_shot.traces) if config.icml_enabled else 0
    least = max(config.rtl_min_quality_for_storage, few_shot.min_quality or 0.0)
    return ExamplesWanted(examples, least)


class Stages(Protocol):
    """The effects of a job. Each raises CRPError types; the caller decides what they mean."""

    def now(self) -> datetime:
        """The time, UTC, the same again on replay."""
        ...

    def changed(self, name: str) -> bool:
        """Whether the job's path has a change of the code. Asked where another release did other
        things: a job that was past this place then goes on as before, so its history still fits."""
        ...

    def known(self, call: Call) -> bool:
        """Whether an earlier history of the job has the answer: then it costs nothing."""
        ...

    async def breathe(self) -> None:
        """Let others have their turn: a job of thousands of steps must not take all of it."""
        ...

    async def route(self, job: Job, library: Library, forced: str | None) -> Route: ...

    async def sample_pressure(self, alias: str) -> Reading: ...

    async def retrieve(
        self, job: Job, source: TemplateSource, limit: int, min_quality: float
    ) -> Retrieved: ...

    async def probe(self, brief: Brief, call: Call) -> Attempt: ...

    async def extract(self, brief: Brief, call: Call) -> Attempt: ...

    async def outline(self, brief: Brief, call: Call) -> Attempt: ...

    async def decompose(self, brief: Brief, request: PlanRequest) -> Plan: ...

    async def approval(self, plan: Plan) -> Approval:
        """Wait for a person's word on a plan."""
        ...

    async def execute(self, brief: Brief, call: Call) -> Attempt: ...

    async def render(self, brief: Brief, call: Call) -> Attempt: ...

    async def synthesize(self, brief: Brief, call: Call) -> Attempt: ...

    async def score(
        self, brief: Brief, candidates: tuple[Candidate, ...], outputs: dict[str, JsonValue]
    ) -> tuple[Score, ...]: ...

    async def record(self, record: JobRecord) -> Recorded: ...

    async def curate(self, config: MetaLearningConfig) -> CurationReport: ...


def stage_of(call: Call) -> str:
    """Name the stage that carries a call out."""
    if call.use:
        return "render"
    if call.part == "judge":
        return "execute"
    return "outline" if call.stage == "decompose" else call.stage


Place = Literal["code", "model", "store"]


class Stage(NamedTuple):
    name: str
    """The activity's name in Temporal."""
    place: Place
    """`code`: any worker. `model`: the queue of the model's alias. `store`: the store's owner."""


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("route", "code"),
        Stage("sample_pressure", "code"),
        Stage("retrieve", "store"),
        Stage("probe", "model"),
        Stage("extract", "model"),
        Stage("outline", "model"),
        Stage("decompose", "code"),
        Stage("execute", "model"),
        Stage("render", "code"),
        Stage("synthesize", "model"),
        Stage("score", "code"),
        Stage("record", "store"),
        Stage("curate", "store"),
    )
}

TASK_TIMEOUT = timedelta(seconds=30)
"""Of a workflow task: a worker that takes a long job over replays its history within one."""

WORKFLOW_QUEUE = "crp"
"""Workflows and the stages whose place is `code`."""

STORE_QUEUE = "crp-store"


def model_queue(alias: str) -> str:
    """The task queue of a model: as many calls run at once as its workers have slots."""
    return f"crp-model-{alias}"
