"""A connection to the engine, and what can be done with jobs over it: submit, find, cancel.

Used by the command line and by whoever else submits durable jobs. Touches Temporal, and starts the
embedded engine where no other Temporal is configured. How a job is followed stands in
`crp.following`, how the trace store is asked in `crp.records`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import Client, RPCError, WorkflowExecution, WorkflowHandle
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.service import RetryConfig, RPCStatusCode

from crp import connection, facts
from crp.blobs import BlobStore
from crp.config import Settings
from crp.encryption import keyring
from crp.errors import EngineError, NotFound
from crp.failures import from_failure
from crp.language.shapes import suggest
from crp.models import JobResult
from crp.plugin import CRPPlugin
from crp.request import Request
from crp.searching import attributes_of
from crp.stages import TASK_TIMEOUT, WORKFLOW_QUEUE
from crp.telemetry import tracing
from crp_workflows.reasoning import ReasoningWorkflow

Say = Callable[[str], None]

HISTORIES = "WorkflowType = 'ReasoningWorkflow'"
JOBS = f"{HISTORIES} AND ExecutionStatus != 'ContinuedAsNew'"
"""A long job has several histories; the last one is the job."""
RUNNING = f"{JOBS} AND ExecutionStatus = 'Running'"

CONNECTS = 4
"""How often a server of our own is looked for that does not answer."""

BRIEF_RETRIES = RetryConfig(max_elapsed_time_millis=3000)
"""Short: whoever waits says so, and tries again by itself."""


@dataclass
class Engine:
    """A connection that can be used, and how it came about."""

    settings: Settings
    client: Client
    say: Say = field(repr=False)
    _reviving: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def embedded(self) -> bool:
        return not self.settings.temporal.address

    async def revive(self) -> None:
        """Start the embedded engine again if it ended; raises EngineError when it can not."""
        if not self.embedded:
            return
        from crp import local

        async with self._reviving:
            if local.status(self.settings) is None:
                self.say("the engine ended: starting it again")
                self.client = await _connect_embedded(self.settings, self.say)

    def trouble(self) -> str:
        """What keeps the embedded engine from going on, as one line; empty: nothing known."""
        from crp.local.host import is_full

        home = self.settings.home
        if not self.embedded or not is_full(home):
            return ""
        return f"the disk of {home} is full: make room, and the jobs go on by themselves"


async def connect(settings: Settings, say: Say = lambda text: None) -> Engine:
    """Give a connection: to the Temporal of the settings, or to the embedded engine, which is
    started when it does not run. Raises EngineError with the one line that says why not."""
    if settings.temporal.address:
        return Engine(settings, await connect_to(settings, settings.temporal.address), say)
    return Engine(settings, await _connect_embedded(settings, say), say)


async def _connect_embedded(settings: Settings, say: Say) -> Client:
    """The server may die between being found and being asked: then it is found again."""
    from crp import local

    for tries_left in reversed(range(CONNECTS)):
        address = (await local.ensure(settings, say)).address
        try:
            return await connect_to(settings, address)
        except EngineError:
            if not tries_left:
                raise
            await asyncio.sleep(1)
    raise AssertionError("unreachable")


async def connect_running(settings: Settings) -> Engine | None:
    """Give a connection to what runs already; None when no embedded engine does."""
    address = settings.temporal.address
    if not address:
        from crp import local

        running = local.status(settings)
        if running is None or running.phase != "running":
            return None
        address = running.address
    return Engine(settings, await connect_to(settings, address), lambda text: None)


async def connect_to(
    settings: Settings, address: str, retries: RetryConfig = BRIEF_RETRIES
) -> Client:
    """Connect a client that knows our types.

    Raises EngineError, and ConfigError for a key or a certificate that can not be read.
    """
    remote = connection.arguments(settings.temporal)
    plugin = CRPPlugin(BlobStore(settings.home / "blobs"), keys=keyring(settings))
    plugins = [plugin, *tracing.plugins(settings.telemetry)]
    try:
        return await Client.connect(address, plugins=plugins, retry_config=retries, **remote)
    except (RuntimeError, RPCError, ValueError) as error:
        why = connection.explained(error)
        raise EngineError(f"Temporal at {address} can not be reached: {why}") from None


# -- submitting -----------------------------------------------------------------------------------


async def submit(engine: Engine, request: Request, *, job_id: str = "", batch: str = "") -> str:
    """Start a job that goes on whatever becomes of this process; give its id.

    `job_id` names it instead of chance. Raises WorkflowAlreadyStartedError when there is such a
    job, running or finished.
    """
    blobs = BlobStore(engine.settings.home / "blobs")
    job = await asyncio.to_thread(facts.put_away, request.job(job_id), blobs)
    try:
        await engine.client.start_workflow(
            ReasoningWorkflow.run,
            args=[job, request.library],
            id=job.job_id,
            task_queue=WORKFLOW_QUEUE,
            task_timeout=TASK_TIMEOUT,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            memo={"task": request.first_line, "request": request.digest},
            static_summary=request.first_line,
            search_attributes=await attributes_of(engine.client, job, batch),
            priority=turn_of(request),
        )
    except RPCError as error:
        raise from_failure(error) from None
    return job.job_id


def turn_of(request: Request) -> Priority:
    """Give a job's place in the queues; every activity of the job inherits it."""
    return Priority(priority_key=request.priority, fairness_key=request.fairness_key or None)


async def running_job(engine: Engine, request: Request) -> str | None:
    """Find a job of the same request that is still under way."""
    query = f"{RUNNING} AND WorkflowId STARTS_WITH '{request.prefix}'"
    async for found in executions(engine, query):
        if (await found.memo()).get("request") == request.digest:
            return found.id
    return None


# -- finding, cancelling ------------------------------------------------------------------------


async def executions(
    engine: Engine, query: str, limit: int | None = None
) -> AsyncIterator[WorkflowExecution]:
    """List jobs that Temporal knows, newest first. Raises EngineError."""
    try:
        async for found in engine.client.list_workflows(query, limit=limit):
            yield found
    except RPCError as error:
        raise from_failure(error) from None


def handle(engine: Engine, job_id: str) -> WorkflowHandle[Any, JobResult]:
    """Give Temporal's handle of a job, whether or not it exists."""
    return engine.client.get_workflow_handle(job_id, result_type=JobResult)


async def find_job(engine: Engine, given: str) -> str:
    """Complete the beginning of a job's id; one that runs is meant rather than one that ended.

    Raises NotFound that says what there is.
    """
    if not re.fullmatch(r"[\w.:/-]{1,200}", given):
        raise NotFound(f"{given[:60]!r} is not a job id: `crp jobs list` shows them")
    if await exists(engine, given):
        return given
    begin = f"WorkflowId STARTS_WITH '{given}'"
    running = [found.id async for found in executions(engine, f"{RUNNING} AND {begin}", 20)]
    if len(running) == 1:
        return running[0]
    ids = [found.id async for found in executions(engine, f"{JOBS} AND {begin}", 20)]
    near = [] if ids else [found.id async for found in executions(engine, JOBS, 200)]
    return completed(given, running or ids, near=near)


async def exists(engine: Engine, job_id: str) -> bool:
    """Whether Temporal knows a job."""
    try:
        await handle(engine, job_id).describe(rpc_timeout=timedelta(seconds=10))
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise from_failure(error) from None
    return True


def completed(given: str, ids: list[str], what: str = "job", near: list[str] | None = None) -> str:
    """Choose the one id that begins with `given`. Raises NotFound that says what there is."""
    matching = [i for i in ids if i == given] or [i for i in ids if i.startswith(given)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        some = ", ".join(matching[:5])
        raise NotFound(f"{len(matching)} {what}s begin with {given!r}: {some}")
    hint = suggest(given, near or ids) or f"`crp {what}s list` shows them"
    raise NotFound(f"no {what} {given!r}: {hint}")


async def cancel(engine: Engine, job_id: str) -> None:
    """Ask a job to end. It keeps what it has and records itself; await its end to see it."""
    try:
        await handle(engine, job_id).cancel()
    except RPCError as error:
        raise from_failure(error) from None
