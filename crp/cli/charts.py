"""Small charts in the terminal: bars for names, a line for dates. Made of text, as wide as told.

A chart is of the first number column of a table, over its first date column, or else by its first
other column. Our own, because a chart of a query needs no more than this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from crp.cli.terminal import one_line
from crp.errors import UsageError

if TYPE_CHECKING:
    from crp_analytics.sql import Table

MOST_BARS = 60
HEIGHT = 12
"""Lines of a line chart."""
LABEL = 32
"""Most columns of a bar's name."""

NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
DATES = ("DATE", "TIMESTAMP")
EIGHTHS = " ▏▎▍▌▋▊▉█"
BRAILLE = 0x2800
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a braille character, by column and row."""


class Point(NamedTuple):
    label: str
    value: float


def chart(table: Table, width: int) -> list[str]:
    """Draw a table's result. UsageError when it has no number to draw."""
    numbers = [i for i, kind in enumerate(table.types) if _is(kind, NUMBERS)]
    if not numbers:
        raise UsageError("a chart needs a column of numbers: none of these columns has any")
    dates = [i for i, kind in enumerate(table.types) if _is(kind, DATES)]
    names = [i for i in range(len(table.types)) if i not in numbers and i not in dates]
    value = numbers[0] if names or dates or len(numbers) == 1 else numbers[1]
    by = (dates or names or [i for i in numbers if i != value] or [-1])[0]
    points = list(_points(table.rows, by, value))
    title = one_line(table.columns[value] + (f" by {table.columns[by]}" if by >= 0 else ""))
    if not points:
        return [title, "(nothing to draw)"]
    if dates:
        return [title, *_line(points, width)]
    more = f"... and {len(points) - MOST_BARS} more" if len(points) > MOST_BARS else ""
    return [title, *_bars(points[:MOST_BARS], width), *filter(None, [more])]


def _is(kind: str, kinds: Sequence[str]) -> bool:
    """Whether a type is one of these: also unsigned, with a width or with a time zone."""
    return kind.removeprefix("U").startswith(tuple(kinds)) and not kind.endswith("]")


def _points(rows: Sequence[Sequence[Any]], by: int, value: int) -> Iterator[Point]:
    for number, row in enumerate(rows, 1):
        height = math.nan if row[value] is None else float(row[value])
        if math.isfinite(height):
            yield Point(str(number) if by < 0 else _name(row[by]), height)


def _name(value: Any) -> str:
    return one_line("(none)" if value is None else str(value), 200)


# -- bars -----------------------------------------------------------------------------------------


def _bars(points: Sequence[Point], width: int) -> Iterator[str]:
    from rich.cells import cell_len, set_cell_size

    label = min(LABEL, max(cell_len(point.label) for point in points))
    texts = [_number(point.value) for point in points]
    number = max(map(len, texts))
    room = max(8, width - label - number - 4)
    low, high = min(0.0, *(p.value for p in points)), max(0.0, *(p.value for p in points))
    scale = room / ((high - low) or 1.0)
    for point, text in zip(points, texts, strict=True):
        bar = _bar(point.value, round(-low * scale), scale)
        yield f"{set_cell_size(point.label, label)}  {text:>{number}}  {bar}".rstrip()


def _bar(value: float, zero: int, scale: float) -> str:
    """Draw to the right of zero in eighths of a character, to the left of it in whole ones."""
    if value < 0:
        length = min(zero, max(1, round(-value * scale)))
        return " " * (zero - length) + "█" * length
    whole, part = divmod(round(value * scale * 8), 8)
    return " " * zero + "█" * whole + (EIGHTHS[part] if part else "")


# -- a line ---------------------------------------------------------------------------------------


def _line(given: Sequence[Point], width: int) -> Iterator[str]:
    points = sorted(point for point in given if _seconds(point.label) is not None)
    if not points:
        yield "(nothing to draw)"
        return
    low, high = min(p.value for p in points), max(p.value for p in points)
    ticks = {0: _number(high), HEIGHT - 1: _number(low)}
    margin = max(map(len, ticks.values()))
    room = max(8, width - margin - 3)
    canvas = _canvas(points, room, low, high)
    for row in range(HEIGHT):
        cells = "".join(chr(BRAILLE + bits) if bits else " " for bits in canvas[row])
        yield f"{ticks.get(row, ''):>{margin}} ┤{cells}".rstrip()
    first, last = points[0].label, points[-1].label
    gap = max(1, room - len(first) - len(last))
    yield f"{'':>{margin}}  {first}{' ' * gap}{last if last != first else ''}".rstrip()


def _canvas(points: Sequence[Point], room: int, low: float, high: float) -> list[list[int]]:
    """Draw the line in dots, two by four of them in a character."""
    canvas = [[0] * room for _ in range(HEIGHT)]
    for x, y in _path(_dots(points, room, low, high)):
        canvas[y // 4][x // 2] |= DOTS[x % 2][y % 4]
    return canvas


def _dots(points: Sequence[Point], room: int, low: float, high: float) -> list[tuple[int, int]]:
    times = [_seconds(point.label) or 0.0 for point in points]
    long, tall = (times[-1] - times[0]) or 1.0, (high - low) or 1.0
    return [
        (
            round((at - times[0]) / long * (room * 2 - 1)),
            round((high - point.value) / tall * (HEIGHT * 4 - 1)),
        )
        for at, point in zip(times, points, strict=True)
    ]


def _seconds(date: str) -> float | None:
    """Read a date; None for one that is missing or outside the calendar."""
    try:
        moment = datetime.fromisoformat(date).replace(tzinfo=None)
    except ValueError:
        return None
    return (moment - datetime(1970, 1, 1)).total_seconds()


def _path(dots: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    yield dots[0]
    for (x, y), (to_x, to_y) in pairwise(dots):
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for i in range(1, steps + 1):
            yield x + round((to_x - x) * i / steps), y + round((to_y - y) * i / steps)


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:g}"
