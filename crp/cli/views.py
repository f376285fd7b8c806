"""How a job is watched: plain lines for pipes and scripts, a live list of steps for people."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crp.cli.lines import line_of
from crp.cli.story import Row, Story
from crp.cli.terminal import console, lively, one_line, say
from crp.models import Event

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

NOTE_AGAIN = 30.0
"""Seconds between two notes that differ in their numbers only, where lines can not change."""

_MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "done": ("✓", "green"),
    "accepted": ("✓", "yellow"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
    "unneeded": ("-", "dim"),
}


def view() -> PlainView:
    """Give the view that fits stderr; use it as a context manager."""
    return LiveView() if lively(sys.stderr) else PlainView()


class PlainView:
    """One line an event; what only counts on while something is waited for is told now and then."""

    def __init__(self) -> None:
        self._noted = ""
        self._noted_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        return None

    def event(self, event: Event) -> None:
        if line := line_of(event):
            say(line)

    def note(self, text: str) -> None:
        kind = re.sub(r"\d+", "", text)
        if kind != self._noted or time.monotonic() - self._noted_at > NOTE_AGAIN:
            self._noted, self._noted_at = kind, time.monotonic()
            say(f"... {one_line(text, 400)}")


class LiveView(PlainView):
    """The steps with their state, redrawn in place; fits any width."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.notice = ""
        self.started = datetime.now(UTC)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live
        from rich.spinner import Spinner

        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(self, console=console(stderr=True), refresh_per_second=8)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._live is not None
        self.notice = ""
        if kind is None:
            self.story.doing = ""
        self._live.stop()

    def event(self, event: Event) -> None:
        if event.kind == "job.started":
            self.started = event.at
        self.notice = ""
        self.story.add(event)

    def note(self, text: str) -> None:
        self.notice = one_line(text, 300)

    # -- drawing: called eight times a second, with the width of the moment ------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in (self.story.template, self.story.gate):
            if line:
                yield self._line(line, "dim")
        if self.story.rows:
            yield self._steps()
        if self.story.doing:
            yield self._now()
        if self.notice:
            yield self._line(f"  {self.notice}", "yellow")

    def _line(self, text: str, style: str) -> Text:
        from rich.text import Text

        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    def _steps(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
        table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
        table.expand = True
        for row in self.story.rows.values():
            mark, style = _MARKS.get(row.state, ("?", ""))
            table.add_row(Text(mark, style), Text(row.title), Text(state_of(row), style))
        return table

    def _now(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        seconds = max(0.0, (datetime.now(UTC) - self.started).total_seconds())
        counts = f"{self.story.calls} calls, {self.story.tokens} tokens, {seconds:.0f} s"
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_row(self._spinner, Text(f"{self.story.doing} ({counts})", style="bold"))
        return table


def state_of(row: Row) -> str:
    """Say how a step is, in a few words."""
    if row.state == "running":
        seconds = (datetime.now(UTC) - row.since).total_seconds() if row.since else 0.0
        again = f", attempt {row.attempt} ({row.why})" if row.attempt > 1 else ""
        return f"running {max(0.0, seconds):.0f} s{again}"
    if row.state in ("done", "accepted"):
        quality = "" if row.quality is None else f" {row.quality:.2f}"
        attempts = f", {row.attempt} attempts" if row.attempt > 1 else ""
        best = f", best of them ({row.why})" if row.state == "accepted" else ""
        return f"{row.state}{quality}{attempts}{best}"
    return f"{row.state}{': ' + row.why if row.why else ''}"
