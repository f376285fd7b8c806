"""Facts that are in the journal and not in the tables yet.

Stored: nothing; what waits when a process ends, the journal has. What must stay true: facts come
into the tables in their order and once, whatever went wrong on the way; what could not be applied
waits on. Its owner has the one lock; only `stop` may be called without it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import accumulate, takewhile

from duckdb import DuckDBPyConnection

from crp.errors import CRPError
from crp_analytics import projection
from crp_analytics.facts import Noted

MOMENT = 0.5
"""Seconds that facts wait when nobody asks for them; longer after each time that it failed."""

LONGEST = 60.0

BATCH_BYTES = 2_000_000
"""Of facts in the journal's form: with as many the next batch is due, however few they are."""

BACKLOG = 2_000
BACKLOG_BYTES = 64_000_000
"""Facts that may wait while the tables can not be written, and their size."""

_log = logging.getLogger(__name__)


class Waiting:
    """The facts, oldest first. After a moment it calls `settle`, which has to call `apply`."""

    def __init__(self, settle: Callable[[], object]) -> None:
        self._noted: list[Noted] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._due = (0, 0)
        """How many there were, and their size, when they could not be applied last."""
        self._settle = settle
        self._pause = MOMENT
        self._timer: threading.Timer | None = None
        self._stopped = False

    def __len__(self) -> int:
        return len(self._noted)

    @property
    def last(self) -> int:
        """The number of the last one, 0 when none waits."""
        return self._noted[-1].sequence if self._noted else 0

    @property
    def due(self) -> bool:
        """Whether there are enough for a batch, beside those that could not be applied."""
        many, size = self._due
        return len(self) - many >= projection.BATCH or self._bytes - size >= BATCH_BYTES

    @property
    def full(self) -> bool:
        """Whether no more may come before some are in the tables."""
        return len(self) >= BACKLOG or self._bytes >= BACKLOG_BYTES

    def add(self, noted: list[Noted], sizes: list[int]) -> None:
        """Take in what the journal has just kept."""
        self._noted += noted
        self._sizes += sizes
        self._bytes += sum(sizes)
        self._call_later()

    def apply(self, connection: DuckDBPyConnection) -> None:
        """Put all of them into the tables."""
        if not self._noted:
            return
        self._due = len(self), self._bytes
        done = projection.position(connection)  # a commit that failed may have been one
        while batch := self._batch():
            if new := [noted for noted in batch if noted.sequence > done]:
                projection.apply_or_skip(connection, new)
            self._remove(len(batch))
        self._due, self._pause = (0, 0), MOMENT

    def clear(self) -> None:
        """Forget them: the tables have caught up from the journal."""
        self._remove(len(self))
        self._due = 0, 0

    def _batch(self) -> list[Noted]:
        """The oldest: large ones come in small batches, for which there may still be room."""
        sums = takewhile(lambda total: total < BATCH_BYTES, accumulate(self._sizes))
        return self._noted[: min(sum(1 for _ in sums) + 1, projection.BATCH)]

    def _remove(self, count: int) -> None:
        self._bytes -= sum(self._sizes[:count])
        del self._noted[:count], self._sizes[:count]

    def stop(self) -> None:
        """Call nobody any more."""
        self._stopped = True
        timer = self._timer
        if timer is not None:
            timer.cancel()
            timer.join()

    def _call_later(self) -> None:
        if self._timer is None and not self._stopped:
            self._timer = threading.Timer(self._pause, self._late)
            self._timer.daemon = True
            self._timer.start()

    def _late(self) -> None:
        self._timer = None
        try:
            self._settle()
        except CRPError as error:
            if not self._stopped:
                _log.warning("%d facts wait in the journal: %s", len(self._noted), error)
                self._pause = min(2 * self._pause, LONGEST)
                self._call_later()
