"""What the report says of its numbers, in sentences that claim no more than the numbers do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

FEW = 20
"""Below this many jobs a mean is told with a warning."""

FEWEST = 5
"""Below this many no effect is told, whatever its interval."""

FEW_HELD_OUT = 30

_BREAKERS = frozenset("\u2028\u2029\ufeff\ufffe\uffff")


def safe(value: str) -> str:
    """Replace what does not print: controls, direction marks, halves of characters."""
    return "".join(c if c.isprintable() and c not in _BREAKERS else "\ufffd" for c in value)


def number(value: Any, form: str) -> str:
    """Write one value for people; what is not known is a dash."""
    if value is None:
        return "–"
    match form:
        case "count":
            return f"{value:,.0f}"
        case "share":
            return f"{100 * value:.0f}%"
        case "quality":
            return f"{value:.2f}"
        case "signed":
            return f"{value:+.2f}".replace("-", "−")
        case "seconds":
            return f"{value:,.0f} s" if value >= 100 else f"{value:.1f} s"
        case "money":
            return _money(value)
    return str(value)


def _money(value: float) -> str:
    """Write three digits that say something, however small a price is, and no exponent."""
    small = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(2 - min(small, 0), 12)}f}" if value else "0"


def interval(low: Any, high: Any, form: str) -> str:
    """Write an interval; there is none below two values, and none where all are alike."""
    if low is None or high is None:
        return "not known"
    return f"{number(low, form)} to {number(high, form)}"


def plural(count: int, thing: str) -> str:
    """Count things."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def verdict(low: Any, high: Any, n: int) -> str:
    """Say what an effect with its interval shows."""
    if n < FEWEST:
        return f"can not be told: n = {n} is too few"
    if low is None or high is None:
        return f"can not be told: of n = {n} all are alike"
    if low > 0:
        return f"helps{small(n)}"
    if high < 0:
        return f"hurts{small(n)}"
    return "can not be told yet: the interval holds 0"


def least(row: Row) -> int:
    """Give the number of jobs that an effect stands on: of two arms the smaller one."""
    return int(min(row["n"], row.get("n_shown", row["n"]), row.get("n_held_out", row["n"])))


def small(n: int) -> str:
    """Warn where a number stands on few jobs."""
    return f", but n = {n} is small" if n < FEW else ""


def over_time(rows: Sequence[Row]) -> list[str]:
    scored = [row for row in rows if row["quality"] is not None]
    if not scored:
        return ["No job was scored yet."]
    unit, jobs = rows[0]["unit"], sum(row["n"] for row in rows)
    said = [f"{plural(jobs, 'scored job')} in {plural(len(scored), unit)}."]
    if jobs < FEW:
        return [*said, f"n = {jobs} is small: wait before you call anything a trend."]
    return [*said, _trend(rows[0])]


def _trend(row: Row) -> str:
    low, high = row["change_low"], row["change_high"]
    between = f"{number(row['change'], 'signed')} (95% interval {interval(low, high, 'signed')})"
    said = f"The later half of the jobs against the earlier half: {between}"
    if low is None or low <= 0 <= high:
        return f"{said}; that may be chance."
    return f"{said}; {'better' if low > 0 else 'worse'}."


def effects(rows: Sequence[Row], what: str) -> list[str]:
    """Sum up a table whose rows have a verdict each."""
    helps = sum(row["verdict"].startswith("helps") for row in rows)
    hurts = sum(row["verdict"].startswith("hurts") for row in rows)
    unknown = len(rows) - helps - hurts
    parts = [f"{what} helps in {helps}"] if helps else []
    parts += [f"{what} hurts in {hurts}"] if hurts else []
    parts += [f"in {unknown} it can not be told yet"] if unknown else []
    said = f"Of {plural(len(rows), 'row')}: {', '.join(parts)}."
    little = sum(least(row) < FEW for row in rows)
    return (
        [said, f"In {little} of them n is under {FEW}: first hints at most."] if little else [said]
    )


def few_rows(rows: Sequence[Row], thing: str) -> list[str]:
    """Say which rows stand on little."""
    little = [row for row in rows if row["n"] < FEW]
    if not little:
        return []
    which = "All" if len(little) == len(rows) else f"{len(little)} of {len(rows)}"
    return [f"{which} {thing} stand on fewer than {FEW} cases: read them as first hints."]


def cut_off(rows: Sequence[Row]) -> list[str]:
    """Say how many rows are not shown."""
    whole = rows[0]["of_all"] if rows and "of_all" in rows[0] else 0
    return [f"Shown are {len(rows)} of {whole}."] if whole > len(rows) else []
