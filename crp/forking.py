"""Make a job out of another one: a fork with something changed, or a retry of what failed.

The new job is a job like any other; what it asks at a place where the first one has an answer is
answered from the answer journal, free. Touches Temporal, and the trace store through its owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import JsonValue
from temporalio.client import RPCError, WorkflowExecutionStatus, WorkflowHistoryEventFilterType
from temporalio.common import Priority
from temporalio.service import RPCStatusCode

from crp.client import Engine, handle, submit
from crp.errors import NotFound, UsageError
from crp.failures import from_failure
from crp.following import end_of
from crp.language.schema import Step
from crp.language.shapes import suggest
from crp.models import (
    Attempt,
    Budget,
    Carried,
    Event,
    Job,
    JobResult,
    Library,
    ModelProfile,
    Origin,
    Pressure,
    Task,
    TemplateSource,
)
from crp.records import Records
from crp.request import Request, chance
from crp.templates import compiled, find_library

MOST_NAMES = 12
"""Step names in a message; a plan may have thousands."""
_FORKED = re.compile(r"(-fork-[a-z0-9]{5})+$")
_BEGIN: Any = Library | Carried


@dataclass(frozen=True)
class Changes:
    """What the new job has otherwise than the first one; what is not given stays."""

    template: TemplateSource | None = None
    library: Library | None = None
    """Where the template's own base, snippets and other templates are; None: the first job's."""
    models: Mapping[str, ModelProfile] = field(default_factory=dict)
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    context: str | None = None
    budget: Budget = field(default_factory=Budget)
    """Limits that are not given stay."""
    approve: bool = False
    priority: int | None = None
    fairness_key: str = ""

    @property
    def needs_step(self) -> bool:
        """Whether it changes what is asked, so that old answers given again may be beside it. Of a
        template, code finds the steps that changed."""
        return bool(self.models or self.inputs) or self.context is not None


@dataclass(frozen=True)
class First:
    """The job that another one is made of."""

    job: Job
    library: Library
    result: JobResult | None = None
    """None while it runs, and when nobody knows it any more."""
    attempts: tuple[Attempt, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Steps that a person took out of the plan, and who."""
    priority: Priority = field(default_factory=Priority)
    pressure: Pressure | None = None
    """Under which its plan was made."""

    def step_names(self) -> list[str]:
        """What a fork may begin with."""
        steps = self.result.plan.steps if self.result and self.result.plan else ()
        names = [name for step in steps for name in (step.id, step.step)]
        return list(dict.fromkeys([*names, "synthesize"])) if steps else []


async def fork(engine: Engine, job_id: str, changes: Changes = Changes(), step: str = "") -> str:
    """Start a job that is made of another one, and give its id.

    Asked anew is `step` with all that depends on it, and whatever the first job has no answer to.
    With another template and no `step`, those are the steps that it asks otherwise. Raises
    NotFound, TemplateError, and UsageError for a step that the first job's plan does not have.
    """
    first = await first_of(engine, job_id)
    if changes.template is None:
        _check_step(first, job_id, step)
        return await _start(engine, first, job_id, changes, Origin(job_id=job_id, step=step))
    begins = (step,) if step else changed_steps(first, changes.template, changes.library)
    origin = Origin(job_id=job_id, step=begins[0] if begins else "", also=begins[1:])
    return await _start(engine, first, job_id, changes, origin)


async def retry(engine: Engine, job_id: str, step: str = "") -> str:
    """Start a job that asks anew what failed in another one, and give its id.

    With `step`, that step alone with all that depends on it. All other answers are given again.
    Raises NotFound, and UsageError for a job that still runs or in which nothing failed.
    """
    if await _runs(engine, job_id):
        raise UsageError(f"the job {job_id} still runs: what fails is asked again by itself")
    first = await first_of(engine, job_id)
    _check_step(first, job_id, step)
    if first.result and first.result.status == "completed":
        raise UsageError(
            f"nothing failed in the job {job_id}: `crp jobs fork {job_id} --from STEP` asks anew"
        )
    return await _start(engine, first, job_id, Changes(), _origin_of_retry(first, job_id, step))


def changed_steps(first: First, new: TemplateSource, library: Library | None) -> tuple[str, ...]:
    """Give the steps that a template asks otherwise than that of the first job did.

    Other checks alone do not count: they judge the answers that are there. Raises TemplateError.
    """
    name = first.result.template if first.result else ""
    old = first.library.get(name or first.job.task.template or "")
    if old is None:
        return ()
    before, after = compiled(old, first.library), compiled(new, library or first.library)
    shared = ("scaffolds", "on_fail", "few_shot", "extract", "inputs")
    same = old.name == new.name and all(getattr(before, f) == getattr(after, f) for f in shared)
    known = {s.id: _asks(s) for s in before.steps} if same else {}
    changed = [s.id for s in after.steps if known.get(s.id) != _asks(s)]
    ends = [t.synthesize and _asks(t.synthesize) for t in (before, after)]
    return (*changed, *(["synthesize"] if ends[0] != ends[1] else []))


def _asks(step: Step) -> dict[str, Any]:
    return step.model_dump(exclude={"title", "checks", "on_fail"})


def _origin_of_retry(first: First, job_id: str, step: str) -> Origin | None:
    begins = (step,) if step else failed_steps(first)
    if begins:
        return Origin(job_id=job_id, step=begins[0], also=begins[1:])
    failed = first.result is not None and first.result.status == "failed"
    if failed and first.attempts and first.attempts[-1].status != "transport":
        return None  # the whole task was answered, and badly: nothing of that is worth having
    return Origin(job_id=job_id)


def failed_steps(first: First) -> tuple[str, ...]:
    """Steps that were answered, and not well enough; in the order of the plan.

    A step without any answer is asked by every fork.
    """
    if first.result is None:
        return ()
    last = {attempt.step.split(">")[0]: attempt for attempt in first.attempts}
    stopped = {step for step, a in last.items() if a.status in ("content", "overflow")}
    failed = first.result.status == "failed"
    return tuple(
        s.id
        for s in first.result.steps
        if s.status == "failed"
        or (s.status == "skipped" and s.attempts)
        or (s.status == "running" and failed and s.id in stopped)
    )


async def again(engine: Engine, job_id: str, request: Request) -> Request:
    """Let a request that was tried before have the answers of that job free: all but those that
    failed, and those that its templates ask otherwise by now. Raises EngineError."""
    try:
        first = await first_of(engine, job_id)
    except NotFound:
        return request
    origin = _origin_of_retry(first, job_id, "")
    now = request.library.get(first.result.template) if first.result else None
    if origin is None or now is None:
        return request
    begins = dict.fromkeys([*failed_steps(first), *changed_steps(first, now, request.library)])
    step, *also = begins or [""]
    origin = origin.model_copy(update={"step": step, "also": tuple(also)})
    return replace(request, origin=origin, task=_split_as_before(first, request.task, origin))


# -- the first job --------------------------------------------------------------------------------


async def first_of(engine: Engine, job_id: str) -> First:
    """Find out what a job was asked, from its history or, where that is gone, from its record.

    The record comes first: it knows what a person changed in the plan. Raises NotFound.
    """
    record = await Records(engine.settings, engine).record(job_id)
    try:
        job, library, priority = await started_with(engine, job_id)
    except NotFound:
        if record is None:
            raise NotFound(f"no job {job_id!r} that could be forked") from None
        library, priority = find_library(engine.settings).library, Priority()
    if record is None:
        return First(job, library, await _result(engine, job_id), priority=priority)
    job, source = record.job, record.template_source
    if source is not None and library.get(source.name) != source:
        library = _with_template(library, source)
        if job.task.template is None and record.result.plan is not None:
            job = _forced(job, source.name)
    pressure = record.reading.pressure if record.reading else None
    left_out = _left_out(record.events)
    return First(job, library, record.result, record.attempts, left_out, priority, pressure)


def _left_out(events: Sequence[Event]) -> dict[str, str]:
    """Say which steps were taken out of the plan when it was approved, and by whom."""
    found: dict[str, str] = {}
    for body in (event.body for event in events if event.kind == "approved"):
        steps = body.get("dropped")
        found |= {
            str(s): str(body.get("by", "")) for s in (steps if isinstance(steps, list) else ())
        }
    return found


class Started(NamedTuple):
    """What a job was started with."""

    job: Job
    library: Library
    priority: Priority


async def started_with(engine: Engine, job_id: str) -> Started:
    """Read from Temporal what a job was started with. Raises NotFound."""
    converter = engine.client.data_converter
    filter = WorkflowHistoryEventFilterType.ALL_EVENT
    try:
        events = handle(engine, job_id).fetch_history_events(page_size=1, event_filter_type=filter)
        event = await anext(aiter(events))
    except RPCError as error:
        raise from_failure(error) from None
    started = event.workflow_execution_started_event_attributes
    job, begin = await converter.decode(started.input.payloads, [Job, _BEGIN])
    library = begin.library if isinstance(begin, Carried) else begin
    turn = started.priority
    return Started(job, library, Priority(turn.priority_key or None, turn.fairness_key or None))


async def _runs(engine: Engine, job_id: str) -> bool:
    try:
        status = (await handle(engine, job_id).describe()).status
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise from_failure(error) from None
    return status == WorkflowExecutionStatus.RUNNING


async def _result(engine: Engine, job_id: str) -> JobResult | None:
    """The end of a job without a record, when it has one."""
    return None if await _runs(engine, job_id) else (await end_of(engine, job_id, _Deaf())).result


class _Deaf:
    def event(self, event: Event) -> None:
        """Nobody wants to know."""

    def note(self, text: str) -> None:
        """Nor this."""


# -- the new job ----------------------------------------------------------------------------------


def _check_step(first: First, job_id: str, step: str) -> None:
    if not step or first.result is None:
        return
    names = first.step_names()
    if step not in names:
        there = suggest(step, names) or _some(names) if names else "it was answered in one go"
        raise UsageError(f"the plan of {job_id} has no step {step!r}: {there}")


def _some(names: Sequence[str]) -> str:
    further = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"there are {', '.join(names[:MOST_NAMES])}{further}"


async def _start(
    engine: Engine, first: First, job_id: str, changes: Changes, origin: Origin | None
) -> str:
    request = forked(first, changes, origin)
    return await submit(engine, request, job_id=f"{_FORKED.sub('', job_id)}-fork-{chance()}")


def forked(first: First, changes: Changes, origin: Origin | None) -> Request:
    """Write down the new job. Pure."""
    job, library = first.job, changes.library or first.library
    if changes.template is not None:
        library = _with_template(library, changes.template)
        job = _forced(job, changes.template.name)
    if origin is not None:
        left_out = {step: by for step, by in first.left_out.items() if step != origin.step}
        other = "default" in changes.models or changes.context is not None
        origin = origin.model_copy(update={"left_out": left_out, "whole_task": other})
    task = _split_as_before(first, job.task, origin)
    task = task.model_copy(update={"inputs": {**task.inputs, **changes.inputs}})
    if changes.context is not None:
        task = task.model_copy(update={"context": changes.context, "context_sha256": ""})
    limits = changes.budget.model_dump(exclude_none=True)
    return Request(
        task=task,
        config=job.config,
        models={**job.models, **changes.models},
        library=library,
        budget=job.budget.model_copy(update=limits),
        approve=changes.approve,
        origin=origin,
        priority=changes.priority or first.priority.priority_key,
        fairness_key=changes.fairness_key or first.priority.fairness_key or "",
    )


def _split_as_before(first: First, task: Task, origin: Origin | None) -> Task:
    """Where the first job was split, the new one is too, into as many steps: with another model or
    at another time the gate might open otherwise."""
    if first.result is None or first.result.plan is None:
        return task
    free = origin is not None and not origin.whole_task and first.result.probe_text is not None
    probe = "always" if free else task.probe
    pressure = first.pressure or task.pressure
    return task.model_copy(update={"orc": "on", "pressure": pressure, "probe": probe})


def _with_template(library: Library, source: TemplateSource) -> Library:
    others = (t for t in library.templates if t.name != source.name)
    return library.model_copy(update={"templates": (source, *others)})


def _forced(job: Job, template: str) -> Job:
    return job.model_copy(update={"task": job.task.model_copy(update={"template": template})})
