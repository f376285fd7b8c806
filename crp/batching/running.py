"""Starts the jobs of a batch, a bounded number at once, and gives their outcomes as they come.

Touches Temporal. A job is started under an id that its task decides, so that a second process, or a
second run, finds it there and waits for it instead. Each job that is waited for costs one open
request and no questions. Leaving it all leaves the jobs running.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from temporalio.client import RPCError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from crp.batching.remaining import Remaining
from crp.batching.results import Outcome, outcome_of
from crp.batching.spending import Limits, Spending
from crp.batching.task import Batch, BatchTask
from crp.client import RUNNING, Engine, cancel, executions, submit
from crp.errors import CRPError, EngineError, NotFound, UsageError
from crp.following import Ended, end_of
from crp.forking import again
from crp.models import Event

AGAIN_AFTER = 0.5
"""Seconds between two attempts to start a job while the server does not answer."""
LOOK_EVERY = 2.0
"""Seconds between two looks at what may keep the engine from going on."""
AT_ONCE = 50

_HOPELESS = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
)


class Quiet:
    """Tells what keeps a batch waiting, and no events."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note

    def event(self, event: Event) -> None:
        return None


class _Waiting(NamedTuple):
    task: BatchTask
    job_id: str
    runs: bool
    """An earlier run started it."""


@dataclass
class BatchRun:
    """One run over the tasks of a batch that are not done."""

    engine: Engine
    remaining: Remaining
    spending: Spending = field(default_factory=Spending)
    at_once: int = AT_ONCE
    note: Callable[[str], None] = lambda text: None

    stopped: str = ""
    """Why no further jobs are started."""
    found: int = 0
    """Jobs that were there already."""
    under_way: dict[str, BatchTask] = field(default_factory=dict)
    """By job id: what was started or found and has no outcome yet."""

    @property
    def batch(self) -> Batch:
        return self.remaining.batch

    async def outcomes(self, tasks: Iterable[BatchTask]) -> AsyncIterator[Outcome]:
        """Run the tasks that are to be done. Raises EngineError when the engine can not be used.

        Leaving the iteration leaves the jobs of `under_way` running.
        """
        waiting = await self._queue(tasks)
        ended: asyncio.Queue[asyncio.Task[Outcome]] = asyncio.Queue()
        running: set[asyncio.Task[Outcome]] = set()
        looking = asyncio.create_task(self._tell_trouble())
        try:
            while True:
                while self._may_go_on(waiting, len(running)):
                    job = asyncio.create_task(self._one(waiting.popleft()))
                    job.add_done_callback(ended.put_nowait)
                    running.add(job)
                if not running:
                    return
                job = await ended.get()
                running.discard(job)
                outcome = job.result()
                self.under_way.pop(outcome.job_id, None)
                self.spending.add(outcome.usage)
                yield outcome
        finally:
            for task in (looking, *running):
                task.cancel()
            await asyncio.gather(looking, *running, return_exceptions=True)

    async def _tell_trouble(self) -> None:
        """Say it once when the machine keeps the jobs from going on: jobs can not."""
        told = ""
        while True:
            trouble = self.engine.trouble()
            if trouble and trouble != told:
                self.note(trouble)
            told = trouble
            await asyncio.sleep(LOOK_EVERY)

    async def _queue(self, tasks: Iterable[BatchTask]) -> deque[_Waiting]:
        """Put those first that an earlier run left under way: they count among those at once."""
        query = f"{RUNNING} AND WorkflowId STARTS_WITH '{self.batch.name}-'"
        there = {found.id async for found in executions(self.engine, query)}
        named = [(task, self.remaining.job_id(task)) for task in self.remaining.of(tasks)]
        waiting = [_Waiting(task, job_id, job_id in there) for task, job_id in named]
        return deque(sorted(waiting, key=lambda one: not one.runs))

    def _may_go_on(self, waiting: deque[_Waiting], under_way: int) -> bool:
        """Whether the next task may begin; what runs already costs nothing more."""
        if not waiting or under_way >= self.at_once:
            return False
        refusal = "" if waiting[0].runs else self.spending.refusal(under_way)
        if refusal and not under_way:
            self.stopped = refusal
        return not refusal

    async def _one(self, waiting: _Waiting) -> Outcome:
        task, job_id = waiting.task, waiting.job_id
        digest = self.batch.digest(task)
        self.under_way[job_id] = task
        try:
            await self._start(task, job_id)
            ended = await end_of(self.engine, job_id, Quiet(self.note))
        except (NotFound, UsageError) as error:  # of this task: its file, its template, its job
            self.under_way.pop(job_id, None)
            return Outcome(id=task.id, status="failed", error=str(error), digest=digest)
        return outcome_of(task.id, digest, job_id, ended.result, ended.error)

    async def _start(self, task: BatchTask, job_id: str) -> None:
        """Start a job unless there is one of this id; waits while the server does not answer."""
        request = await asyncio.to_thread(self.batch.request, task)
        tried = False
        while True:
            try:
                if before := self.remaining.before(task):
                    request = await again(self.engine, before, request)
                await submit(self.engine, request, job_id=job_id, batch=self.batch.name)
                return
            except WorkflowAlreadyStartedError:
                self.found += not tried  # else our own first attempt may have come through
                return
            except EngineError as error:
                if _hopeless(error):
                    raise
            tried = True
            self.note("the server does not answer, waiting; the jobs are safe")
            await self.engine.revive()
            await asyncio.sleep(AGAIN_AFTER)

    async def cancelled(self) -> AsyncIterator[Outcome]:
        """Cancel what is under way, after `outcomes` was left, and give how each job ended."""
        jobs = [asyncio.create_task(self._cancelled(*job)) for job in self.under_way.items()]
        try:
            for next_one in asyncio.as_completed(jobs):
                outcome = await next_one
                if outcome is not None:
                    self.under_way.pop(outcome.job_id, None)
                    yield outcome
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _cancelled(self, job_id: str, task: BatchTask) -> Outcome | None:
        try:
            with contextlib.suppress(NotFound):  # it has ended meanwhile
                await cancel(self.engine, job_id)
            ended: Ended = await end_of(self.engine, job_id, Quiet(self.note))
        except NotFound:  # it had not been started
            return None
        return outcome_of(task.id, self.batch.digest(task), job_id, ended.result, ended.error)


def _hopeless(error: CRPError) -> bool:
    """Whether trying again is of no use: it was no outage."""
    cause = error.__context__
    return not isinstance(cause, RPCError) or cause.status in _HOPELESS


async def run_batch(
    engine: Engine,
    batch: Batch,
    tasks: Iterable[BatchTask],
    *,
    at_once: int = AT_ONCE,
    limits: Limits | None = None,
) -> AsyncIterator[Outcome]:
    """Run tasks as durable jobs and yield how each ended, as they come.

    The same tasks of a batch of the same name again give the same jobs: nothing runs twice. Raises
    EngineError when the engine can not be used.
    """
    spending = Spending(limits or Limits())
    run = BatchRun(engine, Remaining(batch), spending, at_once)
    async for outcome in run.outcomes(tasks):
        yield outcome
