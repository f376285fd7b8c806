"""Scores that come after a job: who wins, and what they do to the library."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crp.errors import NotFound, UsageError
from crp.models import JobRecord, MetaLearningConfig, StepRecord
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, result, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]


@pytest.fixture
def kept(directory: Path):
    """A store on disk: only it keeps the records of jobs."""
    with TraceStore.open(directory) as store:
        yield store


def weak(job_id: str, **changes: object) -> JobRecord:
    """A complete job whose trace was not good enough for the library."""
    low = trace(f"task of {job_id}", trace_id=f"trace-{job_id}", quality_score=0.4)
    return record(job_id, trace=low, **changes)


def active(store: TraceStore) -> list[str]:
    return [t.trace_id for t in store.traces()]


# -- whose score counts ----------------------------------------------------------------------


def test_a_judges_score_wins_over_the_checks_and_a_persons_over_both(store: TraceStore) -> None:
    store.record(record("j1"))
    quality = "SELECT quality, scored_by, scorer_kind FROM v_job_quality"
    store.score("j1", 0.4, "judge:big")
    assert store.sql(quality).rows == ((0.4, "judge:big", "judge"),)
    store.score("j1", 0.8, "anna")
    store.score("j1", 0.1, "judge:bigger")
    assert store.sql(quality).rows == ((0.8, "anna", "person"),)


def test_a_second_score_replaces_the_first_and_both_stay(store: TraceStore) -> None:
    store.record(record("j1"))
    assert store.score("j1", 0.9, "anna").before is None
    assert store.score("j1", 0.75, "anna", "too long").before == 0.9
    said = "SELECT score, note FROM scores WHERE scored_by = 'anna' ORDER BY journal_sequence"
    assert store.sql(said).rows == ((0.9, None), (0.75, "too long"))
    assert store.sql("SELECT quality FROM v_job_quality").rows == ((0.75,),)


def test_saying_the_same_again_changes_nothing(store: TraceStore, dump: Dump) -> None:
    store.record(record("j1"))
    store.score("j1", 0.2, "anna", "wrong")
    before = dump(store)
    again = store.score("j1", 0.2, " anna ", "wrong ")
    assert (again.moved, again.before) == ("", 0.2)
    assert dump(store) == before


def test_writers_that_say_the_same_at_once_are_one(store: TraceStore) -> None:
    store.record(record("j1"))
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: store.score("j1", 0.1, "anna"), range(24)))
    assert sum(s.moved == "out" for s in said) == 1
    assert store.sql("SELECT count(*) FROM scores WHERE scored_by = 'anna'").rows == ((1,),)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1])
def test_what_is_no_score_is_refused(store: TraceStore, value: float) -> None:
    store.record(record("j1"))
    with pytest.raises(UsageError, match="from 0 to 1"):
        store.score("j1", value, "anna")


@pytest.mark.parametrize("by", ["", "  ", "checks"])
def test_a_score_needs_somebody_who_gives_it(store: TraceStore, by: str) -> None:
    store.record(record("j1"))
    with pytest.raises(UsageError, match="name of who"):
        store.score("j1", 0.5, by)


def test_a_job_that_nobody_knows_is_named(store: TraceStore) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        store.score("nobody", 0.5, "anna")


# -- what a score does to the library ----------------------------------------------------------


def test_a_low_score_takes_the_trace_out_at_once(store: TraceStore) -> None:
    store.record(record("j1"))
    said = store.score("j1", 0.69, "anna")
    assert (said.moved, said.trace_id) == ("out", "trace-j1")
    assert active(store) == []
    assert not store.retrieve("j2", "compare React and Vue", **RETRIEVE).examples
    reason = store.sql("SELECT status, status_reason FROM traces").rows
    assert reason == (("retired", "anna scored its job 0.69, needed are 0.70"),)


def test_a_score_at_the_threshold_brings_it_back(store: TraceStore) -> None:
    store.record(record("j1"))
    store.score("j1", 0.1, "anna")
    assert store.score("j1", 0.7, "anna").moved == "in"
    assert [(t.trace_id, t.quality_score) for t in store.traces()] == [("trace-j1", 0.7)]


def test_a_good_score_brings_in_a_trace_that_was_too_weak(kept: TraceStore) -> None:
    kept.record(weak("j1"))
    assert active(kept) == []
    assert kept.score("j1", 0.95, "anna").moved == "in"
    assert [(t.trace_id, t.quality_score) for t in kept.traces()] == [("trace-j1", 0.95)]
    assert kept.sql("SELECT job_id, tokens FROM traces").rows == (("j1", 480),)
    assert kept.retrieve("j2", "task of j1", **RETRIEVE).examples


def test_the_jobs_own_threshold_decides(kept: TraceStore) -> None:
    kept.record(weak("j1", store_above=0.9))
    assert kept.score("j1", 0.85, "anna").moved == ""
    assert kept.score("j1", 0.9, "anna").moved == "in"
    assert kept.score("j1", 0.89, "anna").moved == "out"


def test_an_incomplete_job_is_no_example_however_good_its_score(kept: TraceStore) -> None:
    steps = (StepRecord(id="a", step="a", status="skipped"),)
    kept.record(weak("j1", result=result("j1", steps=steps)))
    kept.record(weak("j2", result=result("j2", status="incomplete")))
    assert kept.score("j1", 1.0, "anna").why == "not every step was executed: a"
    assert kept.score("j2", 1.0, "anna").why == "the job is incomplete"
    assert active(kept) == []


def test_a_score_does_not_bring_in_what_is_there_in_the_same_words(kept: TraceStore) -> None:
    kept.record(record("j1"))
    kept.record(record("j2"))
    said = kept.score("j2", 1.0, "anna")
    assert said.why == "an identical trace is in the library already: trace-j1"
    assert active(kept) == ["trace-j1"]


def test_a_judges_score_moves_nothing(store: TraceStore) -> None:
    store.record(record("j1"))
    assert store.score("j1", 0.0, "judge:big").moved == ""
    assert active(store) == ["trace-j1"]
    assert store.traces()[0].quality_score == 0.9


def test_what_was_retired_by_hand_stays_out(store: TraceStore) -> None:
    store.record(record("j1"))
    store.desk.retire("trace-j1", "names a customer")
    said = store.score("j1", 1.0, "anna")
    assert (said.moved, "restore" in said.why) == ("", True)
    assert active(store) == []


def test_a_trace_that_a_score_brought_back_has_its_grace_again(store: TraceStore) -> None:
    config = MetaLearningConfig(rtl_grace_jobs=2)
    store.record(record("j1"))
    for number in range(3):
        store.record(record(f"later-{number}", trace=trace(quality_score=0.0)))
    assert store.curate(config).reasons == {"unused": 1}
    store.score("j1", 0.8, "anna")
    assert store.curate(config).retired == 0
    for number in range(3, 5):
        store.record(record(f"later-{number}", trace=trace(quality_score=0.0)))
    assert store.curate(config).reasons == {"unused": 1}


# -- the journal ---------------------------------------------------------------------------------


def test_a_rebuild_gives_the_same_library_and_the_same_scores(kept: TraceStore, dump: Dump) -> None:
    kept.record(record("j1"))
    kept.record(weak("j2"))
    kept.score("j1", 0.1, "anna", "wrong")
    kept.score("j2", 0.9, "anna")
    kept.score("j2", 0.2, "judge:big")
    kept.score("j1", 0.8, "bob")
    kept.desk.retire("trace-j2", "boring")
    before = dump(kept)
    kept.rebuild()
    assert dump(kept) == before
    assert active(kept) == ["trace-j1"]


def test_every_move_has_its_reason_in_the_log(kept: TraceStore) -> None:
    kept.record(weak("j1"))
    kept.score("j1", 0.9, "anna")
    kept.score("j1", 0.3, "bob")
    log = kept.sql("SELECT trace_id, status, cause, why FROM trace_moves").rows
    assert log == (
        ("trace-j1", "active", "score", "anna scored its job 0.90, needed are 0.70"),
        ("trace-j1", "retired", "score", "bob scored its job 0.30, needed are 0.70"),
    )
