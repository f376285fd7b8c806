"""Recurring jobs: schedules of Temporal that start the same job again and again.

What is stored: one schedule at Temporal under the name that the user gave, whose action holds the
job and its templates as they were when it was made, and whose memo holds what people wrote. A job
of it has the schedule's name and the time as its id, `weekly-2026-11-23T07:00:00Z`: the job in the
action has none, and takes that of its workflow. Long facts lie in the blob store, in the schedule's
name. Touches Temporal and the blob store.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from temporalio.client import (
    RPCError,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCStatusCode

from crp import facts
from crp.blobs import BlobStore
from crp.client import Engine, turn_of
from crp.errors import CRPError, NotFound, UsageError
from crp.failures import from_failure
from crp.language.shapes import suggest
from crp.models import Job, Wire
from crp.request import Request
from crp.searching import attributes_of
from crp.stages import TASK_TIMEOUT, WORKFLOW_QUEUE
from crp_workflows.reasoning import ReasoningWorkflow

OVERLAPS: Mapping[str, ScheduleOverlapPolicy] = {
    "skip": ScheduleOverlapPolicy.SKIP,
    "wait": ScheduleOverlapPolicy.BUFFER_ONE,
    "wait-all": ScheduleOverlapPolicy.BUFFER_ALL,
    "cancel": ScheduleOverlapPolicy.CANCEL_OTHER,
    "together": ScheduleOverlapPolicy.ALLOW_ALL,
}
"""What is done when it is time and the last job still runs."""

CATCH_UP = timedelta(days=7)
"""How old a time may be that was missed because no engine ran."""

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}")
WORKFLOW = "ReasoningWorkflow"
RPC = timedelta(seconds=30)


class Recurring(Wire):
    """One schedule, as people see it."""

    name: str
    task: str = ""
    cron: tuple[str, ...] = ()
    time_zone: str = "UTC"
    overlap: str = "skip"
    template: str = ""
    paused: bool = False
    note: str = ""
    next: tuple[datetime, ...] = ()
    jobs: tuple[str, ...] = ()
    """The latest ones, newest first."""
    running: tuple[str, ...] = ()
    started: int | None = None
    """Jobs so far; a list of schedules does not tell it."""


@dataclass(frozen=True)
class When:
    """When a recurring job starts, and what if the last one still runs."""

    cron: tuple[str, ...]
    time_zone: str
    overlap: str = "skip"


async def create(
    engine: Engine, name: str, request: Request, when: When, *, paused: bool = False
) -> None:
    """Make a schedule. Raises UsageError for a wrong name, time or zone, and for a taken name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r}: a name has letters, digits, `.`, `-` and `_`, at most 80")
    blobs = BlobStore(engine.settings.home / "blobs")
    job = await asyncio.to_thread(facts.put_away, request.job(name), blobs)
    job = job.model_copy(update={"job_id": ""})
    schedule = Schedule(
        action=await _action(engine, name, job, request),
        spec=ScheduleSpec(
            cron_expressions=list(when.cron), time_zone_name=_checked_zone(when.time_zone)
        ),
        policy=SchedulePolicy(overlap=OVERLAPS[when.overlap], catchup_window=CATCH_UP),
        state=ScheduleState(paused=paused),
    )
    memo = {
        "task": request.first_line,
        "cron": list(when.cron),
        "time_zone": when.time_zone,
        "overlap": when.overlap,
        "template": request.task.template or "",
    }
    try:
        await engine.client.create_schedule(name, schedule, memo=memo, rpc_timeout=RPC)
    except ScheduleAlreadyRunningError:
        raise UsageError(f"there is a schedule {name!r} already: --replace makes it anew") from None
    except RPCError as error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            raise UsageError(f"--cron {', '.join(when.cron)!r}: {error.message}") from None
        raise from_failure(error) from None


async def _action(
    engine: Engine, name: str, job: Job, request: Request
) -> ScheduleActionStartWorkflow:
    return ScheduleActionStartWorkflow(
        ReasoningWorkflow.run,
        args=[job, request.library],
        id=name,
        task_queue=WORKFLOW_QUEUE,
        task_timeout=TASK_TIMEOUT,
        memo={"task": request.first_line, "request": request.digest},
        static_summary=request.first_line,
        typed_search_attributes=await attributes_of(engine.client, job, batch=name),
        priority=turn_of(request),
    )


async def every(engine: Engine) -> AsyncIterator[Recurring]:
    """List the schedules that start jobs. Raises EngineError."""
    try:
        async for found in await engine.client.list_schedules(rpc_timeout=RPC):
            if found.schedule is not None and _is_ours(found):
                yield await _listed(found)
    except RPCError as error:
        raise from_failure(error) from None


async def show(engine: Engine, name: str) -> Recurring:
    """Give everything about one schedule. Raises NotFound."""
    try:
        found = await _handle(engine, name).describe(rpc_timeout=RPC)
        memo = await found.memo()
    except RPCError as error:
        raise await _explained(engine, name, error) from None
    state, info = found.schedule.state, found.info
    return _recurring(name, memo).model_copy(
        update={
            "paused": state.paused,
            "note": state.note or "",
            "next": tuple(info.next_action_times[:3]),
            "jobs": _jobs(info.recent_actions),
            "running": tuple(_job_id(action) for action in info.running_actions),
            "started": info.num_actions,
        }
    )


async def pause(engine: Engine, name: str, note: str) -> None:
    """Start no more jobs until `resume`. Raises NotFound."""
    await _do(engine, name, _handle(engine, name).pause(note=note or None, rpc_timeout=RPC))


async def resume(engine: Engine, name: str) -> None:
    """Start jobs again. Raises NotFound."""
    await _do(engine, name, _handle(engine, name).unpause(rpc_timeout=RPC))


async def trigger(engine: Engine, name: str) -> None:
    """Start a job now, beside one that runs. Raises NotFound."""
    both = ScheduleOverlapPolicy.ALLOW_ALL
    await _do(engine, name, _handle(engine, name).trigger(overlap=both, rpc_timeout=RPC))


async def delete(engine: Engine, name: str) -> None:
    """Delete a schedule; its jobs stay. Raises NotFound."""
    await _do(engine, name, _handle(engine, name).delete(rpc_timeout=RPC))


async def _do(engine: Engine, name: str, doing: Any) -> None:
    try:
        await doing
    except RPCError as error:
        raise await _explained(engine, name, error) from None


async def _explained(engine: Engine, name: str, error: RPCError) -> CRPError:
    if error.status != RPCStatusCode.NOT_FOUND:
        return from_failure(error)
    names = [found.name async for found in every(engine)]
    there = suggest(name, names) or "`crp schedule list` shows them"
    return NotFound(f"no schedule {name!r}: {there}")


def _handle(engine: Engine, name: str) -> ScheduleHandle:
    return engine.client.get_schedule_handle(name)


# -- reading what Temporal says -------------------------------------------------------------------


def _is_ours(found: ScheduleListDescription) -> bool:
    action = found.schedule.action if found.schedule else None
    return isinstance(action, ScheduleListActionStartWorkflow) and action.workflow == WORKFLOW


async def _listed(found: ScheduleListDescription) -> Recurring:
    assert found.schedule is not None
    info = found.info
    return _recurring(found.id, await found.memo()).model_copy(
        update={
            "paused": found.schedule.state.paused,
            "note": found.schedule.state.note or "",
            "next": tuple(info.next_action_times[:1]) if info else (),
            "jobs": _jobs(info.recent_actions) if info else (),
        }
    )


def _recurring(name: str, memo: Mapping[str, Any]) -> Recurring:
    return Recurring.model_validate({**memo, "name": name})


def _jobs(actions: Any) -> tuple[str, ...]:
    done: list[ScheduleActionResult] = sorted(actions, key=lambda a: a.started_at, reverse=True)
    return tuple(_job_id(result.action) for result in done)


def _job_id(action: Any) -> str:
    return action.workflow_id if isinstance(action, ScheduleActionExecutionStartWorkflow) else ""


# -- time zones -----------------------------------------------------------------------------------


def local_zone() -> str:
    """Name the time zone of this machine; UTC when it can not be told."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        _, found, name = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")
        name = name if found else ""
    try:
        return ZoneInfo(name).key if name else "UTC"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


def _checked_zone(name: str) -> str:
    try:
        datetime.now(UTC).astimezone(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"no time zone {name!r}: such as Europe/Berlin or UTC") from None
    return name
