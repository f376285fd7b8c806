"""Forgetting a job everywhere: the trace store, prompts and answers on disk, Temporal's history.

Deletes, and can be repeated until everything is gone: what is not there any more is no error.
Temporal is asked only when it runs; without it, its history and the payloads of it are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DeleteActivityExecutionRequest,
    DeleteWorkflowExecutionRequest,
)
from temporalio.client import ActivityExecutionStatus, Client, RPCError, WorkflowExecutionStatus
from temporalio.service import RPCStatusCode

from crp.blobs import BlobStore
from crp.errors import NotFound, UsageError
from crp.failures import from_failure
from crp.models import Wire
from crp.records import Records
from crp.stages import STORE_QUEUE
from crp_activities.answers import AnswerJournal
from crp_analytics.text import forgotten_name

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
    client = records.engine.client if records.engine and not keep_history else None
    in_temporal = await _has_history(client, job_id) if client else None
    try:
        gone = await records.forget(job_id)
    except NotFound:
        if not in_temporal:
            raise
        gone = None
    removed = sum(blobs.remove(sha256) for sha256 in (gone.blobs if gone else ()))
    AnswerJournal(home / "answers").forget(job_id)
    if client:
        await delete_histories(client, job_id)
        removed += blobs.let_go(job_id)
        async for question in _delete_questions(client):
            removed += blobs.let_go(question)
    return Forgetting(
        job_id=job_id,
        name=forgotten_name(job_id),
        in_store=gone is not None,
        blobs=removed,
        in_temporal=in_temporal,
        shown_to=gone.shown_to if gone else (),
    )


async def _has_history(client: Client, job_id: str) -> bool:
    """Whether Temporal knows the job. Raises UsageError while it is under way."""
    try:
        described = await client.get_workflow_handle(job_id).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise from_failure(error) from None
    if described.status == WorkflowExecutionStatus.RUNNING:
        raise UsageError(f"{job_id} is under way: end it with `crp jobs cancel` first")
    return True


async def delete_histories(client: Client, job_id: str) -> None:
    """Delete all histories of a job; without a run, Temporal deletes the last one alone."""
    quoted = job_id.replace("'", "''")
    try:
        runs = [run.run_id async for run in client.list_workflows(f"WorkflowId = '{quoted}'")]
        for run_id in dict.fromkeys(["", *runs]):
            await _delete_run(client, WorkflowExecution(workflow_id=job_id, run_id=run_id))
    except RPCError as error:
        raise from_failure(error) from None


async def _delete_run(client: Client, execution: WorkflowExecution) -> None:
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=execution
    )
    try:
        await client.workflow_service.delete_workflow_execution(request)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


async def _delete_questions(client: Client) -> AsyncIterator[str]:
    """Delete what was asked of the store by hand, with the answers, which hold texts of jobs.

    Gives the id of each.
    """
    try:
        async for activity_id, run_id in _questions(client):
            unwanted = DeleteActivityExecutionRequest(
                namespace=client.namespace, activity_id=activity_id, run_id=run_id
            )
            await client.workflow_service.delete_activity_execution(unwanted)
            yield activity_id
    except RPCError as error:
        raise from_failure(error) from None


async def _questions(client: Client) -> AsyncIterator[tuple[str, str]]:
    async for found in client.list_activities(f"TaskQueue = '{STORE_QUEUE}'"):
        if found.status == ActivityExecutionStatus.RUNNING or found.close_time is None:
            continue
        age = (datetime.now(UTC) - found.close_time).total_seconds()
        await asyncio.sleep(max(0.0, FRESH - age))
        yield found.activity_id, found.activity_run_id or ""
