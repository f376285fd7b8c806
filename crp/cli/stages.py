"""Says what is being done while something starts: one line that changes, or a line a stage."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crp.cli.terminal import clean, console, lively, say

if TYPE_CHECKING:
    from rich.status import Status

_BAR = re.compile(r"\[[# ]*\] (\d+)%")
STEP = 25
"""Percent between two lines about a download, where lines can not change."""


class Stages:
    """Call it with a text for each stage; a text with a bar comes often."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._quarter = -1

    def __call__(self, text: str) -> None:
        bar = _BAR.search(text)
        if lively(sys.stderr):
            self._show(text)
        elif bar is None:
            say(text)
        elif (quarter := int(bar[1]) // STEP) != self._quarter:
            self._quarter = quarter
            say(text)

    def done(self) -> None:
        """Take the changing line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _show(self, text: str) -> None:
        from rich.text import Text

        line = Text(clean(text), no_wrap=True, overflow="ellipsis")
        if self._status is None:
            self._status = console(stderr=True).status(line, spinner="dots")
            self._status.start()
        self._status.update(line)


@contextlib.contextmanager
def told() -> Iterator[Stages]:
    """Give something to tell stages to; its line is gone when the block is left."""
    stages = Stages()
    try:
        yield stages
    finally:
        stages.done()
