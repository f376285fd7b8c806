"""The stages of a job as activities: remote, durable, each with a summary for Temporal's UI.

Every effect of a job goes through `_run`: past the gate of `control`, and from `carrying` when an
earlier history of the job has the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import JsonValue
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError, is_cancelled_exception

from crp.failures import from_failure
from crp.models import (
    Approval,
    Attempt,
    Call,
    Candidate,
    Carried,
    CurationReport,
    Job,
    JobRecord,
    Library,
    MetaLearningConfig,
    Plan,
    Reading,
    Recorded,
    Retrieved,
    Score,
    TemplateSource,
)
from crp.stages import Brief, PlanRequest, Route, stage_of
from crp_workflows import options
from crp_workflows.carrying import Results, call_key
from crp_workflows.control import Control
from crp_workflows.options import Options

T = TypeVar("T")

LONGEST_HISTORY = 2000
"""Events; Temporal suggests an end at 4,096. A worker that takes a job over replays all of them
within one workflow task, also when the machine is busy."""
BRIEFS = 8
"""How many are kept as bytes: a job has one, and one for each template that it uses."""

LOCAL = ("route", "decompose", "render", "score")
"""Cheap and repeatable: done in the workflow's own task, which saves Temporal six writes each."""

BREATH = 100
"""Answers given again after which the workflow takes a breath."""


class ActivityStages:
    """Carry out every stage as an activity. Implements `crp.stages.Stages`."""

    def __init__(self, job: Job, control: Control, carried: Carried | None = None) -> None:
        self._job = job
        self._control = control
        self.results = Results(carried)
        self.changes = dict.fromkeys(carried.changes if carried else ())
        """Changes of the code that the job's path has, in the order of their coming."""
        self._later = carried is not None
        self._briefs: dict[int, tuple[Brief, RawValue]] = {}
        self._again = 0
        self._breath: asyncio.Future[None] | None = None
        self._turns: dict[str, int] = {}

    def now(self) -> datetime:
        return workflow.now()

    def changed(self, name: str) -> bool:
        """In later histories of a job: what the first one said, or no, where nobody asked then."""
        if self._later:
            return name in self.changes
        if workflow.patched(name):
            self.changes[name] = None
        return name in self.changes

    def known(self, call: Call) -> bool:
        return self.results.known(call_key(stage_of(call), call))

    async def breathe(self) -> None:
        """Temporal takes 2 s in one piece for a deadlock. A timer would cost a whole second."""
        await workflow.execute_local_activity("breathe", start_to_close_timeout=options.BREATH)

    async def route(self, job: Job, library: Library, forced: str | None) -> Route:
        summary = f"route to {forced}" if forced else "route to a template"
        return await self._run("route", [job, library, forced], Route, options.code(), summary)

    async def sample_pressure(self, alias: str) -> Reading:
        how, summary = options.pressure(), f"sample the pressure on {alias}"
        return await self._run("sample_pressure", [alias], Reading, how, summary)

    async def retrieve(
        self, job: Job, source: TemplateSource, limit: int, min_quality: float
    ) -> Retrieved:
        args = [job, source, limit, min_quality]
        return await self._run(
            "retrieve",
            args,
            Retrieved,
            options.reading(self._job.store_queue),
            f"{limit} worked examples",
        )

    async def probe(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("probe", brief, call)

    async def extract(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("extract", brief, call)

    async def outline(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("outline", brief, call)

    async def decompose(self, brief: Brief, request: PlanRequest) -> Plan:
        summary = f"plan of at most {request.max_steps} steps"
        return await self._run(
            "decompose", [self._sealed(brief), request], Plan, options.code(), summary
        )

    async def approval(self, plan: Plan) -> Approval:
        """Wait for a person, for days if need be."""
        key = self._turn("approval")
        if self.results.known(key):
            return await self._given_again(key, Approval)
        control = self._control
        control.asked_about, control.approval = plan, None
        await workflow.wait_condition(lambda: control.approval is not None)
        said, control.asked_about = control.approval, None
        assert said is not None
        self.results.keep(key, said, Approval)
        return said

    async def execute(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("execute", brief, call)

    async def render(self, brief: Brief, call: Call) -> Attempt:
        summary = f"join {call.step or 'the outputs'}"
        return await self._run(
            "render", [self._sealed(brief), call], Attempt, options.code(), summary, call
        )

    async def synthesize(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("synthesize", brief, call)

    async def score(
        self, brief: Brief, candidates: tuple[Candidate, ...], outputs: dict[str, JsonValue]
    ) -> tuple[Score, ...]:
        summary = f"score {', '.join(c.kind for c in candidates)}"
        args = [self._sealed(brief), candidates, outputs]
        return tuple(await self._run("score", args, list[Score], options.code(), summary))

    async def record(self, record: JobRecord) -> Recorded:
        summary = f"record the {record.result.status} job"
        return await self._run(
            "record",
            [record],
            Recorded,
            options.recording(self._job.store_queue),
            summary,
            paused_too=True,
        )

    async def curate(self, config: MetaLearningConfig) -> CurationReport:
        return await self._run(
            "curate",
            [config],
            CurationReport,
            options.curating(self._job.store_queue),
            "curate the library",
            paused_too=True,
        )

    async def _ask(self, name: str, brief: Brief, call: Call) -> Attempt:
        """A model call, on the queue of its model."""
        how = options.model(self._job.model(call.model), call.seconds)
        what = "/".join(part for part in (call.step, call.item) if part) or "whole task"
        again = f", attempt {call.number}" if call.number > 1 else ""
        summary = f"{what}{again} ({call.level.help}, {call.model})"
        return await self._run(name, [self._sealed(brief), call], Attempt, how, summary, call)

    async def _run(
        self,
        name: str,
        args: Sequence[Any],
        kind: type[T],
        how: Options,
        summary: str,
        call: Call | None = None,
        *,
        paused_too: bool = False,
    ) -> T:
        """Run one activity once in the life of the job; its failure comes back as a CRPError."""
        key = call_key(name, call) if call else self._turn(name)
        if self.results.known(key):
            return await self._given_again(key, kind)
        control = self._control
        if not control.lets(paused_too=paused_too):
            await workflow.wait_condition(lambda: control.lets(paused_too=paused_too))
        control.under_way += 1
        try:
            answer: T = await self._execute(name)(
                name, args=args, result_type=kind, summary=summary[:200], **how
            )
        except FailureError as error:  # of local activities without an ActivityError around it
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from None
            failure = from_failure(error)
            self.results.keep(key, failure, kind)
            raise failure from None
        finally:
            control.under_way -= 1
            control.closing |= _is_long()
        self.results.keep(key, answer, kind)
        return answer

    def _execute(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Facts of megabytes take seconds to read, which a workflow's task does not have."""
        short = not self._job.task.context_sha256
        local = name in LOCAL and short
        return workflow.execute_local_activity if local else workflow.execute_activity

    def _sealed(self, brief: Brief) -> RawValue:
        """The brief as bytes, made once: calls of a job share it, and it may have megabytes."""
        known = self._briefs.get(id(brief))
        if known is None:
            if len(self._briefs) >= BRIEFS:
                self._briefs.clear()
            known = brief, RawValue(workflow.payload_converter().to_payload(brief))
            self._briefs[id(brief)] = known
        return known[1]

    async def _given_again(self, key: str, kind: type[T]) -> T:
        self._again += 1
        if self._again % BREATH == 0 or kind is Plan:  # a plan may have thousands of steps
            self._breath = asyncio.ensure_future(self.breathe())
        if self._breath is not None and not self._breath.done():
            await asyncio.shield(self._breath)
        return self.results.again(key, kind)

    def _turn(self, name: str) -> str:
        """What an effect is known by that the job has one after the other."""
        self._turns[name] = self._turns.get(name, 0) + 1
        return f"{name} {self._turns[name]}"


def _is_long() -> bool:
    info = workflow.info()
    if info.is_continue_as_new_suggested():
        return True
    return info.get_current_history_length() >= LONGEST_HISTORY
