"""Retrieval: exact, explained, counted once."""

from __future__ import annotations

import statistics
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.models import JobRecord, MetaLearningConfig, ReasoningTrace, Score
from crp_analytics import index_file
from crp_analytics.comparing import NEAR
from crp_analytics.index import Index
from crp_analytics.index_file import NAME, read
from crp_analytics.retrieval import is_held_out
from crp_analytics.store import TraceStore
from crp_analytics.words import overlap, words
from tests.analytics.samples import RETRIEVE, record, result, trace

VOCABULARY = ["react", "vue", "svelte", "compare", "large", "small", "cost", "speed"]
TASKS = st.lists(st.sampled_from(VOCABULARY), max_size=8).map(" ".join)
LIBRARY = st.lists(
    st.builds(
        trace,
        TASKS,
        task_type=st.sampled_from(["comparison", "summary"]),
        model_class=st.sampled_from(["0.5B-1B", "7B+"]),
        quality_score=st.sampled_from([0.5, 0.7, 0.8]),
        created_at=st.sampled_from([1.0, 2.0]),
    ),
    max_size=12,
)


def brute_force(library: list[ReasoningTrace], task: str, limit: int) -> list[str]:
    """The ranking in plain Python, as the specification words it."""
    wanted = set(task.split())
    ranked = []
    for entry in library:
        known = set(entry.task_summary.split())
        shared, whole = len(wanted & known), len(wanted | known)
        if shared and 9 * shared >= whole and entry.quality_score >= 0.7:
            key = (
                entry.task_type != "comparison",
                entry.model_class != "0.5B-1B",
                -shared,
                -shared / whole,
                -entry.quality_score,
                -entry.created_at,
                entry.trace_id,
            )
            ranked.append((key, entry.trace_id))
    return [trace_id for _, trace_id in sorted(ranked)[:limit]]


@given(library=LIBRARY, tasks=st.lists(TASKS, min_size=1, max_size=4), limit=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_sql_ranks_as_brute_force_does(
    library: list[ReasoningTrace], tasks: list[str], limit: int
) -> None:
    with TraceStore.in_memory() as store:
        kept = [entry for entry in library if store.add_trace(entry)]
        for number, task in enumerate(tasks):
            found = store.retrieve(f"j{number}", task, **{**RETRIEVE, "limit": limit})
            assert [e.trace.trace_id for e in found.examples] == brute_force(kept, task, limit)
            assert found.candidates == len(brute_force(kept, task, 1000)) or limit == 0


@given(library=LIBRARY, task=TASKS, limit=st.integers(1, 5), retired=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_what_is_compared_is_what_a_job_finds(
    library: list[ReasoningTrace], task: str, limit: int, retired: int
) -> None:
    with TraceStore.in_memory() as store:
        kept = [entry for entry in library if store.add_trace(entry)]
        for entry in kept[:retired]:
            store.desk.retire(entry.trace_id, "test")
        asked = (task, "comparison", "0.5B-1B", limit, 0.7)
        seen = store.desk.similar(*asked)
        job = store.retrieve("j", task, **{**RETRIEVE, "limit": limit})
        assert [one.trace.trace_id for one in seen.found] == [e.trace_id for e in job.offers]
        assert [one.similarity for one in seen.found] == [e.similarity for e in job.offers]
        assert seen.candidates == job.candidates
        assert bool(seen.why_nothing) == (not job.offers)
        assert (seen.active, seen.retired) == (len(kept[retired:]), len(kept[:retired]))
        outranked = [one.trace.trace_id for one in seen.missed if one.rank]
        best = brute_force(kept[retired:], task, limit + NEAR)
        assert [one.trace.trace_id for one in seen.found] + outranked == best


@given(st.text(), st.text())
def test_overlap_is_symmetric_and_between_0_and_1(a: str, b: str) -> None:
    assert overlap(a, b) == overlap(b, a)
    assert 0.0 <= overlap(a, b) <= 1.0
    assert overlap(a, a) == (1.0 if words(a) else 0.0)


def test_words_are_casefolded_without_punctuation() -> None:
    text = "Compare “Node.js” (C++, C#) with STRASSE/Straße -- don't! don't?"
    assert words(text) == {"compare", "node.js", "c++", "c#", "with", "strasse", "don't"}


def test_one_sided_overlap_divides_by_the_task_alone() -> None:
    assert overlap("a b", "a b c d", one_sided=True) == 1.0
    assert overlap("a b c d", "a b", one_sided=True) == 0.5
    assert overlap("a b", "a b c d") == 0.5


def test_same_type_and_same_model_come_before_more_overlap(store: TraceStore) -> None:
    for name, changes in {
        "other type": {"task_type": "summary"},
        "other model": {"model_class": "7B+"},
        "same": {"task_summary": "react and svelte"},
    }.items():
        store.add_trace(trace(**{"trace_id": name, **changes}))
    found = store.retrieve("j1", "compare React and Vue", **RETRIEVE)
    assert [e.trace.trace_id for e in found.examples] == ["same", "other model", "other type"]


def test_what_has_too_little_in_common_is_no_example(store: TraceStore) -> None:
    store.add_trace(trace("react " + " ".join(f"word{n}" for n in range(20))))
    found = store.retrieve("j1", "react", **RETRIEVE)
    assert (found.examples, found.candidates) == ((), 0)
    assert found.note == "the library has nothing that resembles this task"


def test_asking_again_gives_the_same_answer_and_counts_one_use(store: TraceStore) -> None:
    store.record(record("j1"))
    first = store.retrieve("j2", "compare React", **RETRIEVE)
    store.add_trace(trace("compare React now", quality_score=1.0))
    for _ in range(3):
        assert store.retrieve("j2", "compare React", **RETRIEVE) == first
    assert [t.usage_count for t in store.traces()] == [0, 1]
    later = store.retrieve("j3", "compare React and Vue", **RETRIEVE)
    assert {e.trace.trace_id: e.trace.usage_count for e in later.examples}["trace-j1"] == 1


def test_a_retired_trace_is_not_retrieved_but_old_answers_keep_it(store: TraceStore) -> None:
    store.record(record("j1"))
    before = store.retrieve("j2", "compare React", **RETRIEVE)
    store.curate(MetaLearningConfig(rtl_min_quality_for_storage=1.0))
    assert store.retrieve("j2", "compare React", **RETRIEVE) == before
    assert store.retrieve("j3", "compare React", **RETRIEVE).examples == ()


def test_a_held_out_job_sees_nothing_and_uses_nothing(store: TraceStore) -> None:
    store.record(record("j1"))
    found = store.retrieve("j2", "compare React", **{**RETRIEVE, "hold_out": 1.0})
    assert (found.examples, found.held_out, found.candidates) == ((), True, 1)
    assert store.traces()[0].usage_count == 0
    nothing = store.retrieve("j3", "unlike", **{**RETRIEVE, "hold_out": 1.0})
    assert not nothing.held_out, "only a job that would have seen examples can be held out"


def test_the_hold_out_share_is_about_right_and_fixed_per_job() -> None:
    ids = [f"job-{n}" for n in range(4000)]
    held = [i for i in ids if is_held_out(i, 0.05)]
    assert 120 < len(held) < 280
    assert held == [i for i in ids if is_held_out(i, 0.05)]
    assert not any(is_held_out(i, 0.0) for i in ids)
    assert all(is_held_out(i, 1.0) for i in ids)


def test_an_imported_usage_count_goes_on_counting(store: TraceStore) -> None:
    store.add_trace(trace(usage_count=7))
    store.retrieve("j1", "compare React", **RETRIEVE)
    assert store.traces()[0].usage_count == 8


def test_a_trace_reads_back_as_it_was_added(store: TraceStore) -> None:
    added = trace("x\x00y “ß”", created_at=1234567890.123456789, quality_score=0.1 + 0.2)
    assert store.add_trace(added)
    assert not store.add_trace(added)
    assert store.traces() == [added]
    assert store.traces(task_type="other") == []


# -- the index of a store --------------------------------------------------------------------


def test_a_store_that_starts_again_tops_its_saved_index_up_and_retrieves_with_it(
    directory: Path,
) -> None:
    with (
        mock.patch.object(index_file, "WORTH_SAVING", 2),
        mock.patch.object(Index, "add", autospec=True, side_effect=Index.add) as added,
        mock.patch.object(Index, "search", autospec=True, side_effect=Index.search) as searched,
    ):
        with TraceStore.open(directory) as store:
            for number in range(3):
                store.add_trace(trace(f"compare react {number}", trace_id=f"t{number}"))
            first = store.retrieve("j1", "compare react", **RETRIEVE)
        assert (added.call_count, searched.call_count) == (3, 1)
        saved, _ = read(directory / NAME)
        assert (len(saved), saved.position) == (3, 3), "it has its place in the journal"
        with TraceStore.open(directory) as store:
            store.desk.retire("t0", "test")
            store.add_trace(trace("compare react", trace_id="new"))
            again = store.retrieve("j2", "compare react", **RETRIEVE)
            assert store.retrieve("j1", "compare react", **RETRIEVE) == first
        assert (added.call_count, searched.call_count) == (4, 2), "the others came from the file"
    assert [e.trace.trace_id for e in first.examples] == ["t0", "t1", "t2"]
    assert [e.trace.trace_id for e in again.examples] == ["new", "t1", "t2"]


def test_a_store_without_its_index_file_retrieves_the_same(directory: Path) -> None:
    with mock.patch.object(index_file, "WORTH_SAVING", 1):
        with TraceStore.open(directory) as store:
            for number in range(3):
                store.add_trace(trace(f"compare react {number}", trace_id=f"t{number}"))
            before = store.retrieve("j1", "compare react", **RETRIEVE).offers
        (directory / NAME).unlink()
        with TraceStore.open(directory) as store:
            after = store.retrieve("j2", "compare react", **RETRIEVE).offers
    assert [offer.trace_id for offer in after] == [offer.trace_id for offer in before]


# -- evidence --------------------------------------------------------------------------------


def with_lift(number: int, probe: float, joined: float) -> JobRecord:
    scores = (Score(candidate="probe", value=probe), Score(candidate="joined", value=joined))
    return record(f"j{number}", trace=None, result=result(f"j{number}", scores=scores))


def test_evidence_is_the_mean_lift_with_students_interval(store: TraceStore) -> None:
    lifts = [0.1, 0.3, 0.2, 0.5, -0.1, 0.0]
    for number, lift in enumerate(lifts):
        store.record(with_lift(number, 0.4, 0.4 + lift))
    known = store.retrieve("next", "x", **RETRIEVE).evidence
    assert known is not None
    half = 2.571 * statistics.stdev(lifts) / len(lifts) ** 0.5  # t for 5 degrees of freedom
    mean = statistics.mean(lifts)
    assert known.jobs == 6
    assert (known.lift, known.low, known.high) == pytest.approx((mean, mean - half, mean + half))


def test_four_jobs_are_no_evidence(store: TraceStore) -> None:
    for number in range(4):
        store.record(with_lift(number, 0.4, 0.9))
    assert store.retrieve("next", "x", **RETRIEVE).evidence is None


def test_another_model_or_template_is_no_evidence(store: TraceStore) -> None:
    for number in range(6):
        store.record(with_lift(number, 0.4, 0.9))
    for number, change in enumerate(({"model_name": "big"}, {"template_sha256": "other"})):
        assert store.retrieve(f"n{number}", "x", **{**RETRIEVE, **change}).evidence is None
