"""Steer jobs from code: pause, resume, approve, retry, fork; read their past, watch them live.

    engine = await crp.client.connect(settings)
    await pause(engine, job_id, by="Ann")
    async for item in stream(engine, job_id): ...

Touches Temporal, and the trace store through its owner. What `crp jobs` does is done here. Errors
are CRPErrors: UsageError where the job refuses, NotFound where there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from temporalio.client import RPCError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCStatusCode

from crp.client import Engine, handle
from crp.errors import CRPError, EngineError, NotFound, UsageError
from crp.failures import from_failure
from crp.following import Progress, follow
from crp.forking import Changes, fork, retry, started_with
from crp.jobs_past import Past, past
from crp.models import Approval, Event, Standing
from crp.records import Records
from crp_workflows.attributes import ENDED

__all__ = [
    "Approval",
    "Changes",
    "Past",
    "Progress",
    "approve",
    "events_of",
    "fork",
    "history",
    "past",
    "pause",
    "resume",
    "retry",
    "standing",
    "started_with",
    "stored_events",
    "stream",
]

WITHIN = 30.0
"""Seconds that a job may take to say yes or no: a worker has to be there."""

_EVENTS = TypeAdapter(list[Event])


# -- while it runs --------------------------------------------------------------------------------


async def pause(engine: Engine, job_id: str, by: str) -> None:
    """Let what runs finish, and start nothing new until `resume`."""
    await _update(engine, job_id, "pause", by)


async def resume(engine: Engine, job_id: str, by: str) -> None:
    """Let a paused job go on."""
    await _update(engine, job_id, "resume", by)


async def approve(engine: Engine, job_id: str, said: Approval) -> bool:
    """Let the plan that waits run, with the changes that a person wants.

    Gives False when the job has taken them and still makes the new plan: it is paused, or a model
    is asked for it. Raises UsageError also when the changed plan is not possible; the job then
    waits again.
    """
    before = len(await _query(engine, job_id, "events", list[Event], 0))
    await _update(engine, job_id, "approve", said)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WITHIN):
            while True:
                new = await _query(engine, job_id, "events", list[Event], before)
                if any(event.kind in ("approved", *ENDED) for event in new):
                    return True
                if refused := [str(e.body["refused"]) for e in new if e.body.get("refused")]:
                    raise UsageError(refused[-1])
                if (await standing(engine, job_id)).paused_by:
                    return False
                await asyncio.sleep(0.1)
    return False


async def standing(engine: Engine, job_id: str) -> Standing:
    """Say whether a job is paused, waits for a person, and how much of it runs now."""
    found: Standing = await _query(engine, job_id, "standing", Standing)
    return found


async def _update(engine: Engine, job_id: str, name: str, said: Any) -> None:
    try:
        async with _patience(job_id):
            await handle(engine, job_id).execute_update(name, said)
    except WorkflowUpdateFailedError as error:
        raise from_failure(error) from None
    except RPCError as error:
        # The server says the same of a job that is over and of one that never was.
        if error.status == RPCStatusCode.NOT_FOUND and "completed" in error.message:
            over = f"the job {job_id} is over: see `crp jobs show {job_id}`"
            raise UsageError(over) from None
        raise from_failure(error) from None


@contextlib.asynccontextmanager
async def _patience(job_id: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(WITHIN):
            yield
    except TimeoutError:
        raise EngineError(
            f"the job {job_id} does not answer within {WITHIN:g} s: no worker serves it"
        ) from None


async def _query(engine: Engine, job_id: str, name: str, kind: Any, *args: Any) -> Any:
    try:
        return await handle(engine, job_id).query(
            name, args=args, result_type=kind, rpc_timeout=timedelta(seconds=WITHIN)
        )
    except WorkflowQueryFailedError as error:
        raise EngineError(f"the job {job_id} does not say how it is: {error}") from None
    except RPCError as error:
        raise from_failure(error) from None


# -- its past -------------------------------------------------------------------------------------


async def history(engine: Engine, job_id: str) -> list[Event]:
    """Give everything that happened to a job, in order; `past` folds it. Raises NotFound."""
    return await events_of(Records(engine.settings, engine), job_id)


async def events_of(store: Records, job_id: str) -> list[Event]:
    """The same for who may have no engine: of an ended job from the store, else from the job."""
    job = await store.job(job_id)
    if job is not None:
        return stored_events(job)
    if store.engine is None:
        raise NotFound(f"no job {job_id!r}: `crp jobs list` shows them")
    events: list[Event] = await _query(store.engine, job_id, "events", list[Event], 0)
    return events


def stored_events(job: dict[str, Any]) -> list[Event]:
    """Read the events of a job as the trace store gives it."""
    rows = job["events"]
    return _EVENTS.validate_python(
        [{**row, "at": row["happened_at"], "body": row["body"] or {}} for row in rows]
    )


# -- live -----------------------------------------------------------------------------------------


async def stream(engine: Engine, job_id: str) -> AsyncIterator[Event | Progress]:
    """Yield what happens to a job, from its beginning to its end, as it happens.

    Events come once each. Between them come items of the kind `progress`: a model call that is
    under way, its tokens so far and the end of its text. Ends with the job, whatever became of it;
    to stop earlier leaves the job running.
    """
    items: asyncio.Queue[Event | Progress | None] = asyncio.Queue()

    async def work() -> None:
        try:
            await follow(engine, job_id, _Queued(items), _changes(items))
        finally:
            items.put_nowait(None)

    following = asyncio.create_task(work())
    try:
        while (item := await items.get()) is not None:
            yield item
        await following
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError, CRPError):
            await following


class _Queued:
    """A view that puts events into a queue."""

    def __init__(self, items: asyncio.Queue[Event | Progress | None]) -> None:
        self.items = items

    def event(self, event: Event) -> None:
        self.items.put_nowait(event)

    def note(self, text: str) -> None:
        """What is waited for says nothing new about the job."""


def _changes(items: asyncio.Queue[Event | Progress | None]) -> Any:
    """Tell of a call again only when it is further than it was."""
    told: dict[tuple[str, int], int] = {}

    def watcher(calls: Sequence[Progress]) -> None:
        for call in calls:
            if told.get((call.step, call.attempt)) != call.tokens:
                told[call.step, call.attempt] = call.tokens
                items.put_nowait(call)

    return watcher
