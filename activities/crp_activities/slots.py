"""The slots of one model: how many calls are under way at once, and how long others wait for one.

Within a process a semaphore counts. Over all workers of a home a slot is a file that is locked
while a call is under way, so the limit is the model's and not the worker's; the system gives the
lock back when its process dies, however that was. What is stored: `HOME/slots/MODEL/NUMBER`, empty
files. What must stay true: who holds no lock makes no call.

Who finds all slots taken looks again every few hundredths of a second, one call of a process at a
time: each worker has the same chance of the next free slot, so none waits for ever. Where files
can not be locked (Windows, some network drives) every worker counts for itself, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from crp_activities.providers.base import PerLoop

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

RECENT_SECONDS = 60.0
"""How long a finished wait counts as the present."""
LOOKS = (0.01, 0.05)
"""Seconds between two looks for a free slot: the least and the most, by chance."""
TRIED_AT_ONCE = 16
"""Locks that one look tries: of hundreds, some by chance."""


class Lane:
    """The slots of one model, and how long calls wait for them.

    `folder` is where the workers of a home share them; None: they are this process's own.
    """

    def __init__(self, slots: int, folder: Path | None = None) -> None:
        self._slots = PerLoop(lambda: asyncio.Semaphore(slots))
        self._shared = SharedSlots(folder, slots) if folder else None
        self._waiting: dict[object, float] = {}
        self._ended: deque[tuple[float, float]] = deque(maxlen=1000)
        """When a wait ended, and how long it was."""

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot during the block; wait until one is free."""
        slots = self._slots.get()
        async with contextlib.AsyncExitStack() as held:
            with self._timed():
                await held.enter_async_context(slots)
                if self._shared is not None:
                    held.callback(_give_back, await self._shared.take())
            yield

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        waiter = object()
        self._waiting[waiter] = time.monotonic()
        try:
            yield
        finally:
            began = self._waiting.pop(waiter)
            now = time.monotonic()
            self._ended.append((now, now - began))

    def wait(self) -> float:
        """Say how long calls wait, in seconds: the oldest that still does, or the mean of those
        that ended lately, whichever is longer."""
        now = time.monotonic()
        oldest = max((now - began for began in self._waiting.values()), default=0.0)
        recent = [waited for ended, waited in self._ended if now - ended <= RECENT_SECONDS]
        return max(oldest, sum(recent) / len(recent) if recent else 0.0)


class SharedSlots:
    """The slots of one model as files that the workers of a home lock."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._turn = PerLoop(asyncio.Lock)
        self._usable = sys.platform != "win32"

    async def take(self) -> int | None:
        """Give a locked file, to be closed after the call; None where files can not be locked."""
        async with self._turn.get():
            while self._usable:
                try:
                    if (held := self._free()) is not None:
                        return held
                except OSError as error:
                    self._usable = False
                    logger.warning(
                        "workers can not share the slots in %s, so each counts for itself: %s",
                        self._folder,
                        error,
                    )
                    break
                await asyncio.sleep(random.uniform(*LOOKS))
        return None

    def _free(self) -> int | None:
        """Lock one that nobody holds. Raises OSError where that is not possible at all."""
        for number in random.sample(range(self._count), min(self._count, TRIED_AT_ONCE)):
            if (held := _locked(self._folder / str(number))) is not None:
                return held
        return None


def _locked(file: Path) -> int | None:
    try:
        held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        return _locked(file)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    except OSError:
        os.close(held)
        raise
    return held


def _give_back(held: int | None) -> None:
    if held is not None:
        os.close(held)
