"""Which workflows and activities a worker runs, on which queues, with which limits.

role   queues                                what runs there
work   crp, crp-model-ALIAS a model          workflows, the deciding stages; the model calls
store  crp-store                             the store's owner: record, retrieve, curate, SQL
all    all of them                           a small deployment in one process

Each worker has as many slots on a model's queue as the model takes calls at once: what waits, waits
in Temporal. That all workers of a home together keep to it, `crp_activities.slots` sees to; how
many calls a minute begin, Temporal counts over all workers of a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Literal

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
)

from crp.blobs import BlobStore
from crp.collecting import collect
from crp.config import Settings
from crp.models import ModelProfile
from crp.release import installed
from crp.stages import STORE_QUEUE, WORKFLOW_QUEUE, model_queue
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.failures import FailureInterceptor
from crp_activities.pressure import Pressures
from crp_activities.registry import StoreActivities, WorkActivities
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore

logger = logging.getLogger(__name__)

Role = Literal["work", "store", "all"]

AD_HOC = "adhoc"
"""The alias of models that a job names by address; any worker may call them."""
AD_HOC_SLOTS = 4

GRACE = timedelta(seconds=8)
"""How long running calls may go on after SIGTERM, all together; soon after, the worker has ended.

Less than a supervisor of processes or containers waits before it kills: 10 s."""
THREADS = 8


def blob_store(settings: Settings) -> BlobStore:
    """Big texts, prompts and answers of this home."""
    return BlobStore(settings.home / "blobs")


def tools(settings: Settings) -> Tools:
    """What the activities of this process work with."""
    return Tools(
        models=Models(settings, embedded=_embedded_model),
        answers=AnswerJournal(settings.home / "answers"),
        blobs=blob_store(settings),
        pressures=Pressures(settings.pressure),
    )


@contextlib.asynccontextmanager
async def running(settings: Settings, client: Client, role: Role = "all") -> AsyncIterator[None]:
    """Run the workers of a role until the block is left; what is under way is then drained."""
    async with contextlib.AsyncExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        if role in ("store", "all"):
            store = stack.enter_context(TraceStore.open(settings.home / "traces"))
            for damage in store.damage:
                logger.warning("the journal of the trace store is damaged: %s", damage)
            activities = StoreActivities(store, blob_store(settings)).all
            await stack.enter_async_context(make_worker(client, STORE_QUEUE, threads, activities))
        if role in ("work", "all"):
            ours = tools(settings)
            # Answers are looked up only while the history of their job can still ask for them.
            ours.answers.prune(settings.embedded.retention_days)
            collecting = collect(client, ours.blobs, settings.embedded.retention_days)
            stack.callback(asyncio.create_task(collecting).cancel)
            stack.push_async_callback(ours.models.aclose)
            profiles, paces = settings.profiles(), settings.paces()
            workers = work_workers(client, ours, profiles, threads, paces)
            for worker in workers:
                await stack.enter_async_context(worker)
            stack.push_async_callback(drain, workers, ours)
        yield


def work_workers(
    client: Client,
    ours: Tools,
    profiles: Mapping[str, ModelProfile],
    threads: ThreadPoolExecutor,
    paces: Mapping[str, float] | None = None,
) -> list[Worker]:
    """Make the worker of the workflows and one for each model; `paces` are calls a second."""
    bound = WorkActivities(ours)
    slots = {alias: profile.concurrency for alias, profile in profiles.items()}
    return [
        make_worker(client, WORKFLOW_QUEUE, threads, bound.deciding),
        *(
            make_worker(
                client, model_queue(alias), threads, bound.asking, most, (paces or {}).get(alias)
            )
            for alias, most in {AD_HOC: AD_HOC_SLOTS, **slots}.items()
        ),
    ]


def make_worker(
    client: Client,
    queue: str,
    threads: ThreadPoolExecutor,
    activities: Sequence[Callable[..., Any]],
    slots: int = THREADS,
    pace: float | None = None,
) -> Worker:
    """Make the worker of one queue; `slots` activities run here at once, and over all workers of
    the queue `pace` are begun in a second (Temporal keeps it; the last worker's word counts)."""
    pollers = PollerBehaviorAutoscaling(minimum=1, maximum=20, initial=2)
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        activity_executor=threads,
        max_concurrent_activities=slots,
        max_task_queue_activities_per_second=pace,
        interceptors=[FailureInterceptor()],
        # The sandbox would pass all our modules through: it would guard nothing and cost a
        # millisecond of CPU a step. That workflow code is pure is a rule with a test.
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=GRACE,
        # Heartbeats are free here; what they carry must be fresh after an outage.
        max_heartbeat_throttle_interval=timedelta(seconds=4),
        default_heartbeat_throttle_interval=timedelta(seconds=4),
        workflow_task_poller_behavior=pollers,
        activity_task_poller_behavior=pollers,
        # Given, so that the SDK does not hash all loaded code for 0.9 s.
        deployment_config=WorkerDeploymentConfig(
            version=WorkerDeploymentVersion("crp", build_id()),
            use_worker_versioning=False,
            default_versioning_behavior=VersioningBehavior.UNSPECIFIED,
        ),
    )


def build_id() -> str:
    """Name the code that runs, for whoever looks at Temporal: the release.

    Jobs are not bound to it: they go on with the next release, see docs/run-on-your-temporal.md.
    """
    return installed()


async def drain(workers: Sequence[Worker], ours: Tools) -> None:
    """End these workers, all at once, and bring home the answers under way: they are paid for.

    All calls have GRACE together: also those that no activity waits for since an outage.
    """
    clock = asyncio.get_running_loop().time
    over = clock() + GRACE.total_seconds()
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    await ours.answers.drain(max(0.0, over - clock()))


def _embedded_model() -> tuple[str, str]:
    """Where the embedded engine serves its model; the engine tells its workers so."""
    return os.environ.get("CRP_MODEL_URL", ""), os.environ.get("CRP_MODEL_KEY", "")
