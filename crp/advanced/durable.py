"""The same engine with a Temporal client: durable jobs, and a worker that calls your function.

queue                      what runs there
TASK_QUEUE                 the workflow and the stages that need no model
crp-model-TASK_QUEUE       the calls of `dispatch_fn`, as many at once as its profile says
crp-store-TASK_QUEUE       the engine's own trace store

The queues are the engine's alone, so it can live beside other workers on one server. What is
under way when a worker dies goes on when the next one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from temporalio.client import Client, RPCError, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from crp import facts
from crp.errors import ConfigError
from crp.failures import from_failure
from crp.models import Job, JobResult, Library, ModelProfile
from crp.plugin import CRPPlugin
from crp.searching import attributes_of
from crp.stages import STORE_QUEUE, TASK_TIMEOUT, model_queue
from crp.worker import THREADS, drain, make_worker
from crp_activities.registry import StoreActivities, WorkActivities
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore
from crp_workflows.reasoning import ReasoningWorkflow

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
_GONE = (RPCStatusCode.NOT_FOUND, RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)

Handle = WorkflowHandle[ReasoningWorkflow, JobResult]


class Durable:
    """Submit jobs to one task queue, wait for them, and serve them."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._blobs = _plugin_of(client).blobs
        _check_queue(task_queue)
        self._client = client
        self.task_queue = task_queue
        self.store_queue = f"{STORE_QUEUE}-{task_queue}"

    async def submit(self, job: Job, library: Library) -> Handle:
        """Start a job, or find the one of this id: it is never done twice.

        One that runs is joined, one that has an answer is not started again, one that failed or
        was cancelled is. Raises EngineError when the server can not be reached.
        """
        if self._blobs is not None:
            job = await asyncio.to_thread(facts.put_away, job, self._blobs)
        try:
            return await self._client.start_workflow(
                ReasoningWorkflow.run,
                args=[job, library],
                id=job.job_id,
                task_queue=self.task_queue,
                task_timeout=TASK_TIMEOUT,
                static_summary=job.task.text[:200],
                search_attributes=await attributes_of(self._client, job),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            )
        except WorkflowAlreadyStartedError:
            return self._client.get_workflow_handle(job.job_id, result_type=JobResult)
        except RPCError as error:
            raise from_failure(error) from None

    async def wait(self, handle: Handle) -> JobResult:
        """Wait for a job's result; a failed job has one too, with the reason in it.

        Waits through outages of the server. Raises JobFailed for a job that was cancelled or
        terminated, NotFound for one that is gone. Giving up the wait does not cancel the job.
        """
        while True:
            try:
                return await handle.result()
            except WorkflowFailureError as error:
                result = _failed(error)
                if result is None:
                    raise from_failure(error) from None
                return result
            except RPCError as error:
                if error.status in _GONE:
                    raise from_failure(error) from None
                logger.warning("waiting for the Temporal server: %s", error.message)
                await asyncio.sleep(RETRY_SECONDS)

    @contextlib.asynccontextmanager
    async def worker(
        self, tools: Tools, store: TraceStore, profile: ModelProfile
    ) -> AsyncIterator[None]:
        """Serve the three queues until the block is left; what is under way is then drained."""
        work, kept = WorkActivities(tools), StoreActivities(store, tools.blobs)
        async with contextlib.AsyncExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(THREADS))
            stack.push_async_callback(tools.models.aclose)
            workers = [
                make_worker(self._client, queue, threads, activities, slots)
                for queue, activities, slots in (
                    (self.store_queue, kept.all, THREADS),
                    (self.task_queue, work.deciding, THREADS),
                    (model_queue(profile.alias), work.asking, profile.concurrency),
                )
            ]
            for worker in workers:
                await stack.enter_async_context(worker)
            # Without the store's: it ends last, so that finished work is still recorded.
            stack.push_async_callback(drain, workers[1:], tools)
            yield


def _failed(error: WorkflowFailureError) -> JobResult | None:
    """The result that a failed job carries with its failure."""
    cause = error.cause
    if not (isinstance(cause, ApplicationError) and cause.details):
        return None
    found = cause.details[0]
    return JobResult.model_validate(found) if isinstance(found, Mapping) else None


def _plugin_of(client: Client) -> CRPPlugin:
    for plugin in client.config()["plugins"]:
        if isinstance(plugin, CRPPlugin):
            return plugin
    raise ConfigError(
        "the Temporal client does not have this engine's plugin: connect it with "
        "Client.connect(..., plugins=[CRPPlugin(BlobStore(directory))])"
    )


def _check_queue(task_queue: str) -> None:
    # The plugin adds the workflow to no queue of these names: a job would wait for ever.
    if not task_queue or task_queue.startswith((STORE_QUEUE, model_queue(""))):
        raise ConfigError(
            f"task_queue can not be {task_queue!r}: names that begin with {STORE_QUEUE!r} or "
            f"{model_queue('')!r} are those of stores and models"
        )
