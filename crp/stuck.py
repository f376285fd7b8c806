"""Why a job stands still although workers are there: their code does not fit what it has done.

Temporal tries such a job again and again and waits for code that fits; for people it only looks as
if it ran. Reads the job's state and the end of its history, changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, TypedSearchAttributes

REPORTED = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")
"""Servers from 1.30 on say of a running job what keeps it from going on."""
_UNFIT = "cause=WorkflowTaskFailedCauseNonDeterministicError"
_LAST = 100
"""Events from the end among which the failure stands: what comes while a job stands still."""
_WITHIN = timedelta(seconds=5)


def reported(attributes: TypedSearchAttributes) -> bool:
    """Whether the server says that no worker's code fits a job."""
    return _UNFIT in (attributes.get(REPORTED) or ())


async def why_stuck(client: Client, job_id: str) -> str:
    """Say why a job can not go on with the code of the workers that there are; or nothing.

    Raises RPCError.
    """
    job = await client.get_workflow_handle(job_id).describe(rpc_timeout=_WITHIN)
    if job.raw_description.pending_workflow_task.attempt < 2:
        return ""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=job_id, run_id=job.run_id),
        maximum_page_size=_LAST,
    )
    answer = await client.workflow_service.get_workflow_execution_history_reverse(
        request, timeout=_WITHIN
    )
    return _explained(job_id, list(answer.history.events))


def _explained(job_id: str, newest_first: list[HistoryEvent]) -> str:
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ends = [event for event in newest_first if event.event_type in (failed, done)]
    unfit = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    if not ends or ends[0].workflow_task_failed_event_attributes.cause != unfit:
        return ""
    before = next((event for event in ends if event.event_type == done), None)
    version = _version(before) if before else ""
    went_on = f" (it went on last with {version})" if version else ""
    return (
        f"the code of the workers does not fit what the job has done{went_on}: start a worker of "
        f"that version and it goes on, or take its answers into a new job by `crp jobs fork "
        f"{job_id}`"
    )


def _version(done: HistoryEvent) -> str:
    said = done.workflow_task_completed_event_attributes
    return said.deployment_version.build_id or said.worker_version.build_id
