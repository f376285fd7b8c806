"""Async work for callers that are not async: from a script, and from inside a running loop.

A notebook has a loop that runs already, and `asyncio.run` refuses to work there; the work then
gets a thread and a loop of its own, both gone when it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Give the loop that runs in this thread, if there is one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and give its result. Ctrl-C cancels it."""
    return asyncio.run(work) if running_loop() is None else _run_in_thread(work)


def _run_in_thread(work: Coroutine[Any, Any, T]) -> T:
    under_way: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def noted() -> T:
        if (task := asyncio.current_task()) is not None:
            under_way.append((asyncio.get_running_loop(), task))
        return await work

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, "crp") as pool:
        future = pool.submit(context.run, asyncio.run, noted())
        try:
            return future.result()
        except KeyboardInterrupt:
            # Leaving the block waits for the thread: it must not work on for nobody.
            for loop, task in under_way:
                with contextlib.suppress(RuntimeError):  # it has just ended by itself
                    loop.call_soon_threadsafe(task.cancel)
            raise
