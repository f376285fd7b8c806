"""End a job on purpose, and tell what it leaves."""

from __future__ import annotations

import asyncio

from crp.cli.terminal import one_line, out, print_json, say
from crp.cli.views import PlainView
from crp.client import Engine, cancel, find_job, handle
from crp.errors import EngineError, UsageError
from crp.failures import from_failure
from crp.following import Ended, follow
from crp.models import Event, JobResult
from crp.stuck import why_stuck

WITHIN = 60.0
"""Seconds that a job may take to put its things in order."""


class _Silent(PlainView):
    """Only what keeps us waiting is told."""

    def event(self, event: Event) -> None:
        return None


async def cancel_and_wait(engine: Engine, given: str, *, as_json: bool) -> None:
    """Ask a job to end and wait until it has. Raises NotFound, EngineError when it does not end."""
    job_id = await find_job(engine, given)
    if await _is_over(engine, job_id):
        raise UsageError(f"the job {job_id} is over already: see `crp jobs show {job_id}`")
    if await _ended_from_outside(engine, job_id):
        _tell(job_id, Ended(None), as_json=as_json)
        return
    await cancel(engine, job_id)
    say(f"cancelling {job_id}")
    try:
        async with asyncio.timeout(WITHIN):
            ended = await follow(engine, job_id, _Silent())
    except TimeoutError:
        raise EngineError(
            f"the job {job_id} was asked to end and has not after {WITHIN:g} s: it does as soon as "
            "a worker answers"
        ) from None
    _tell(job_id, ended, as_json=as_json)


async def _ended_from_outside(engine: Engine, job_id: str) -> bool:
    """Whether a job was ended that can not end itself, because no worker's code fits it."""
    from temporalio.client import RPCError

    try:
        if not (why := await why_stuck(engine.client, job_id)):
            return False
        say(f"{why}; it is ended without a record")
        await handle(engine, job_id).terminate(reason="no worker's code fits it")
    except RPCError as error:
        raise from_failure(error) from None
    return True


async def _is_over(engine: Engine, job_id: str) -> bool:
    from temporalio.client import RPCError

    try:
        return (await handle(engine, job_id).describe()).close_time is not None
    except RPCError as error:
        raise from_failure(error) from None


def _tell(job_id: str, ended: Ended, *, as_json: bool) -> None:
    result = ended.result
    if as_json:
        empty = {"job_id": job_id, "status": "cancelled"}
        print_json(result.model_dump(mode="json") if result else empty)
        return
    if result is None or result.status != "cancelled":
        out(f"{job_id}: {result.status if result else 'cancelled'}")
        return
    for line in so_far(result):
        out(line)


def so_far(result: JobResult) -> list[str]:
    """Say what a cancelled job had done."""
    steps = [s for s in result.steps if s.fulfilled]
    lines = [
        f"{result.job_id}: cancelled after {result.seconds:.1f} s, {result.usage.calls} calls, "
        f"{result.usage.tokens} tokens; {len(steps)} of {len(result.steps)} steps were done"
    ]
    return lines + [f"  {one_line(s.id, 40)}: {one_line(s.output, 120)}" for s in steps]
