"""Sample the pressure on one model: the worker's machine, and how long the model's calls wait.

Runs beside the workflows and not on the model's own queue: there it would wait as long as
the calls do, and a queue that is full would be the one that nobody hears of. Asks Temporal how
long calls wait there; those that wait for a slot in this process count too.
"""

from __future__ import annotations

import asyncio
import time

from temporalio import activity
from temporalio.client import RPCError

from crp.models import Reading
from crp.queues import Queue, look_at, nobody_calls
from crp.stages import model_queue
from crp_activities.tools import Tools

LOOKS = 5
"""How often a queue is looked at that nobody seems to work on: a worker may just be starting."""
PAUSE = 1.0

_BEGAN = time.monotonic()
"""About when this process began."""


async def sampled(tools: Tools, alias: str) -> Reading:
    """Give the pressure now; its note says when nobody takes the calls of the model."""
    queue = await _queue(alias)
    wait = max(tools.models.wait(alias), queue.wait(up=time.monotonic() - _BEGAN))
    reading = await asyncio.to_thread(tools.pressures.sample, wait)
    return reading if queue.polled else reading.model_copy(update={"note": nobody_calls(alias)})


async def _queue(alias: str) -> Queue:
    """Look at the model's queue; without Temporal there is none, and so is no wait."""
    found = Queue(polled=True, waiting=0, age=0.0, rate=0.0)
    if not activity.in_activity():
        return found
    for _ in range(LOOKS):
        try:
            found = await look_at(activity.client(), model_queue(alias))
        except RPCError as error:
            activity.logger.warning("the queue of model %s can not be seen: %s", alias, error)
            return found
        if found.polled:
            break
        await asyncio.sleep(PAUSE)
    return found
