"""How a batch is watched: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crp.batching.summary import Tally
from crp.cli.terminal import console, lively, one_line, say
from crp.cli.views import PlainView

if TYPE_CHECKING:
    from rich.progress import Progress

STEPS = 20
"""Lines about a whole batch, where lines can not change."""
LINE_AFTER = 60.0
"""Seconds without a line after which the next outcome gets one."""


class Pace:
    """How fast outcomes come in this run, and when the last one will."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self.outcomes = 0

    def per_second(self) -> float:
        return self.outcomes / max(self._clock() - self._began, 1e-6)

    def words(self, left: int) -> str:
        """Say the rate and the time that is left: `3.1/s, 5:20 left`."""
        if not self.outcomes:
            return ""
        rate = self.per_second()
        shown = f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"
        return f"{shown}, {duration(left / rate)} left" if left else shown


def duration(seconds: float) -> str:
    """Write a time as `4:05` or `2:04:05`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def facts(tally: Tally, under_way: int, pace: str) -> str:
    """Say how a batch stands: failures, cost, pace."""
    used = tally.usage
    parts = [
        f"{tally.bad} failed",
        f"{under_way} under way",
        f"{used.calls} calls",
        f"{used.tokens} tokens",
        pace,
    ]
    return ", ".join(part for part in parts if part)


class PlainBatch(PlainView):
    """A line for every twentieth of the batch, and now and then when it is slow."""

    def __init__(self, tasks: int, tally: Tally) -> None:
        super().__init__()
        self.tasks = tasks
        self.tally = tally
        self.pace = Pace()
        self._told = self._share()
        self._told_at = time.monotonic()

    @property
    def done(self) -> int:
        return self.tally.good + self.tally.bad

    def _share(self) -> int:
        return STEPS * self.done // max(self.tasks, 1)

    def show(self, under_way: int) -> None:
        """Tell that one more task has its outcome."""
        self.pace.outcomes += 1
        self.draw(facts(self.tally, under_way, self.pace.words(self.tasks - self.done)))

    def draw(self, line: str) -> None:
        slow = time.monotonic() - self._told_at > LINE_AFTER
        if self._share() != self._told or slow:
            self._told, self._told_at = self._share(), time.monotonic()
            say(f"{self.done} of {self.tasks}: {line}")


class LiveBatch(PlainBatch):
    """A bar that fits any width; what keeps the batch waiting takes the place of its numbers."""

    def __init__(self, tasks: int, tally: Tally) -> None:
        super().__init__(tasks, tally)
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        shown = TextColumn("{task.fields[line]}", table_column=Column(no_wrap=True, ratio=1))
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), shown)
        self._bar = Progress(*columns, console=console(stderr=True), expand=True)
        self._task = self._bar.add_task("", total=self.tasks, completed=self.done, line="")
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._bar is not None
        self._bar.stop()

    def draw(self, line: str) -> None:
        assert self._bar is not None
        self._bar.update(self._task, completed=self.done, line=line)

    def note(self, text: str) -> None:
        self.draw(one_line(text, 200))


def batch_view(tasks: int, tally: Tally) -> PlainBatch:
    """Give the view that fits stderr; use it as a context manager."""
    return LiveBatch(tasks, tally) if lively(sys.stderr) else PlainBatch(tasks, tally)
