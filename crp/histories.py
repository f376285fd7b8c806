"""What Temporal's histories know of the trace store's decisions: for making a lost store again.

Touches Temporal, and the blob store through the client's converter. While no engine runs, the
embedded server is started alone, without workers, so that nobody else owns the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, RPCError, WorkflowExecution

from crp.blobs import BlobStore
from crp.client import HISTORIES, connect_to
from crp.config import ModelSettings, Settings
from crp.errors import EngineError, NotFound, StoreError
from crp.failures import from_failure
from crp.models import (
    CurationReport,
    Job,
    JobRecord,
    MetaLearningConfig,
    Recorded,
    Retrieved,
    TemplateSource,
)
from crp_activities.traces import with_texts
from crp_analytics.facts import CurationFact, JobFact, RetrievalFact
from crp_analytics.restoring import Found

DECISIONS: dict[str, tuple[list[type], type]] = {
    "retrieve": ([Job, TemplateSource], Retrieved),
    "record": ([JobRecord], Recorded),
    "curate": ([MetaLearningConfig], CurationReport),
}
"""The store's activities in workflows, with the types of what goes in and what comes out."""


async def decisions(client: Client, blobs: BlobStore) -> AsyncIterator[Found]:
    """Give every decision of the store that the server still knows of. Raises EngineError."""
    try:
        async for execution in client.list_workflows(HISTORIES):
            async for found in _of_workflow(client, blobs, execution):
                yield found
    except RPCError as error:
        raise from_failure(error) from None


async def _of_workflow(
    client: Client, blobs: BlobStore, execution: WorkflowExecution
) -> AsyncIterator[Found]:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    asked: dict[int, HistoryEvent] = {}
    answered: dict[int, HistoryEvent] = {}
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name in DECISIONS:
            asked[event.event_id] = event
        elif event.HasField("activity_task_completed_event_attributes"):
            completed = event.activity_task_completed_event_attributes
            answered[completed.scheduled_event_id] = event
    for number, event in asked.items():
        found = await _found(client, blobs, event, answered.get(number))
        if found is not None:
            yield found


async def _found(
    client: Client, blobs: BlobStore, asked: HistoryEvent, answered: HistoryEvent | None
) -> Found | None:
    scheduled = asked.activity_task_scheduled_event_attributes
    name = scheduled.activity_type.name
    kinds, kind = DECISIONS[name]
    try:
        given = await _decoded(client, scheduled.input.payloads[: len(kinds)], kinds)
        result = None
        if answered is not None:
            completed = answered.activity_task_completed_event_attributes
            [result] = await _decoded(client, completed.result.payloads, [kind])
    except (NotFound, StoreError):  # its blob is gone: the history tells no more
        return None
    if name == "record":
        return _of_record(with_texts(blobs, given[0]), result)
    if result is None or result.receipt is None:
        return None
    if name == "retrieve":
        return Found(_retrieval(given[0], given[1], result), result.receipt)
    return Found(_curation(given[0], result), result.receipt)


def _of_record(record: JobRecord, said: Recorded | None) -> Found:
    if said is None or said.receipt is None:
        return Found(JobFact(record=record), None)
    fact = JobFact(record=record, stored=said.stored, reason=said.reason)
    return Found(fact, said.receipt, again=said.duplicate)


def _retrieval(job: Job, source: TemplateSource, said: Retrieved) -> RetrievalFact:
    profile = job.model("default")
    return RetrievalFact(
        job_id=job.job_id,
        task_type=source.name,
        model_class=profile.model_class,
        template_sha256=source.sha256,
        model_name=profile.name,
        offers=said.offers,
        held_out=said.held_out,
        candidates=said.candidates,
        evidence=said.evidence,
        note=said.note,
    )


def _curation(config: MetaLearningConfig, said: CurationReport) -> CurationFact:
    return CurationFact(
        considered=said.considered,
        min_quality=config.rtl_min_quality_for_storage,
        grace_jobs=config.rtl_grace_jobs,
        max_traces=config.rtl_max_traces,
        retired=said.traces,
    )


async def _decoded(client: Client, payloads: Sequence[Any], kinds: list[type]) -> list[Any]:
    return await client.data_converter.decode(list(payloads), kinds)


# -- a server without workers ---------------------------------------------------------------------


@contextlib.asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Client]:
    """Give a client of the server that keeps the histories, for as long as the block runs.

    The embedded server is started alone and ended again. Raises EngineError.
    """
    if settings.temporal.address:
        yield await connect_to(settings, settings.temporal.address)
        return
    from crp.local.temporal_server import database

    if not database(settings.home).exists():
        raise EngineError(f"no engine ever ran for {settings.home}: there are no histories")
    async with _server_alone(settings) as address:
        yield await connect_to(settings, address)


@contextlib.asynccontextmanager
async def _server_alone(settings: Settings) -> AsyncIterator[str]:
    from crp import local

    # No embedded model: nothing is going to be asked of it.
    elsewhere = ModelSettings(provider="openai", base_url="http://127.0.0.1:9/v1")
    bare = settings.model_copy(update={"models": {"default": elsewhere}})
    engine = asyncio.create_task(local.serve(bare, workers=lambda state: []))
    try:
        while True:
            running = local.status(bare)
            if running and running.pid == os.getpid() and running.phase == "running":
                break
            if engine.done():
                engine.result()
            await asyncio.sleep(0.05)
        yield running.address
    finally:
        if not engine.done():
            signal.raise_signal(signal.SIGTERM)  # its own handler ends it in order
        await asyncio.gather(engine, return_exceptions=True)
