"""The only way to the user's screen: the answer goes to stdout, everything else to stderr.

Model output is hostile. `clean` takes out whatever could steer a terminal (escape sequences,
control and direction characters); nothing is printed that has not gone through it. Rich markup is
never read from texts.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\n]{0,4000}?(?:\x07|\x1b\\|\x9c)"  # OSC, DCS...: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]",
)
_LINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Give a text that only prints: no escape sequences, controls, direction marks, surrogates."""
    return _CONTROLS.sub("", _LINES.sub("\n", _SEQUENCES.sub("", text)))


def one_line(text: str, most: int = 200) -> str:
    """Give the beginning of a text as one clean line."""
    line = " ".join(clean(text[: most * 8]).split())
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."


def made_at(unix: float) -> str:
    """Tell a time in Unix seconds, also one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{unix:g} seconds after 1970"


def say(text: str) -> None:
    """Tell the user something, on stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def out(text: str) -> None:
    """Print what was asked for, on stdout."""
    encoding = sys.stdout.encoding or "utf-8"
    safe = clean(text).encode(encoding, "replace").decode(encoding)
    print(safe, flush=True)


def print_json(data: Any, indent: int | None = 2) -> None:
    """Print JSON on stdout; what could steer a terminal is escaped, so nothing is lost."""
    text = json.dumps(data, ensure_ascii=False, indent=indent, default=str)
    print(_CONTROLS.sub(lambda m: f"\\u{ord(m.group()):04x}", text), flush=True)


def lively(stream: Any) -> bool:
    """Whether a stream is a terminal that takes more than plain lines (see no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return bool(stream.isatty()) and not plain


def console(*, stderr: bool = False) -> Console:
    """A rich console that reads no markup and makes no links."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def print_markdown(text: str, *, stderr: bool = False) -> None:
    """Print a model's text: rendered on a terminal, as it is in a pipe."""
    if not lively(sys.stderr if stderr else sys.stdout):
        (say if stderr else out)(text)
        return
    from rich.markdown import Markdown

    console(stderr=stderr).print(Markdown(clean(text), hyperlinks=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], wrap: bool = True) -> None:
    """Print rows: a table on a terminal, aligned columns in a pipe."""
    texts = [[_cell(value) for value in row] for row in rows]
    if lively(sys.stdout):
        _rich_table(columns, texts, wrap)
        return
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    for row in [list(columns), *texts]:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        out("  ".join(padded).rstrip())


def _rich_table(columns: Sequence[str], rows: list[list[str]], wrap: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(clean(name)), overflow="fold" if wrap else "ellipsis")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:g}"
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return one_line(str(value), 500)
