"""The stages of a job in the caller's own process: no server, no queue, no worker.

They call the very functions that the Temporal activities are; blocking ones run in a thread. What
Temporal does for activities beside that is done here: a call that did not answer is tried again
after a pause, and a bug in a stage fails the job instead of breaking through to the caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from pydantic import JsonValue

from crp.errors import CRPError, JobFailed, RateLimited
from crp.models import (
    Approval,
    Attempt,
    Call,
    Candidate,
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
from crp.stages import Brief, PlanRequest, Route
from crp_activities.registry import StoreActivities, WorkActivities
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each new try. Somebody is waiting: the hour that a worker gives a model server to
come back would look like a script that hangs."""

LONGEST_PAUSE = 60.0
"""Seconds; a server that asks for a longer pause than this fails the call."""


class InProcessStages:
    """Carry out every stage by calling it. Implements `crp.stages.Stages`."""

    def __init__(self, tools: Tools, store: TraceStore, pauses: Sequence[float] = PAUSES) -> None:
        self._work = WorkActivities(tools)
        self._store = StoreActivities(store, tools.blobs)
        self._pauses = tuple(pauses)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def changed(self, name: str) -> bool:
        return True  # there is no history

    def known(self, call: Call) -> bool:
        return False

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    async def route(self, job: Job, library: Library, forced: str | None) -> Route:
        return await self._threaded(self._work.route, job, library, forced)

    async def sample_pressure(self, alias: str) -> Reading:
        return await self._patiently(lambda: self._work.sample_pressure(alias))

    async def retrieve(
        self, job: Job, source: TemplateSource, limit: int, min_quality: float
    ) -> Retrieved:
        return await self._threaded(self._store.retrieve, job, source, limit, min_quality)

    async def probe(self, brief: Brief, call: Call) -> Attempt:
        return await self._patiently(lambda: self._work.probe(brief, call))

    async def extract(self, brief: Brief, call: Call) -> Attempt:
        return await self._patiently(lambda: self._work.extract(brief, call))

    async def outline(self, brief: Brief, call: Call) -> Attempt:
        return await self._patiently(lambda: self._work.outline(brief, call))

    async def decompose(self, brief: Brief, request: PlanRequest) -> Plan:
        return await self._threaded(self._work.decompose, brief, request)

    async def approval(self, plan: Plan) -> Approval:
        """Whoever runs a job in his own process has approved it."""
        return Approval(by="the caller")

    async def execute(self, brief: Brief, call: Call) -> Attempt:
        return await self._patiently(lambda: self._work.execute(brief, call))

    async def render(self, brief: Brief, call: Call) -> Attempt:
        return await self._threaded(self._work.render, brief, call)

    async def synthesize(self, brief: Brief, call: Call) -> Attempt:
        return await self._patiently(lambda: self._work.synthesize(brief, call))

    async def score(
        self, brief: Brief, candidates: tuple[Candidate, ...], outputs: dict[str, JsonValue]
    ) -> tuple[Score, ...]:
        return await self._threaded(self._work.score, brief, candidates, outputs)

    async def record(self, record: JobRecord) -> Recorded:
        return await self._threaded(self._store.record, record)

    async def curate(self, config: MetaLearningConfig) -> CurationReport:
        return await self._threaded(self._store.curate, config)

    async def _threaded(self, stage: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._patiently(lambda: asyncio.to_thread(stage, *args, **kwargs))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it answers, fails for good, or the pauses are used up."""
        for pause in self._pauses:
            try:
                return await _cleanly(call)
            except CRPError as error:
                asked = (error.retry_after or 0.0) if isinstance(error, RateLimited) else 0.0
                if not error.retryable or asked > LONGEST_PAUSE:
                    raise
                logger.info("tried again in %.1f s: %s", max(pause, asked), error)
                await asyncio.sleep(max(pause, asked))
        return await _cleanly(call)


class PlanningStages(InProcessStages):
    """The same without a model: whatever would be asked stays unanswered, and costs nothing."""

    async def probe(self, brief: Brief, call: Call) -> Attempt:
        return _unasked(call)

    async def extract(self, brief: Brief, call: Call) -> Attempt:
        return _unasked(call)

    async def outline(self, brief: Brief, call: Call) -> Attempt:
        return _unasked(call)


async def _cleanly(call: Callable[[], Awaitable[T]]) -> T:
    """Let CRPErrors pass; everything else is a bug, and told as Temporal's workers tell it."""
    try:
        return await call()
    except CRPError:
        raise
    except Exception as error:
        logger.exception("a bug in a stage")
        raise JobFailed(f"an error in the engine: {type(error).__name__}: {error}") from error


def _unasked(call: Call) -> Attempt:
    return Attempt(
        stage=call.stage, step=call.step, number=call.number, status="content", error="not asked"
    )
