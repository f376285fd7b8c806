"""Why a task finds what it finds: every criterion is told, and so is every reason for nothing."""

from __future__ import annotations

import pytest

from crp.errors import UsageError
from crp_analytics.comparing import Comparison
from crp_analytics.store import TraceStore
from tests.analytics.samples import record, trace


def comparison(store: TraceStore, task: str, limit: int = 2) -> Comparison:
    return store.desk.similar(task, "comparison", "0.5B-1B", limit, 0.7)


CLOSE = "compare react and vue"
REASONS = {
    # what decides: the better trace, the worse one, and how that is told of the worse one
    "task_type": ({}, {"task_type": "summary"}, "task type summary, rank 1 has comparison"),
    "model_class": ({}, {"model_class": "7B+"}, "model class 7B+, rank 1 has 0.5B-1B"),
    "shared": (
        {},
        {"task_summary": "compare react and svelte"},
        "shared words 3, rank 1 has 4",
    ),
    "similarity": (
        {},
        {"task_summary": f"{CLOSE} slowly"},
        "Jaccard 4/5, rank 1 has 4/4",
    ),
    "quality": ({}, {"quality_score": 0.85}, "quality 0.85, rank 1 has 0.9"),
    "newer": (
        {"created_at": 86_400.5},
        {"created_at": 86_400.0},
        "made 1970-01-02 00:00:00, rank 1 has 1970-01-02 00:00:00.500000",
    ),
    "id": ({}, {}, "id worse, rank 1 has better"),
}


@pytest.mark.parametrize("what", REASONS)
def test_the_criterion_that_decided_between_two_is_told_of_both(
    store: TraceStore, what: str
) -> None:
    good, bad, because = REASONS[what]
    step = {"steps": [{"step_description": "another way"}]}  # the same twice is one trace
    store.add_trace(trace(CLOSE, trace_id="better", **good))
    store.add_trace(trace(**{"task_summary": CLOSE, "trace_id": "worse", **step, **bad}))
    seen = comparison(store, CLOSE)
    assert [(one.trace.trace_id, one.decided_on) for one in seen.found] == [
        ("better", what),
        ("worse", ""),
    ]
    (missed,) = comparison(store, CLOSE, limit=1).missed
    assert (missed.trace.trace_id, missed.rank) == ("worse", 2)
    assert (missed.decided_on, missed.because) == (what, because)


def test_a_near_miss_says_what_it_lacks(store: TraceStore) -> None:
    store.add_trace(trace(CLOSE, trace_id="weak", quality_score=0.6))
    store.add_trace(trace("react " + " ".join(f"word{n}" for n in range(20)), trace_id="unlike"))
    store.add_trace(trace("compare react or vue", trace_id="out"))
    store.add_trace(trace("unlike in every word", trace_id="other"))
    store.desk.retire("out", "names a customer")
    store.add_trace(trace("compare vue or react", trace_id="out and weak", quality_score=0.6))
    store.desk.retire("out and weak", "it would be no candidate either way")
    seen = comparison(store, CLOSE)
    assert [(one.trace.trace_id, one.decided_on, one.because) for one in seen.missed] == [
        ("weak", "min_quality", "quality 0.6, at least 0.7 is wanted"),
        ("out", "retired", "names a customer"),
        ("unlike", "floor", "Jaccard 1/24, at least 1/9 is wanted"),
    ]
    assert (seen.active, seen.retired) == (3, 2)
    assert (seen.sharing, seen.alike, seen.candidates) == (2, 1, 0)


def test_a_near_miss_is_compared_with_the_last_that_was_found(store: TraceStore) -> None:
    for number, quality in enumerate((0.9, 0.8, 0.7, 0.7)):
        store.add_trace(trace(f"compare {number}", trace_id=f"t{number}", quality_score=quality))
    seen = comparison(store, "compare")
    assert [one.because for one in seen.found] == [
        "quality 0.9, rank 2 has 0.8",
        "quality 0.8, rank 3 has 0.7",
    ]
    assert {one.because for one in seen.missed} == {"quality 0.7, rank 2 has 0.8"}
    assert seen.candidates == 4


def test_a_ninth_of_the_words_is_enough_and_less_is_not(store: TraceStore) -> None:
    for count in (9, 10):
        words = " ".join(f"word{n}" for n in range(1, count))
        store.add_trace(trace(f"react {words}", trace_id=str(count)))
    seen = comparison(store, "react")
    assert [one.trace.trace_id for one in seen.found] == ["9"]
    assert [(one.trace.trace_id, one.decided_on) for one in seen.missed] == [("10", "floor")]


def test_why_nothing_is_found_is_told_by_the_step_that_left_nothing(store: TraceStore) -> None:
    def why(task: str) -> str:
        return comparison(store, task).why_nothing

    assert why("react") == "the library is empty"
    store.add_trace(trace(CLOSE, trace_id="t", quality_score=0.6))
    store.desk.retire("t", "test")
    assert why("react") == "the library is empty, 1 trace retired"
    store.desk.restore("t")
    assert why("?!") == "the task has no words"
    assert why("zebra") == "no word of the task is in the library, which has 1 trace"
    assert why("vue " + " ".join(map(str, range(20)))) == (
        "1 trace with a word of the task, none with enough: Jaccard has to reach 1/9"
    )
    assert why("vue") == "1 trace with enough words of the task, none of quality 0.7"
    store.add_trace(trace("compare vue"))
    assert why("vue") == ""


def test_asking_why_is_no_use(store: TraceStore) -> None:
    store.record(record("j1"))
    assert len(comparison(store, "compare React").found) == 1
    assert store.traces()[0].usage_count == 0
    assert store.sql("SELECT * FROM retrieval_runs").rows == ()


@pytest.mark.parametrize(("limit", "quality"), [(0, 0.7), (3, 1.5), (3, float("nan"))])
def test_what_can_not_be_asked_is_refused(store: TraceStore, limit: int, quality: float) -> None:
    with pytest.raises(UsageError):
        store.desk.similar("react", "comparison", "", limit, quality)
