"""The views, on jobs whose numbers can be worked out by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crp.models import Attempt, JobRecord, Score, StepRecord, TransportFailure
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, START, record, result, trace


def rows(store: TraceStore, query: str) -> list[dict[str, Any]]:
    table = store.sql(query)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def scored(job_id: str, probe: float, joined: float) -> JobRecord:
    scores = (Score(candidate="probe", value=probe), Score(candidate="joined", value=joined))
    best = max(probe, joined)
    return record(job_id, trace=None, result=result(job_id, scores=scores, quality=best))


def test_orc_lift_counts_how_often_the_chain_was_worse(store: TraceStore) -> None:
    for number, (probe, joined) in enumerate(((0.4, 0.8), (0.5, 0.7), (0.6, 0.3), (0.5, 0.5))):
        store.record(scored(f"j{number}", probe, joined))
    found = rows(store, "FROM v_orc_lift")[0]
    assert (found["n"], found["better"], found["equal"], found["worse"]) == (4, 2, 1, 1)
    assert found["lift"] == pytest.approx(0.075)
    # mean 0.075, sd 0.2986, t(3) = 3.182: half width 0.4751
    assert found["lift_low"] == pytest.approx(0.075 - 0.4751, abs=1e-3)
    assert found["lift_high"] == pytest.approx(0.075 + 0.4751, abs=1e-3)


def test_one_job_has_no_interval(store: TraceStore) -> None:
    store.record(scored("j1", 0.4, 0.8))
    found = rows(store, "FROM v_quality_by_template")[0]
    assert (found["n"], found["quality"], found["quality_low"]) == (1, 0.8, None)


def test_jobs_that_are_all_alike_have_no_interval(store: TraceStore) -> None:
    for number in range(3):
        store.record(scored(f"j{number}", 0.4, 0.8))
    found = rows(store, "FROM v_quality_by_template")[0]
    assert (found["n"], found["quality"]) == (3, pytest.approx(0.8))
    assert (found["quality_low"], found["quality_high"]) == (None, None)
    store.record(scored("other", 0.4, 0.9))
    assert rows(store, "FROM v_quality_by_template")[0]["quality_low"] < 0.8


def test_few_shot_effect_compares_with_those_held_out_and_nobody_else(store: TraceStore) -> None:
    store.add_trace(trace())
    arms = (("shown", 0.0, (0.8, 1.0)), ("held", 1.0, (0.5, 0.7)))
    for arm, hold_out, qualities in arms:
        for number, quality in enumerate(qualities):
            job_id = f"{arm}{number}"
            asked = {**RETRIEVE, "hold_out": hold_out}
            store.retrieve(job_id, "compare React", **asked)
            store.record(scored(job_id, 0.1, quality))
    store.retrieve("unlike", "nothing alike", **RETRIEVE)
    store.record(scored("unlike", 0.0, 0.0))
    found = rows(store, "FROM v_few_shot_effect")[0]
    assert (found["n_shown"], found["n_held_out"]) == (2, 2)
    assert found["effect"] == pytest.approx(0.3)
    half = 4.303 * (0.02 / 2 + 0.02 / 2) ** 0.5  # Student's, two degrees of freedom
    assert found["effect_low"] == pytest.approx(0.3 - half)


def test_retries_say_whether_a_heavier_scaffold_rescued_a_step(store: TraceStore) -> None:
    for number in range(3):
        store.record(record(f"j{number}"))
    found = {row["template_step"]: row for row in rows(store, "FROM v_retries")}
    assert (found["a"]["retry_rate"], found["b"]["retry_rate"]) == (0.0, 1.0)
    assert (found["b"]["n"], found["b"]["rescued"], found["b"]["attempts"]) == (3, 3, 2.0)
    # Wilson with k = n = 3: low = 1 / (1 + z² / n)
    assert found["b"]["retry_rate_low"] == pytest.approx(3 / (3 + 1.959964**2), abs=1e-5)


def test_cost_can_be_computed_again_with_todays_price(store: TraceStore) -> None:
    store.record(record("j1"))
    found = rows(store, "FROM v_tokens_and_cost")[0]
    assert (found["tokens_per_job"], found["cost_per_job"]) == (480.0, 0.5)
    # four calls of 100 + 20 tokens at 1 and 2 per million
    assert found["cost_now_per_job"] == pytest.approx(4 * (100 * 1 + 20 * 2) / 1e6)


def test_errors_name_jobs_steps_calls_and_transport(store: TraceStore) -> None:
    failure = TransportFailure(at=START, kind="RateLimited", message="slow down")
    call = Attempt(stage="probe", status="transport", transport=(failure, failure))
    broken = StepRecord(id="a", step="a", status="failed", reason="three attempts")
    failed = result("j1", status="failed", error="no answer", steps=(broken,))
    store.record(record("j1", result=failed, attempts=(call,)))
    found = {(r["place"], r["error_type"]): r["n"] for r in rows(store, "FROM v_errors")}
    assert found == {
        ("job", "failed"): 1,
        ("step", "failed"): 1,
        ("call", "RateLimited"): 1,
        ("transport", "RateLimited"): 2,
    }


def test_slow_steps_point_at_the_slowest_job(store: TraceStore) -> None:
    for number, seconds in enumerate((1, 2, 9)):
        step = StepRecord(
            id="a",
            step="a",
            status="done",
            attempts=1,
            started_at=START,
            finished_at=START + timedelta(seconds=seconds),
        )
        store.record(record(f"j{number}", result=result(f"j{number}", steps=(step,))))
    found = rows(store, "FROM v_slow_steps")[0]
    assert (found["n"], found["p50_seconds"], found["slowest_job"]) == (3, 2.0, "j2")


def test_trace_usage_knows_how_the_jobs_did(store: TraceStore) -> None:
    store.add_trace(trace())
    for job_id, quality in (("j1", 0.6), ("j2", 0.8)):
        store.retrieve(job_id, "compare React", **RETRIEVE)
        store.record(scored(job_id, 0.1, quality))
    found = rows(store, "FROM v_trace_usage")[0]
    assert (found["usage_count"], found["n"]) == (2, 2)
    assert found["quality_of_jobs"] == pytest.approx(0.7)


def test_gate_and_day_count_every_job(store: TraceStore) -> None:
    for number in range(2):
        store.record(record(f"j{number}"))
    store.record(record("j2", result=result("j2", status="failed", quality=None, scores=())))
    gate = rows(store, "FROM v_gate")[0]
    assert (gate["gate_rule"], gate["jobs"], gate["n"]) == ("probe", 3, 2)
    day = rows(store, "FROM v_daily")[0]
    assert (day["day"], day["jobs"], day["completed"], day["n"]) == ("2026-03-01", 3, 2, 2)


@pytest.mark.parametrize(("df", "value"), [(1, 12.706), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_t95_is_students_quantile(store: TraceStore, df: int, value: float) -> None:
    """Against the printed tables."""
    assert store.sql(f"SELECT t95({df})").rows[0][0] == pytest.approx(value, abs=1e-3)


def test_models_are_compared_on_the_same_kind_of_task(store: TraceStore) -> None:
    for number, (name, quality) in enumerate((("a", 0.4), ("a", 0.6), ("b", 0.9))):
        made = scored(f"j{number}", 0.1, quality)
        model = made.job.models["default"].model_copy(update={"name": name})
        job = made.job.model_copy(update={"models": {"default": model}})
        store.record(made.model_copy(update={"job": job}))
    found = rows(store, "FROM v_models ORDER BY model_name")
    assert [(r["task_type"], r["model_name"], r["n"]) for r in found] == [
        ("comparison", "a", 2),
        ("comparison", "b", 1),
    ]
    # mean 0.5, sd 0.1414, t(1) = 12.706: half width 1.2706
    assert found[0]["quality_low"] == pytest.approx(0.5 - 1.2706, abs=1e-3)
    assert found[1]["quality_low"] is None
    assert found[0]["completed_share_high"] == pytest.approx(1.0)


def test_quality_over_time_goes_by_weeks_that_begin_on_monday(store: TraceStore) -> None:
    for number, days in enumerate((0, 1, 7)):  # a Sunday, the Monday after it, the next Sunday
        made = scored(f"j{number}", 0.1, 0.5)
        end = START + timedelta(days=days)
        store.record(made.model_copy(update={"finished_at": end}))
    found = rows(store, "SELECT week, jobs, n FROM v_quality_over_time ORDER BY week")
    assert [tuple(row.values()) for row in found] == [("2026-02-23", 1, 1), ("2026-03-02", 2, 2)]


def test_the_cost_of_every_job_is_what_its_tokens_and_its_days_prices_make(
    store: TraceStore,
) -> None:
    for number, price in enumerate((1.0, 5.0, 0.0)):
        made = record(f"j{number}")
        model = made.job.models["default"].model_copy(
            update={"input_price": price, "output_price": price}
        )
        at = START + timedelta(days=number)
        job = made.job.model_copy(update={"models": {"default": model}, "submitted_at": at})
        usage = made.attempts[0].usage.model_copy(update={"cost": 120 * price / 1e6})
        paid = tuple(a.model_copy(update={"usage": usage}) for a in made.attempts)
        store.record(made.model_copy(update={"job": job, "attempts": paid}))
    found = rows(store, "SELECT cost, recomputed, difference FROM v_cost_check ORDER BY job_id")
    assert [row["recomputed"] for row in found] == pytest.approx([0.00048, 0.0024, 0.0])
    assert all(abs(row["difference"]) < 1e-12 for row in found)


def test_a_job_submitted_before_the_one_that_told_the_price_first_is_priced_too(
    store: TraceStore,
) -> None:
    """In every batch some job ends before another that was submitted earlier."""
    for name, at in (("later", START + timedelta(seconds=1)), ("earlier", START)):
        made = record(name)
        model = made.job.models["default"].model_copy(update={"input_price": 2.0})
        job = made.job.model_copy(update={"models": {"default": model}, "submitted_at": at})
        store.record(made.model_copy(update={"job": job}))
    earlier, later = rows(store, "SELECT recomputed FROM v_cost_check ORDER BY job_id")
    assert earlier["recomputed"] == later["recomputed"] > 0


def test_failures_have_a_rate_with_its_interval(store: TraceStore) -> None:
    for number, status in enumerate(("done", "done", "done", "failed")):
        step = StepRecord(id="a", step="a", status=status, attempts=1)
        store.record(record(f"j{number}", result=result(f"j{number}", steps=(step,))))
    found = rows(store, "FROM v_retries")[0]
    assert found["failure_rate"] == 0.25
    # Wilson with k = 1, n = 4, from the printed formula
    assert found["failure_rate_low"] == pytest.approx(0.0456, abs=1e-3)
    assert found["failure_rate_high"] == pytest.approx(0.6994, abs=1e-3)
