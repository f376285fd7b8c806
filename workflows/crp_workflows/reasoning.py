"""ReasoningWorkflow: one job as a durable execution.

The path of the job is `orchestration.Reasoning`; how each stage becomes an activity is in
`activity_stages`. Here stands what can be asked of a job from outside: cancel it, pause it, approve
its plan, read its events and its result; and how it goes on in a new history.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from crp.models import Approval, Carried, Event, Job, JobResult, Library, Standing
from crp_workflows import attributes
from crp_workflows.activity_stages import ActivityStages
from crp_workflows.control import Control
from crp_workflows.orchestration import Reasoning


@workflow.defn
class ReasoningWorkflow:
    """Solve one task. Fails with JobFailed when there is no answer; the job is recorded anyway."""

    @workflow.init
    def __init__(self, job: Job, begin: Library | Carried) -> None:
        self._job = job = _named(job)
        carried = begin if isinstance(begin, Carried) else None
        self._library = begin.library if isinstance(begin, Carried) else begin
        self._control = Control(carried.paused_by if carried else "")
        self._stages = ActivityStages(job, self._control, carried)
        self._reasoning = Reasoning(job, self._library, self._stages)
        if carried:
            self._reasoning.go_on_from(carried)
        self._reasoning.ledger.on_event = self._show

    @workflow.run
    async def run(self, job: Job, begin: Library | Carried) -> JobResult:
        """Begin with a library, or with what the job's last history hands on."""
        result = await self._until_end_of_history()
        if result is None:
            workflow.continue_as_new(args=[self._job, self._carried()])
        if result.status == "cancelled":
            raise asyncio.CancelledError(result.error)
        if result.status == "failed":
            # With the result as a detail: what was there so far is not lost for the client.
            raise ApplicationError(result.error, result, type="JobFailed", non_retryable=True)
        return result

    async def _until_end_of_history(self) -> JobResult | None:
        """Give the job's result, or None when it has to go on in a new history."""
        work = asyncio.create_task(self._reasoning.run())
        try:
            await workflow.wait_condition(lambda: work.done() or self._control.drained)
        except asyncio.CancelledError:
            self._control.release()
            work.cancel()
        return None if self._control.drained and not work.done() else await work

    def _carried(self) -> Carried:
        return Carried(
            library=self._library,
            started_at=self._reasoning.started_at,
            results=self._stages.results.all(),
            events=tuple(self._reasoning.ledger.events),
            paused_by=self._control.paused_by,
            asked=self._reasoning.asked,
            spent=self._reasoning.spent,
            changes=tuple(self._stages.changes),
        )

    def _show(self, event: Event) -> None:
        """Keep Temporal's UI up to date with one readable line."""
        where = event.step or event.stage
        workflow.set_current_details(f"{event.kind} {where}".strip())
        attributes.follow(event, self._control.standing())

    # -- what people may read ------------------------------------------------------------------

    @workflow.query
    def events(self, since: int) -> list[Event]:
        """Give the events from sequence `since` on. Costs no history."""
        return self._reasoning.ledger.events[since:]

    @workflow.query
    def result(self) -> JobResult | None:
        """Give the answer as soon as it is known, before its record has landed."""
        return self._reasoning.result

    @workflow.query
    def standing(self) -> Standing:
        """Say whether the job is paused, waits for a person, and what runs."""
        return self._control.standing()

    # -- what people may ask; a refusal leaves nothing in the history ----------------------------

    @workflow.update
    def pause(self, by: str) -> None:
        """Let what runs finish, and start nothing new."""
        self._control.paused_by = by
        self._reasoning.ledger.say("job.paused", by=by)

    @pause.validator
    def _may_pause(self, by: str) -> None:
        _refuse(self._ended() or self._control.no_pause())

    @workflow.update
    def resume(self, by: str) -> None:
        """Go on."""
        self._control.paused_by = ""
        self._reasoning.ledger.say("job.resumed", by=by)

    @resume.validator
    def _may_resume(self, by: str) -> None:
        _refuse(self._ended() or self._control.no_resume())

    @workflow.update
    def approve(self, said: Approval) -> None:
        """Let the plan run, with the changes that a person wants."""
        self._control.approval = said

    @approve.validator
    def _may_approve(self, said: Approval) -> None:
        _refuse(self._ended() or self._control.no_approval(said))

    def _ended(self) -> str:
        result = self._reasoning.result
        return f"the job has ended: {result.status}" if result else ""


def _named(job: Job) -> Job:
    """Call a job of a schedule as Temporal called its workflow: its input is the same each time."""
    if job.job_id:
        return job
    info = workflow.info()
    return job.model_copy(update={"job_id": info.workflow_id, "submitted_at": info.start_time})


def _refuse(why: str) -> None:
    if why:
        raise ApplicationError(why, type="UsageError", non_retryable=True)
