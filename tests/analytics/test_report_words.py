"""What the report says of its numbers: no more than they do, and readably."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crp.models import StepRecord
from crp_analytics import report_words as words
from crp_analytics.store import TraceStore
from tests.analytics.samples import START, record, result
from tests.analytics.test_report import made


def test_values_without_a_spread_have_no_interval(store: TraceStore) -> None:
    """Three jobs of quality 1 do not show that the next one is as good."""
    for number in range(3):
        store.record(record(f"j{number}"))
    assert "0.90 to 0.90" not in made(store)
    assert "95% interval not known" in made(store)


def test_a_step_comes_first_because_it_is_surely_often_again_and_not_by_one_run(
    store: TraceStore,
) -> None:
    for number in range(9):
        store.record(record(f"j{number}"))
    once = StepRecord(id="c", step="c", status="done", attempts=2, output="C")
    store.record(record("once", result=result("once", steps=(once,))))
    assert "Most often again: comparison · b, 100% of 9 runs." in made(store)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.00009051, "0.0000905"), (0.0047, "0.00470"), (12.5, "12.50"), (1234567.0, "1,234,567.00")],
)
def test_money_has_no_exponent(value: float, written: str) -> None:
    assert words.number(value, "money") == written
    assert words.number(0.0, "money") == "0"


def test_jobs_of_one_day_are_not_of_two(store: TraceStore) -> None:
    store.record(record("j1"))
    assert "from jobs of 2026-03-01." in made(store)
    store.record(record("j2", finished_at=START + timedelta(days=1)))
    assert "from jobs of 2026-03-01 to 2026-03-02." in made(store)
