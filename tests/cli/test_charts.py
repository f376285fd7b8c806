"""Charts in the terminal: what is drawn, over what, and that nothing steers the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from crp.cli.charts import chart
from crp.errors import UsageError
from crp_analytics.sql import Table


def table(columns: str, types: str, *rows: tuple[Any, ...]) -> Table:
    names = tuple(columns.split())
    return Table(columns=names, types=tuple(types.split()), rows=rows)


def test_bars_are_as_long_as_their_values() -> None:
    drawn = chart(table("name n", "VARCHAR BIGINT", ("a", 4), ("bb", 2), ("c", 0)), 27)
    assert drawn == ["n by name", "a   4  " + "█" * 20, "bb  2  " + "█" * 10, "c   0"]


def test_bars_below_zero_go_to_the_left() -> None:
    drawn = chart(table("name lift", "VARCHAR DOUBLE", ("up", 0.5), ("down", -0.5)), 30)
    up, down = (line[len("down  -0.5  ") :] for line in drawn[1:])
    assert up == " " * len(down) + "█" * len(down)


def test_a_chart_takes_the_first_number_over_the_first_name() -> None:
    drawn = chart(table("n model q m", "BIGINT VARCHAR DOUBLE BIGINT", (1, "x", 0.5, 9)), 40)
    assert drawn[0] == "n by model"


def test_a_chart_of_numbers_alone_is_drawn_over_the_first_of_them() -> None:
    assert chart(table("level n", "INTEGER BIGINT", (3, 7)), 40)[0] == "n by level"
    assert chart(table("n", "BIGINT", (7,), (8,)), 40)[2].startswith("2  8  ")


def test_dates_make_a_line_in_their_order() -> None:
    rows = [("2026-03-03", 3.0), ("2026-03-01", 1.0), ("2026-03-02", 2.0), (None, 9.0)]
    drawn = chart(table("day q", "DATE DOUBLE", *rows), 40)
    assert drawn[1].lstrip().startswith("3 ┤")
    assert drawn[-2].lstrip().startswith("1 ┤")
    assert drawn[-1].split() == ["2026-03-01", "2026-03-03"]
    starts = [len(line) - len(line.rstrip("⠀ ")) for line in drawn]
    assert max(map(len, drawn)) <= 40, starts
    ends = [len(line) for line in drawn[1:-1]]
    assert ends == sorted(ends, reverse=True), "the line rises from the left to the right"


def test_what_is_missing_or_not_finite_is_not_drawn() -> None:
    drawn = chart(table("a n", "VARCHAR DOUBLE", ("x", None), ("y", "nan"), (None, 1.0)), 40)
    assert [line.split()[0] for line in drawn[1:]] == ["(none)"]
    assert chart(table("a n", "VARCHAR DOUBLE"), 40) == ["n by a", "(nothing to draw)"]


def test_a_chart_without_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a column of numbers"):
        chart(table("a", "VARCHAR", ("x",)), 40)


def test_a_name_in_a_chart_can_not_steer_the_terminal_and_has_its_width() -> None:
    drawn = chart(table("a n", "VARCHAR BIGINT", ("\x1b[31m比较\n比", 1), ("x" * 99, 1)), 60)
    assert "\x1b" not in "".join(drawn)
    assert drawn[1].startswith("比较 比" + " " * (32 - 7))
    assert drawn[2].startswith("x" * 32 + "  ")
