"""How a job is watched: plain lines for pipes and scripts, a live list of steps for people."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crp.cli.lines import hint_of, line_of
from crp.cli.story import Row, Story
from crp.cli.terminal import console, lively, one_line, say
from crp.models import Event

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from crp.following import Progress

NOTE_AGAIN = 30.0
"""Seconds between two notes that differ in their numbers only, where lines can not change."""

MOST_CALLS = 8
"""Calls under way whose texts are shown at once."""

_MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "done": ("✓", "green"),
    "accepted": ("✓", "yellow"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
    "unneeded": ("-", "dim"),
}


def view(job_id: str = "") -> PlainView:
    """Give the view that fits stderr; use it as a context manager."""
    return LiveView(job_id) if lively(sys.stderr) else PlainView(job_id)


class PlainView:
    """One line an event; what only counts on while something is waited for is told now and then."""

    def __init__(self, job_id: str = "") -> None:
        self.job_id = job_id or "ID"
        self._noted = ""
        self._noted_at = 0.0
        self._shown: dict[str, int] = {}

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
        if hint := hint_of(event.kind, self.job_id):
            say(f"  {hint}")

    def progress(self, calls: Sequence[Progress]) -> None:
        """Show what models are writing, for who asked for it: a line when there is more."""
        for call in calls:
            if call.tokens > self._shown.get(call.step, 0):
                say(f"... {written(call, 200)}")
        self._shown = {call.step: call.tokens for call in calls}

    def note(self, text: str) -> None:
        kind = re.sub(r"\d+", "", text)
        if kind != self._noted or time.monotonic() - self._noted_at > NOTE_AGAIN:
            self._noted, self._noted_at = kind, time.monotonic()
            say(f"... {one_line(text, 400)}")


class LiveView(PlainView):
    """The steps with their state, redrawn in place; fits any width."""

    def __init__(self, job_id: str = "") -> None:
        super().__init__(job_id)
        self.story = Story()
        self.notice = ""
        self.hint = ""
        self.calls: Sequence[Progress] = ()
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
        self.calls = ()
        if kind is None:
            self.story.doing = self.hint = ""
        self._live.stop()

    def event(self, event: Event) -> None:
        if event.kind == "job.started":
            self.started = event.at
        self.notice = ""
        self.story.add(event)
        self.hint = hint_of(event.kind, self.job_id) or (self.hint if self.story.waits else "")

    def note(self, text: str) -> None:
        self.notice = one_line(text, 300)

    def progress(self, calls: Sequence[Progress]) -> None:
        self.calls = calls

    # -- drawing: called eight times a second, with the width of the moment ------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in (self.story.template, self.story.gate):
            if line:
                yield self._line(line, "dim")
        if self.story.rows:
            yield self._steps()
        if self.story.doing:
            yield self._now()
        for call in self.calls[:MOST_CALLS]:
            yield self._line(f"  {written(call, options.max_width - 4)}", "dim")
        if self.hint:
            yield self._line(f"  {self.hint}", "yellow")
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


def written(call: Progress, width: int) -> str:
    """Say how far a call is, with as much of the end of its text as fits."""
    head = one_line(f"{call.step}: {call.tokens} tokens", max(10, width // 2))
    text = one_line(call.text, len(call.text) + 1)
    return f"{head}: {text[-max(1, width - len(head) - 2) :]}"


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
