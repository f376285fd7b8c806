"""Forgetting a job everywhere: the trace store, prompts and answers on disk, Temporal's history.

Deletes, and can be repeated until everything is gone: what is not there any more is no error.
Temporal is asked only when it runs; without it, its history and the payloads of it are left.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DeleteActivityExecutionRequest,
    DeleteWorkflowExecutionRequest,
    DescribeActivityExecutionRequest,
)
from temporalio.client import ActivityExecutionStatus, Client, RPCError, WorkflowExecutionStatus
from temporalio.service import RPCStatusCode

from crp.blobs import BlobStore
from crp.client import RUNNING
from crp.errors import NotFound, UsageError
from crp.failures import from_failure
from crp.models import Wire
from crp.records import Records
from crp.stages import STORE_QUEUE
from crp_activities.answers import AnswerJournal
from crp_analytics.text import forgotten_name

_CLAIM = re.compile(rb'"sha256"\s*:\s*"([0-9a-f]{64})"')
"""A reference to a payload in the blob store, see `converter`."""

FRESH = 5.0
"""Seconds in which whoever asked the store something may not have read the answer yet."""


class Forgetting(Wire):
    """What was done."""

    job_id: str
    name: str
    """What the job is called from now on."""
    in_store: bool
    blobs: int
    """Files with prompts, answers and payloads that were deleted."""
    in_temporal: bool | None
    """Whether a history was deleted; None when no server was asked."""
    shown_to: tuple[str, ...] = ()
    """Jobs that saw the job's library entry as an example."""


async def forget(records: Records, job_id: str, keep_history: bool = False) -> Forgetting:
    """Forget one job. Raises NotFound, UsageError while it is under way, StoreError."""
    home = records.settings.home
    blobs = BlobStore(home / "blobs")
    client = records.engine.client if records.engine else None
    history = None if client is None or keep_history else await _claims(client, job_id)
    try:
        gone = await records.forget(job_id)
        texts, shown_to = set(gone.blobs), gone.shown_to
    except NotFound:
        if not history:
            raise
        gone, texts, shown_to = None, set(), ()
    AnswerJournal(home / "answers").forget(job_id)
    if client is not None and not keep_history:
        texts |= history or set()
        await _delete_workflow(client, job_id)
        texts |= await _delete_questions(client)
        texts -= await _in_use(client)
    return Forgetting(
        job_id=job_id,
        name=forgotten_name(job_id),
        in_store=gone is not None,
        blobs=sum(blobs.remove(sha256) for sha256 in sorted(texts)),
        in_temporal=None if client is None or keep_history else history is not None,
        shown_to=shown_to,
    )


async def _claims(client: Client, job_id: str) -> set[str] | None:
    """The blobs that a job's history names but the templates, which are not its own.

    None when there is no history. Raises UsageError while the job is under way.
    """
    handle = client.get_workflow_handle(job_id)
    try:
        described = await handle.describe()
        if described.status == WorkflowExecutionStatus.RUNNING:
            raise UsageError(f"{job_id} is under way: end it with `crp jobs cancel` first")
        own: set[str] = set()
        shared: set[str] = set()
        async for event in handle.fetch_history_events():
            own |= _named(event)
            shared |= _templates(event)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise from_failure(error) from None
    return own - shared


def _templates(event: Any) -> set[str]:
    """The library and the template, which all jobs share: the second thing that is given."""
    given: list[Payload] = []
    if event.HasField("workflow_execution_started_event_attributes"):
        given = list(event.workflow_execution_started_event_attributes.input.payloads)
    scheduled = event.activity_task_scheduled_event_attributes
    if scheduled.activity_type.name in ("route", "retrieve"):
        given = list(scheduled.input.payloads)
    return _named(given[1]) if len(given) > 1 else set()


def _named(message: Any) -> set[str]:
    return {found.decode() for found in _CLAIM.findall(message.SerializeToString())}


async def _in_use(client: Client) -> set[str]:
    """What jobs that are under way may still need."""
    needed: set[str] = set()
    async for execution in client.list_workflows(RUNNING):
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        async for event in handle.fetch_history_events():
            needed |= _named(event)
    return needed


async def _delete_workflow(client: Client, job_id: str) -> None:
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=job_id)
    )
    try:
        await client.workflow_service.delete_workflow_execution(request)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise from_failure(error) from None


async def _delete_questions(client: Client) -> set[str]:
    """Delete what was asked of the store by hand, with the answers, which hold texts of jobs."""
    claims: set[str] = set()
    try:
        async for activity_id, run_id in _questions(client):
            asked = DescribeActivityExecutionRequest(
                namespace=client.namespace,
                activity_id=activity_id,
                run_id=run_id,
                include_input=True,
                include_outcome=True,
            )
            claims |= _named(await client.workflow_service.describe_activity_execution(asked))
            unwanted = DeleteActivityExecutionRequest(
                namespace=client.namespace, activity_id=activity_id, run_id=run_id
            )
            await client.workflow_service.delete_activity_execution(unwanted)
    except RPCError as error:
        raise from_failure(error) from None
    return claims


async def _questions(client: Client) -> AsyncIterator[tuple[str, str]]:
    async for found in client.list_activities(f"TaskQueue = '{STORE_QUEUE}'"):
        if found.status == ActivityExecutionStatus.RUNNING or found.close_time is None:
            continue
        age = (datetime.now(UTC) - found.close_time).total_seconds()
        await asyncio.sleep(max(0.0, FRESH - age))
        yield found.activity_id, found.activity_run_id or ""
