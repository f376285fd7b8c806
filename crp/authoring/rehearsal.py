"""Run one task the way a job runs, with recorded answers or a real model behind every call.

The path is the real one: `Reasoning` over the in-process stages, the envelope, the parser, the
checks. Only what answers a call is different, and nothing is retrieved, stored or journaled. A
call without a recorded answer gets a stand-in, so that one run names everything that is missing.
Touches nothing but the model, if one is given.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import JsonValue

from crp.advanced.in_process import PAUSES, InProcessStages
from crp.authoring.slots import Said, Slot, find, slot_of
from crp.authoring.stand_ins import stand_in, stand_in_list
from crp.blobs import BlobStore
from crp.config import CUT_POINTS, EMBEDDED, EMBEDDED_REASONING
from crp.errors import CRPError
from crp.language import asking
from crp.language.show import show
from crp.models import (
    Attempt,
    Call,
    Completion,
    CurationReport,
    Job,
    JobRecord,
    JobResult,
    Library,
    MetaLearningConfig,
    ModelProfile,
    Pressure,
    Recorded,
    Retrieved,
    Task,
    TemplateSource,
    TransportFailure,
)
from crp.stages import Brief
from crp_activities.answers import Answered, AnswerJournal, AnswerKey
from crp_activities.ask import ask, step_id
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest
from crp_activities.providers.base import estimate_tokens
from crp_activities.tools import Tools
from crp_workflows.orchestration import Reasoning


class NotRecorded(CRPError):
    """A test has no answer to a call."""


class Answers(Protocol):
    """Something that answers the calls of a rehearsal."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """The models that it knows beside `default`."""
        ...

    async def answer(self, said: Said, profile: ModelProfile, request: ModelRequest) -> Completion:
        """Answer one call; `said` says whose, and has no text yet. Raises NotRecorded."""
        ...


class FromRecord:
    """Answer from the `recorded` of a test; `cut` names the answers that were cut off."""

    aliases: tuple[str, ...] = ()

    def __init__(self, recorded: Mapping[str, JsonValue], cut: Mapping[str, str]) -> None:
        self._recorded = recorded
        self._cut = cut

    async def answer(self, said: Said, profile: ModelProfile, request: ModelRequest) -> Completion:
        """Give the recorded text, or raise NotRecorded."""
        text = find(self._recorded, said.slot, said.number, said.sample)
        if text is None:
            raise NotRecorded(said.name)
        return Completion(
            text=text,
            model="recorded",
            finish_reason=self._cut.get(said.name, "stop"),
            prompt_tokens=estimate_tokens("".join(m.content for m in request.messages)),
            completion_tokens=estimate_tokens(text),
        )


class FromModel:
    """Answer with a real model, as the settings say how each is reached."""

    def __init__(self, models: Models, profiles: Mapping[str, ModelProfile]) -> None:
        self._models = models
        self._profiles = profiles
        self.aliases = tuple(profiles)

    async def answer(self, said: Said, profile: ModelProfile, request: ModelRequest) -> Completion:
        """Ask the model behind the alias. Raises ModelError types."""
        real = self._profiles.get(profile.alias) or self._profiles["default"]
        return await self._models.complete(
            real, replace(request, model=real.name, timeout=real.timeout)
        )


@dataclass(frozen=True)
class Rehearsed:
    """A task that was run, and everything that was said on the way."""

    result: JobResult
    names: Mapping[str, JsonValue]
    outputs: Mapping[str, JsonValue]
    said: tuple[Said, ...]
    missing: tuple[str, ...]
    """Calls without a recorded answer."""


async def rehearse(
    task: Task, library: Library, answers: Answers, capability: int, *, judges: bool, patient: bool
) -> Rehearsed:
    """Run a task. `judges`: whether checks of that kind are asked; `patient`: a model that does
    not answer is asked again."""
    stages = RehearsalStages(answers, PAUSES if patient else ())
    job = job_of(task, capability, judges=judges, aliases=answers.aliases)
    reasoning = Reasoning(job, library, stages)
    result = await reasoning.run()
    return Rehearsed(
        result=result,
        names=reasoning.brief.names if reasoning.brief else {},
        outputs=dict(reasoning.ledger.outputs),
        said=tuple(stages.said),
        missing=tuple(dict.fromkeys(stages.missing)),
    )


def job_of(
    task: Task, capability: int, *, judges: bool = False, aliases: Sequence[str] = ()
) -> Job:
    """Make the job that a rehearsal or a preview is about.

    What the prompts depend on is the same on every machine: capability 0 is the embedded model
    with its settings, any other a model with the default ones. Examples are never retrieved.
    """
    given: dict[str, Any] = {"rtl_enabled": False, "gate": "rules"}
    profile = ModelProfile(name="recorded", capability=capability)
    if capability == 0:
        profile = EMBEDDED.profile("default", CUT_POINTS)
        given |= EMBEDDED_REASONING
    models = {alias: profile.model_copy(update={"alias": alias}) for alias in aliases}
    judge = profile.model_copy(update={"alias": "judge", "capability": int(judges)})
    return Job(
        job_id="rehearsal",
        task=task.model_copy(update={"pressure": Pressure.NONE}),
        config=MetaLearningConfig(**given),
        models={**models, "default": profile, "judge": judge},
        submitted_at=datetime.now(UTC),
    )


class RehearsalStages(InProcessStages):
    """The stages of a job whose answers come from elsewhere, and of which nothing stays."""

    def __init__(self, answers: Answers, pauses: Sequence[float] = ()) -> None:
        self._tools = Tools(Models.of({}), _Notebook(), _Texts())
        nothing: Any = None  # every stage that would use a store is overridden
        super().__init__(self._tools, nothing, pauses)
        self._answers = answers
        self._given: Counter[tuple[Slot, int]] = Counter()
        self.said: list[Said] = []
        self.missing: list[str] = []

    async def probe(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    async def extract(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    async def outline(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    async def execute(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    async def synthesize(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    async def retrieve(
        self, job: Job, source: TemplateSource, limit: int, min_quality: float
    ) -> Retrieved:
        return Retrieved()

    async def record(self, record: JobRecord) -> Recorded:
        return Recorded(job_id=record.job.job_id, reason="a rehearsal")

    async def curate(self, config: MetaLearningConfig) -> CurationReport:
        return CurationReport()

    async def _ask(self, brief: Brief, call: Call) -> Attempt:
        """Ask as a worker does; a call that nobody has recorded an answer to gets a stand-in."""
        given: list[Said] = []

        async def answered(profile: ModelProfile, request: ModelRequest) -> Completion:
            blank = self._next(call)
            completion = await self._answers.answer(blank, profile, request)
            text, reason = completion.text, completion.finish_reason
            given.append(blank._replace(text=text, finish_reason=reason))
            return completion

        tools = replace(self._tools, models=_Answering(answered))
        try:
            attempt = await self._patiently(lambda: ask(tools, brief, call))
        except NotRecorded as missing:
            self.missing.append(str(missing))
            return _stand_in(brief, call)
        self.said += [s._replace(prompt_sha256=attempt.prompt_sha256) for s in given]
        return attempt

    def _next(self, call: Call) -> Said:
        slot = slot_of(call)
        number = self._given[slot, call.sample]
        self._given[slot, call.sample] += 1
        return Said(slot, number, call.sample, "", "")


def _stand_in(brief: Brief, call: Call) -> Attempt:
    value: JsonValue
    if call.stage == "extract":
        value = stand_in_list(next(e for e in brief.template.extract if e.name == call.step))
    else:
        question = asking.question(brief, call)
        value = stand_in(question.output, f"answer of {slot_of(call).name}", question.names)
    return Attempt(
        stage=call.stage,
        step=step_id(call),
        part=call.part,
        number=call.number,
        round=call.round,
        sample=call.sample,
        output=show(value),
        value=value,
        quality=1.0,
    )


# -- tools that touch nothing ---------------------------------------------------------------------


class _Answering(Models):
    """Every model is one function."""

    def __init__(
        self, answered: Callable[[ModelProfile, ModelRequest], Awaitable[Completion]]
    ) -> None:
        super().__init__()
        self._answered = answered

    async def complete(self, profile: ModelProfile, request: ModelRequest) -> Completion:
        return await self._answered(profile, request)


class _Notebook(AnswerJournal):
    """An answer journal in memory: the same question again is not asked twice."""

    def __init__(self) -> None:
        self._known: dict[str, Completion] = {}

    async def once(
        self,
        key: AnswerKey,
        call: Callable[[], Awaitable[Completion]],
        give_up: Callable[[], Awaitable[bool]] | None = None,
    ) -> Answered:
        if key.digest in self._known:
            return Answered(self._known[key.digest], True)
        self._known[key.digest] = completion = await call()
        return Answered(completion, False)

    def failures(self, key: AnswerKey) -> tuple[TransportFailure, ...]:
        return ()

    def add_failure(self, key: AnswerKey, failure: TransportFailure) -> None:
        pass


class _Texts(BlobStore):
    """A blob store that keeps nothing but knows every name."""

    def __init__(self) -> None:
        pass

    def put(self, data: bytes, owner: str = "", *, durable: bool = True) -> str:
        return hashlib.sha256(data).hexdigest()
