"""ReasoningWorkflow: one job as a durable execution.

The path of the job is `orchestration.Reasoning`; here stand only how each stage becomes an
activity, and what can be asked of a job from outside: cancel it, read its events, read its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import JsonValue
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from crp.failures import from_failure
from crp.models import (
    Attempt,
    Call,
    Candidate,
    CurationReport,
    Event,
    Job,
    JobRecord,
    JobResult,
    Library,
    MetaLearningConfig,
    Plan,
    Reading,
    Recorded,
    Retrieved,
    Score,
    TemplateSource,
)
from crp.stages import Brief, PlanRequest, Route
from crp_workflows import options
from crp_workflows.options import Options
from crp_workflows.orchestration import Reasoning

T = TypeVar("T")


@workflow.defn
class ReasoningWorkflow:
    """Solve one task. Fails with JobFailed when there is no answer; the job is recorded anyway."""

    @workflow.init
    def __init__(self, job: Job, library: Library) -> None:
        self._reasoning = Reasoning(job, library, ActivityStages(job))
        self._reasoning.ledger.on_event = _show

    @workflow.run
    async def run(self, job: Job, library: Library) -> JobResult:
        result = await self._reasoning.run()
        if result.status == "cancelled":
            raise asyncio.CancelledError(result.error)
        if result.status == "failed":
            # With the result as a detail: what was there so far is not lost for the client.
            raise ApplicationError(result.error, result, type="JobFailed", non_retryable=True)
        return result

    @workflow.query
    def events(self, since: int) -> list[Event]:
        """Give the events from sequence `since` on. Costs no history."""
        return self._reasoning.ledger.events[since:]

    @workflow.query
    def result(self) -> JobResult | None:
        """Give the answer as soon as it is known, before its record has landed."""
        return self._reasoning.result


class ActivityStages:
    """The stages as activities: remote, durable, each with a summary for Temporal's UI."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def now(self) -> datetime:
        return workflow.now()

    async def route(self, job: Job, library: Library, forced: str | None) -> Route:
        summary = f"route to {forced}" if forced else "route to a template"
        return await _run("route", [job, library, forced], Route, options.code(), summary)

    async def sample_pressure(self, alias: str) -> Reading:
        how = options.pressure(self._job.model(alias))
        return await _run("sample_pressure", [alias], Reading, how, "sample resource pressure")

    async def retrieve(
        self, job: Job, source: TemplateSource, limit: int, min_quality: float
    ) -> Retrieved:
        args = [job, source, limit, min_quality]
        return await _run(
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
        return await _run("decompose", [brief, request], Plan, options.code(), summary)

    async def execute(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("execute", brief, call)

    async def render(self, brief: Brief, call: Call) -> Attempt:
        summary = f"join {call.step or 'the outputs'}"
        return await _run("render", [brief, call], Attempt, options.code(), summary)

    async def synthesize(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask("synthesize", brief, call)

    async def score(
        self, brief: Brief, candidates: tuple[Candidate, ...], outputs: dict[str, JsonValue]
    ) -> tuple[Score, ...]:
        summary = f"score {', '.join(c.kind for c in candidates)}"
        args = [brief, candidates, outputs]
        return tuple(await _run("score", args, list[Score], options.code(), summary))

    async def record(self, record: JobRecord) -> Recorded:
        summary = f"record the {record.result.status} job"
        return await _run(
            "record", [record], Recorded, options.recording(self._job.store_queue), summary
        )

    async def curate(self, config: MetaLearningConfig) -> CurationReport:
        return await _run(
            "curate",
            [config],
            CurationReport,
            options.curating(self._job.store_queue),
            "curate the library",
        )

    async def _ask(self, name: str, brief: Brief, call: Call) -> Attempt:
        """A model call, on the queue of its model."""
        how = options.model(self._job.model(call.model))
        what = "/".join(part for part in (call.step, call.item) if part) or "whole task"
        again = f", attempt {call.number}" if call.number > 1 else ""
        summary = f"{what}{again} ({call.level.help}, {call.model})"
        return await _run(name, [brief, call], Attempt, how, summary)


async def _run(name: str, args: Sequence[Any], result: type[T], how: Options, summary: str) -> T:
    """Run one activity; its failure comes back as the CRPError that it was."""
    try:
        answer: T = await workflow.execute_activity(
            name, args=args, result_type=result, summary=summary[:200], **how
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise asyncio.CancelledError from None
        raise from_failure(error) from None
    return answer


def _show(event: Event) -> None:
    """Keep Temporal's UI up to date with one readable line."""
    where = event.step or event.stage
    workflow.set_current_details(f"{event.kind} {where}".strip())
