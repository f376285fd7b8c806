"""The real job of `bench engine`: what the engine adds to the time that the model itself takes.

Starts the embedded engine in a home of its own, with the embedded model, and asks for a comparison
of three things. The model's critical path is the time in which at least one of its calls was under
way, as the server answered; the rest of a job's wall time is the engine's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crp import local
from crp.client import connect, handle, submit
from crp.config import Settings, load_settings
from crp.errors import EngineError
from crp.models import Attempt, Pressure, Task
from crp.records import Records
from crp.request import Request
from crp.templates import find_library

Row = dict[str, Any]

TASKS = (
    "Compare React, Vue and Svelte",
    "Compare tea, coffee and cocoa",
    "Compare bicycles, trams and cars",
    "Compare cats, dogs and parrots",
)
"""The first warms up the model and is not counted."""


def real(folder: Path, jobs: int) -> list[Row]:
    return asyncio.run(_real(load_settings(home=folder), jobs))


async def _real(settings: Settings, jobs: int) -> list[Row]:
    engine = await connect(settings)
    try:
        records = Records(settings, engine)
        rows = []
        for number in range(jobs + 1):
            began = time.monotonic()
            job_id = await submit(engine, _request(settings, number))
            result = await handle(engine, job_id).result()
            wall = time.monotonic() - began
            record = await records.record(job_id)
            if record is None or result.status not in ("completed", "incomplete"):
                raise EngineError(f"the real job {job_id} is {result.status}: {result.error}")
            rows.append(_row(wall, record.attempts))
        return rows[1:]
    finally:
        await local.stop(settings)


def _request(settings: Settings, number: int) -> Request:
    models = settings.profiles()
    text = TASKS[0] if number == 0 else TASKS[1 + (number - 1) % (len(TASKS) - 1)]
    # On a busy machine the plan would be another one.
    task = Task(text=text, template="comparison", orc="on", pressure=Pressure.NONE)
    config = settings.config(models["default"])
    return Request(task, config, models, find_library(settings).library)


def _row(wall: float, attempts: Iterable[Attempt]) -> Row:
    calls = [a for a in attempts if a.usage.calls and a.finished_at]
    path = critical_path(calls)
    return {
        "calls": len(calls),
        "seconds": wall,
        "model_seconds": path,
        "added": wall - path,
        "share": (wall - path) / path,
    }


def critical_path(attempts: Iterable[Attempt]) -> float:
    """Seconds in which at least one call was under way."""
    ends = datetime.min.replace(tzinfo=UTC).timestamp()
    total = 0.0
    spans = [(a.finished_at.timestamp(), a.usage.seconds) for a in attempts if a.finished_at]
    for finished, seconds in sorted(spans, key=lambda span: span[0] - span[1]):
        total += max(0.0, finished - max(ends, finished - seconds))
        ends = max(ends, finished)
    return total
