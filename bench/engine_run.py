"""One run of `bench engine`: so many jobs at once, in a place of its own.

A job alone is repeated, one after the other; several are submitted together and awaited together.
What is counted: wall time, each job's wait, the gaps between the model's calls of a job (what a
durable step adds), CPU of each process, events and bytes of a history, calls made twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from bench.engine_jobs import (
    PROFILE,
    SHAPES,
    STEPS,
    Shape,
    calls_in,
    gaps,
    library,
    repeated,
    request,
)
from bench.engine_place import Place, place
from bench.engine_raw import QUEUE, RawWorkflow
from bench.engine_worker import CALLS
from crp.client import Engine, connect_to, handle, submit
from crp.errors import EngineError
from crp.models import JobResult, Library
from crp.stages import STORE_QUEUE, WORKFLOW_QUEUE, model_queue

Row = dict[str, Any]
Work = Callable[[int, str, Shape], Awaitable[None]]

WORKERS = {"work": (WORKFLOW_QUEUE, model_queue(PROFILE.alias)), "store": (STORE_QUEUE,)}
RAW_WORKERS = {"raw": (QUEUE,)}

ALONE = 10
"""How often a job is repeated that is alone."""
SUBMITTING = 64
"""Submissions under way at once."""
WARM = 3


def run(folder: Path, way: str, shape: Shape, at_once: int) -> Row:
    """Measure `engine` or `raw` once."""
    return asyncio.run(_run(folder, way, shape, at_once))


async def _run(folder: Path, way: str, shape: Shape, at_once: int) -> Row:
    raw = way == "raw"
    async with place(folder, RAW_WORKERS if raw else WORKERS) as there:
        client = await (Client.connect(there.address) if raw else _ours(there))
        work = _raw(client) if raw else _engine(there, client)
        await _all(work, "warm", shape, WARM, at_once=1)
        (folder / CALLS).write_text("")  # workers append: what follows is what is measured
        row = await _measured(there, work, shape, at_once)
        history = await client.get_workflow_handle("job-0").fetch_history()
        return {**row, **_history(list(history.events), "step" if raw else "execute")}


async def _ours(there: Place) -> Client:
    return await connect_to(there.settings, there.address)


async def _measured(there: Place, work: Work, shape: Shape, at_once: int) -> Row:
    jobs = ALONE if at_once == 1 else at_once
    before, began = there.cpu(), time.monotonic()
    waits = await _all(work, "job", shape, jobs, at_once)
    seconds, after = time.monotonic() - began, there.cpu()
    calls = calls_in(there.settings.home / CALLS)
    steps = jobs * STEPS
    if len(calls) - repeated(calls) != steps:
        raise EngineError(f"{len(calls)} calls of the model for {steps} steps")
    return {
        "jobs": jobs,
        "seconds": seconds,
        "jobs_s": jobs / seconds,
        "steps_s": steps / seconds,
        "waits": waits,
        "gaps": gaps(calls),
        "cpu": {name: (after[name] - before[name]) / steps for name in after},
        "repeated": repeated(calls),
    }


async def _all(work: Work, name: str, shape: Shape, jobs: int, at_once: int) -> list[float]:
    """Do jobs, so many at once; give what each took."""
    turns = asyncio.Semaphore(at_once)

    async def one(number: int) -> float:
        async with turns:
            began = time.monotonic()
            await work(number, name, shape)
            return time.monotonic() - began

    return list(await asyncio.gather(*(one(number) for number in range(jobs))))


def _raw(client: Client) -> Work:
    async def work(number: int, name: str, shape: Shape) -> None:
        args = [number, shape]
        await client.execute_workflow(
            RawWorkflow.run, args=args, id=f"{name}-{number}", task_queue=QUEUE
        )

    return work


def _engine(there: Place, client: Client) -> Work:
    engine = Engine(there.settings, client, lambda text: None)
    libraries: dict[Shape, Library] = {shape: library(shape) for shape in SHAPES}
    turns = asyncio.Semaphore(SUBMITTING)

    async def work(number: int, name: str, shape: Shape) -> None:
        async with turns:
            asked = request(number, shape, libraries[shape])
            job_id = await submit(engine, asked, job_id=f"{name}-{number}")
        _check(await handle(engine, job_id).result())

    return work


def _check(result: JobResult) -> None:
    """A job that took another way measures nothing."""
    done = [step for step in result.steps if step.status == "done"]
    if result.status != "completed" or len(done) != STEPS:
        raise EngineError(f"job {result.job_id}: {result.status}, {len(done)} steps done")


def _history(events: list[HistoryEvent], name: str) -> Row:
    """Count a job's history, and what of it belongs to its steps."""
    scheduled, completed = (
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    )

    def is_step(event: HistoryEvent) -> bool:
        return (
            event.event_type == scheduled
            and event.activity_task_scheduled_event_attributes.activity_type.name == name
        )

    began = [e.event_id for e in events if is_step(e)]
    ended = [
        e.event_id
        for e in events
        if e.event_type == completed
        and e.activity_task_completed_event_attributes.scheduled_event_id in began
    ]
    # The decision after the last one belongs to it: scheduled, started, completed.
    of_steps = [e for e in events if began[0] <= e.event_id <= ended[-1] + 3]
    return {
        "events": len(events),
        "bytes": sum(e.ByteSize() for e in events),
        "step_events": len(of_steps) / len(began),
        "step_bytes": sum(e.ByteSize() for e in of_steps) / len(began),
    }
