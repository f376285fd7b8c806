"""Follow a job until its end, through outages of server, worker and engine.

Progress is read with the workflow's query `events`, which costs no history, and the end with its
result, in parallel. What went wrong with a call meanwhile stands in Temporal's pending activities;
they are looked at when nothing happens. Only what the user can not wait out is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import ValidationError
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import (
    RPCError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCStatusCode

from crp.client import Engine, handle
from crp.errors import CRPError, JobFailed
from crp.failures import from_failure
from crp.models import Event, JobResult
from crp.queues import look_at, model_of, nobody_calls
from crp.stages import model_queue
from crp.stuck import why_stuck
from crp_workflows.attributes import ENDED

EVERY = 0.25
"""Seconds between two looks."""
SELDOM = 1.0
"""Seconds between two looks at a job in which nothing happens."""
QUIET = 5.0
"""Seconds without an event after which the pending calls are looked at."""
PROGRESS_EVERY = 1.0
"""Seconds between two looks at calls that are under way, for who wants to see them."""
RECORD_WITHIN = 15.0
"""Seconds that an answer waits for its record before it is given without."""
RPC = timedelta(seconds=5)
TRIES = 4
"""How often an ended job is asked for what it had done."""

RESULT: Any = JobResult | None
"""What the query `result` gives: a type that type checkers do not take for one."""

_GONE = (RPCStatusCode.NOT_FOUND, RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)


class View(Protocol):
    """Who is told what happens."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def note(self, text: str) -> None:
        """Something is being waited for; the same text comes once until it changes."""


class Ended(NamedTuple):
    """How a job ended: a result, an error, or both."""

    result: JobResult | None
    error: CRPError | None = None
    recorded: bool = True
    """False: the answer is there, its record has not landed yet."""


@dataclass(frozen=True)
class Progress:
    """How far one model call is that is under way, by its last heartbeat."""

    step: str
    """The step, or `probe` for the whole task."""
    attempt: int
    tokens: int
    seconds: float
    text: str
    """The end of what it has written so far."""
    kind: Literal["progress"] = "progress"


Watcher = Callable[[Sequence[Progress]], None]
"""Is told of all model calls that are under way, again and again."""


async def follow(
    engine: Engine, job_id: str, view: View, on_progress: Watcher | None = None
) -> Ended:
    """Tell `view` everything that happens to a job and give its end.

    Cancelling this leaves the job running. Raises NotFound, and EngineError when the engine can
    not be started again.
    """
    follower = _Follower(engine, job_id, view)
    follower.on_progress = on_progress
    return await follower.run()


async def end_of(engine: Engine, job_id: str, view: View) -> Ended:
    """Give the end of a job without looking at what happens until then: one open request."""
    return await _Follower(engine, job_id, view).end()


class _Follower:
    def __init__(self, engine: Engine, job_id: str, view: View) -> None:
        self.engine = engine
        self.job_id = job_id
        self.view = view
        self.seen = 0
        self.changed = time.monotonic()
        self.answered: float | None = None
        self.noted = ""
        self.on_progress: Watcher | None = None
        self.progressed = 0.0
        self.names: dict[str, str] = {}
        """What Temporal's activities are about, by their id."""

    async def run(self) -> Ended:
        end = asyncio.create_task(self.end())
        try:
            while not end.done():
                await self._look()
                if early := await self._answer_without_record():
                    return early
                await asyncio.wait([end], timeout=self._pause())
            await self._look()
            return await end
        finally:
            end.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await end

    def _pause(self) -> float:
        """Who watches a job that waits for days must not ask its worker four times a second."""
        quiet = time.monotonic() - self.changed > QUIET
        return SELDOM if quiet and self.on_progress is None else EVERY

    # -- the end ----------------------------------------------------------------------------------

    async def end(self) -> Ended:
        while True:
            try:
                return Ended(await handle(self.engine, self.job_id).result(rpc_timeout=None))
            except WorkflowFailureError as error:
                return Ended(await self._result_of(error), from_failure(error))
            except RPCError as error:
                await self._outage(error)

    async def _result_of(self, error: WorkflowFailureError) -> JobResult | None:
        """What a failed job carries with its failure, or what a cancelled one still answers."""
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.details:
            with contextlib.suppress(ValidationError):
                return JobResult.model_validate(cause.details[0])
        for _ in range(TRIES):
            try:
                return await self._known_result()
            except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
                await asyncio.sleep(EVERY)  # a busy worker: what the job had done is worth a wait
        return None

    async def _known_result(self) -> JobResult | None:
        found: JobResult | None = await handle(self.engine, self.job_id).query(
            "result", result_type=RESULT, rpc_timeout=RPC
        )
        return found

    async def _answer_without_record(self) -> Ended | None:
        if self.answered is None or time.monotonic() - self.answered < RECORD_WITHIN:
            return None
        with contextlib.suppress(RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
            if (result := await self._known_result()) is not None:
                failed = JobFailed(result.error) if result.error else None
                return Ended(result, failed, recorded=False)
        return None

    # -- what happens meanwhile -------------------------------------------------------------------

    async def _look(self) -> None:
        try:
            for event in await self._events():
                self._tell(event)
            await self._show_progress()
            if time.monotonic() - self.changed > QUIET:
                await self._explain_silence()
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return  # its first moment, or code of another version: the end is told all the same
        except RPCError as error:
            await self._outage(error)

    async def _events(self) -> list[Event]:
        found: list[Event] = await handle(self.engine, self.job_id).query(
            "events", self.seen, result_type=list[Event], rpc_timeout=RPC
        )
        return found

    def _tell(self, event: Event) -> None:
        self.seen = event.sequence + 1
        self.changed, self.noted = time.monotonic(), ""
        if event.kind in ENDED:
            self.answered = time.monotonic()
        self.view.event(event)

    def _note(self, text: str) -> None:
        text = self.engine.trouble() or text
        if text and text != self.noted:
            self.noted = text
            self.view.note(text)

    async def _outage(self, error: RPCError) -> None:
        if error.status in _GONE:
            raise from_failure(error) from None
        no_worker = error.status in (
            RPCStatusCode.DEADLINE_EXCEEDED,
            RPCStatusCode.FAILED_PRECONDITION,
            RPCStatusCode.CANCELLED,
        )
        who = "no worker answers" if no_worker else "the server does not answer"
        self._note(await self._stuck() or f"{who}, waiting; the job is safe")
        await self.engine.revive()
        await asyncio.sleep(EVERY)

    async def _stuck(self) -> str:
        with contextlib.suppress(RPCError):
            return await why_stuck(self.engine.client, self.job_id)
        return ""

    # -- calls that are under way -----------------------------------------------------------------

    async def _show_progress(self) -> None:
        if self.on_progress is None or time.monotonic() - self.progressed < PROGRESS_EVERY:
            return
        self.progressed = time.monotonic()
        found = [_progress(await self._beat(activity)) for activity in await self._pending()]
        self.on_progress([progress for progress in found if progress])

    async def _pending(self) -> Sequence[PendingActivityInfo]:
        description = await handle(self.engine, self.job_id).describe(rpc_timeout=RPC)
        return description.raw_description.pending_activities

    async def _beat(self, activity: PendingActivityInfo) -> dict[str, Any]:
        """What an activity said of itself last; nothing when it has not begun."""
        if not activity.heartbeat_details.payloads:
            return {}
        converter = self.engine.client.data_converter
        (beat,) = await converter.decode(activity.heartbeat_details.payloads[:1])
        return beat if isinstance(beat, dict) else {}

    # -- why nothing happens ----------------------------------------------------------------------

    async def _explain_silence(self) -> None:
        pending = await self._pending()
        if any(a.activity_id not in self.names for a in pending):
            await self._read_names()
        in_order = sorted(pending, key=lambda a: (len(a.activity_id), a.activity_id))
        self._note("; ".join([await self._about(a) for a in in_order[:3]]))

    async def _about(self, activity: PendingActivityInfo) -> str:
        name = self.names.get(activity.activity_id) or activity.activity_type.name
        if activity.HasField("last_failure"):
            failure = await self.engine.client.data_converter.decode_failure(activity.last_failure)
            said = str(getattr(failure, "message", failure))
            why = said.strip().splitlines() or ["it failed"]
            return f"{name}: {why[0][:160]}, attempt {activity.attempt}"
        if beat := await self._beat(activity):
            if beat.get("tokens"):
                return f"{name}: the model is writing, {beat['tokens']} tokens so far"
            return f"{name}: waiting for the model"
        alias = model_of(activity.activity_options.task_queue.name)
        if alias and not (await look_at(self.engine.client, model_queue(alias))).polled:
            return f"{name}: {nobody_calls(alias)}"
        return f"{name}: waiting for a worker"

    async def _read_names(self) -> None:
        """Activities carry what they are about in the history, as a summary for people."""
        converter = self.engine.client.data_converter
        scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        async for event in handle(self.engine, self.job_id).fetch_history_events():
            if event.event_type == scheduled and event.user_metadata.HasField("summary"):
                (summary,) = await converter.decode([event.user_metadata.summary], [str])
                activity_id = event.activity_task_scheduled_event_attributes.activity_id
                self.names[activity_id] = re.sub(r" \(.*\)$|, attempt \d+.*$", "", str(summary))


def _progress(beat: dict[str, Any]) -> Progress | None:
    """Read a heartbeat of a model call; None for one of something else, or of another version."""
    try:
        return Progress(
            step=str(beat["step"]),
            attempt=int(beat["attempt"]),
            tokens=int(beat["tokens"]),
            seconds=float(beat["seconds"]),
            text=str(beat["text"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
