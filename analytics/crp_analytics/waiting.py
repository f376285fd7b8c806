"""Facts that are in the journal and not in the tables yet.

Stored: nothing; what waits when a process ends, the journal has. What must stay true: facts come
into the tables in their order and once, whatever went wrong on the way; what could not be applied
waits on. Whoever calls `apply` has the tables to itself; everything else may be called meanwhile,
so those who add facts do not wait for the tables.
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

BATCH_BYTES = 4_000_000
"""Of facts in the journal's form: with as many the next batch is due, however few they are."""

BACKLOG = 4_000
BACKLOG_BYTES = 64_000_000
"""Facts that may wait while the tables can not be written, and their size."""

_log = logging.getLogger(__name__)


class Waiting:
    """The facts, oldest first. A thread calls `settle`, which has to call `apply`.

    It does when there are enough for a batch, or after a moment.
    """

    def __init__(self, settle: Callable[[], object]) -> None:
        self._noted: list[Noted] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._due = (0, 0)
        """How many there were, and their size, when they could not be applied last."""
        self._settle = settle
        self._pause = MOMENT
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def __len__(self) -> int:
        return len(self._noted)

    @property
    def last(self) -> int:
        """The number of the last one, 0 when none waits."""
        with self._changed:
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
        with self._changed:
            first = not self._noted
            self._noted += noted
            self._sizes += sizes
            self._bytes += sum(sizes)
            if first or self.due:
                self._changed.notify()
        if self._thread is None and not self._stopped:
            self._begin()

    def apply(self, connection: DuckDBPyConnection, batches: int | None = None) -> None:
        """Put all of them into the tables, or so many batches."""
        if not self._noted:
            return
        with self._changed:
            self._due = len(self), self._bytes
        done = projection.position(connection)  # a commit that failed may have been one
        while (batch := self._batch()) and batches != 0:
            if new := [noted for noted in batch if noted.sequence > done]:
                projection.apply_or_skip(connection, new)
            self._remove(len(batch))
            batches = None if batches is None else batches - 1
        with self._changed:
            self._due, self._pause = (0, 0), MOMENT

    def clear(self) -> None:
        """Forget them: the tables have caught up from the journal."""
        with self._changed:
            self._noted, self._sizes, self._bytes, self._due = [], [], 0, (0, 0)

    def stop(self) -> None:
        """Call nobody any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        """Start the thread; without it they wait for a reader, and the next that come try again."""
        thread = threading.Thread(target=self._run, name="crp-store", daemon=True)
        try:
            thread.start()
        except Exception as error:  # the journal has them: nobody may be told that it failed
            _log.warning("no thread for the facts that wait: %s", error)
        else:
            self._thread = thread

    def _batch(self) -> list[Noted]:
        """The oldest: large ones come in small batches, for which there may still be room."""
        with self._changed:
            sums = takewhile(lambda total: total < BATCH_BYTES, accumulate(self._sizes))
            return self._noted[: min(sum(1 for _ in sums) + 1, projection.BATCH)]

    def _remove(self, count: int) -> None:
        with self._changed:
            self._bytes -= sum(self._sizes[:count])
            del self._noted[:count], self._sizes[:count]

    def _run(self) -> None:
        while self._woken():
            try:
                self._settle()
            except CRPError as error:
                self._failed(error)
            except Exception as error:  # whatever it was: the journal has them, and they wait on
                _log.exception("facts that wait could not be put into the tables")
                self._failed(error)

    def _woken(self) -> bool:
        """Wait until there is something to do; False when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._noted or self._stopped)
            self._changed.wait_for(lambda: self.due or self._stopped, self._pause)
            return not self._stopped

    def _failed(self, error: Exception) -> None:
        _log.warning("%d facts wait in the journal: %s", len(self), error)
        self._pause = min(2 * self._pause, LONGEST)
