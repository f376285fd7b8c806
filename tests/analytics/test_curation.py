"""Curation: what leaves the library, in which order, and that nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest

from crp.errors import NotFound, StoreUnavailable, UsageError
from crp.models import MetaLearningConfig
from crp_analytics.curation import LAST_RUN
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]


def last_run(store: TraceStore) -> int:
    """The last curation of which something is still out."""
    return int(str(store.sql(LAST_RUN).rows[0][0]))


def later_jobs(store: TraceStore, count: int, task_type: str = "comparison") -> None:
    for number in range(count):
        kept = trace(f"{task_type} {number}", task_type=task_type, quality_score=0.0)
        store.record(record(f"later-{task_type}-{number}", trace=kept))


def test_nothing_to_do_is_a_run_too(store: TraceStore) -> None:
    store.add_trace(trace())
    said = store.curate(MetaLearningConfig())
    assert (said.considered, said.retired, said.reasons) == (1, 0, {})
    assert store.sql("SELECT considered, retired FROM curation_runs").rows == ((1, 0),)


def test_a_trace_below_the_threshold_is_retired_not_deleted(store: TraceStore) -> None:
    store.add_trace(trace("weak", quality_score=0.6))
    store.add_trace(trace("at the threshold", quality_score=0.7))
    said = store.curate(MetaLearningConfig())
    assert (said.retired, said.reasons) == (1, {"below_threshold": 1})
    assert [t.task_summary for t in store.traces()] == ["at the threshold"]
    assert len(store.traces(active_only=False)) == 2
    log = store.sql("SELECT reason, detail FROM curation_log").rows
    assert log == (("below_threshold", "quality 0.60 < 0.70"),)


def test_an_unused_trace_has_its_grace(store: TraceStore) -> None:
    config = MetaLearningConfig(rtl_grace_jobs=3)
    store.add_trace(trace())
    later_jobs(store, 2)
    later_jobs(store, 9, task_type="summary")
    assert store.curate(config).retired == 0
    later_jobs(store, 3)  # two of them are duplicates, one is new
    assert store.curate(config).reasons == {"unused": 1}


def test_a_trace_that_was_shown_stays(store: TraceStore) -> None:
    store.add_trace(trace())
    store.retrieve("j1", "compare React", **RETRIEVE)
    later_jobs(store, 3)
    assert store.curate(MetaLearningConfig(rtl_grace_jobs=3)).retired == 0


def test_a_trace_that_was_only_held_out_is_unused(store: TraceStore) -> None:
    store.add_trace(trace())
    store.retrieve("j1", "compare React", **{**RETRIEVE, "hold_out": 1.0})
    later_jobs(store, 3)
    assert store.curate(MetaLearningConfig(rtl_grace_jobs=3)).reasons == {"unused": 1}


def test_the_job_that_made_a_trace_is_not_a_later_one(store: TraceStore) -> None:
    store.record(record("j1"))
    assert store.curate(MetaLearningConfig(rtl_grace_jobs=1)).retired == 0
    later_jobs(store, 1)
    assert store.curate(MetaLearningConfig(rtl_grace_jobs=1)).retired == 1


def test_the_cap_keeps_the_best_then_the_newest_of_each_type(store: TraceStore) -> None:
    for name, quality, created in (("a", 0.9, 1), ("b", 0.8, 1), ("c", 0.8, 2), ("d", 0.7, 3)):
        store.add_trace(trace(name, trace_id=name, quality_score=quality, created_at=created))
    store.add_trace(trace("z", trace_id="z", task_type="summary", quality_score=0.7))
    said = store.curate(MetaLearningConfig(rtl_max_traces=2))
    assert said.reasons == {"over_cap": 2}
    assert {t.trace_id for t in store.traces()} == {"a", "c", "z"}


def test_the_cap_counts_only_what_is_left(store: TraceStore) -> None:
    for name, quality in (("a", 0.6), ("b", 0.9), ("c", 0.9)):
        store.add_trace(trace(name, trace_id=name, quality_score=quality))
    assert store.curate(MetaLearningConfig(rtl_max_traces=2)).reasons == {"below_threshold": 1}


def test_curating_twice_retires_nothing_more(store: TraceStore) -> None:
    for number in range(5):
        store.add_trace(trace(f"t{number}"))
    config = MetaLearningConfig(rtl_max_traces=2)
    assert store.curate(config).retired == 3
    again = store.curate(config)
    assert (again.considered, again.retired) == (2, 0)


# -- by hand, and back ---------------------------------------------------------------------------


def test_what_would_be_retired_is_told_and_nothing_changes(store: TraceStore, dump: Dump) -> None:
    store.add_trace(trace("weak", trace_id="weak", quality_score=0.6))
    before = dump(store)
    fact = store.desk.would_retire(MetaLearningConfig())
    assert [(r.trace_id, r.reason) for r in fact.retired] == [("weak", "below_threshold")]
    assert dump(store) == before


def test_undo_brings_back_what_a_curation_retired_and_it_stays(store: TraceStore) -> None:
    store.add_trace(trace("weak", trace_id="weak", quality_score=0.6))
    store.curate(MetaLearningConfig())
    undone = store.desk.undo(last_run(store))
    assert (undone.restored, undone.left) == (("weak",), {})
    assert store.curate(MetaLearningConfig()).retired == 0
    assert store.sql("SELECT retired, n, back FROM v_curation WHERE retired > 0").rows == (
        (1, 1, 1),
    )


def test_undoing_twice_brings_back_nothing_more(store: TraceStore, dump: Dump) -> None:
    store.add_trace(trace("weak", quality_score=0.6))
    store.curate(MetaLearningConfig())
    run = last_run(store)
    store.desk.undo(run)
    before = dump(store)
    assert store.desk.undo(run).restored == ()
    assert dump(store) == before


def test_undo_leaves_what_was_moved_since(store: TraceStore) -> None:
    for name in ("a", "b"):
        store.record(record(name, trace=trace(name, trace_id=name)))
    strict = MetaLearningConfig(rtl_min_quality_for_storage=0.95)
    assert store.curate(strict).retired == 2
    run = last_run(store)
    store.desk.retire("a", "names a customer")
    assert store.desk.undo(run).restored == ("b",)


def test_undo_says_what_can_not_come_back_because_it_was_learned_again(store: TraceStore) -> None:
    store.record(record("j1"))
    store.curate(MetaLearningConfig(rtl_min_quality_for_storage=0.95))
    run = last_run(store)
    store.record(record("j2"))
    undone = store.desk.undo(run)
    assert undone.restored == ()
    assert undone.left == {"trace-j1": "an identical trace is in the library already: trace-j2"}


def test_a_run_that_never_was_can_not_be_undone(store: TraceStore) -> None:
    with pytest.raises(NotFound, match="no curation 7"):
        store.desk.undo(7)


def test_what_was_retired_by_hand_is_not_learned_again(store: TraceStore) -> None:
    store.record(record("j1"))
    assert store.desk.retire("trace-j1", "names a customer")
    assert not store.desk.retire("trace-j1", "again")
    said = store.record(record("j2"))
    assert said.reason == "an identical trace was retired by hand: trace-j1"
    assert store.desk.restore("trace-j1")
    assert not store.desk.restore("trace-j1")
    assert [t.trace_id for t in store.traces()] == ["trace-j1"]


def test_what_a_person_restored_stays_and_counts_for_the_cap(store: TraceStore) -> None:
    for name, quality in (("a", 0.71), ("b", 0.8), ("c", 0.9)):
        store.add_trace(trace(name, trace_id=name, quality_score=quality))
    store.desk.retire("a", "")
    store.desk.restore("a")
    said = store.curate(MetaLearningConfig(rtl_max_traces=2))
    assert said.reasons == {"over_cap": 1}
    assert {t.trace_id for t in store.traces()} == {"a", "c"}


def test_a_trace_that_comes_back_must_not_have_a_twin(store: TraceStore) -> None:
    store.record(record("j1"))
    store.curate(MetaLearningConfig(rtl_min_quality_for_storage=0.95))
    store.record(record("j2"))
    with pytest.raises(UsageError, match="can not come back: an identical trace"):
        store.desk.restore("trace-j1")


def test_a_trace_that_nobody_knows_is_named(store: TraceStore) -> None:
    for act in (store.desk.retire, store.desk.restore):
        with pytest.raises(NotFound, match="no trace 'nobody'"):
            act("nobody", "why")


def test_what_was_forgotten_does_not_come_back_and_neither_does_why_it_left(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        store.desk.retire("trace-j1", "names Zebulon")
        store.forget("j1")
        forgotten = store.traces(active_only=False)[0].trace_id
        with pytest.raises(UsageError, match="its job was forgotten"):
            store.desk.restore(forgotten)
        job = store.jobs()[0]["job_id"]
        assert "forgotten" in store.score(job, 1.0, "anna").why
        assert store.sql("SELECT why FROM trace_moves").rows == (("",),)
        before = dump(store)
        store.rebuild()
        assert dump(store) == before
    for path in directory.rglob("*"):
        assert path.is_dir() or b"Zebulon" not in path.read_bytes(), path


def test_a_rebuild_keeps_every_move(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        for name in ("a", "b", "c"):
            store.add_trace(trace(name, trace_id=name, quality_score=0.6))
        store.curate(MetaLearningConfig())
        store.desk.undo(last_run(store))
        store.desk.retire("a", "names a customer")
        store.desk.restore("a", "no, it does not")
        store.desk.retire("b", "boring")
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


# -- who decides at the same time ------------------------------------------------------------------


def together(store: TraceStore, *acts: Callable[[], Any]) -> list[Any]:
    """Do several things in one group of writers, in this order."""
    threads, said = [], {}
    lock, writers = store._tables._lock, store._tables._writers
    with lock:
        acts = (lambda: store.add_trace(trace("the first", task_type="other")), *acts)
        for number, act in enumerate(acts):
            thread = Thread(target=lambda n=number, a=act: said.update({n: a()}))
            thread.start()
            threads.append(thread)
            while len(writers._waiting) < number + 1:
                sleep(0.001)
    for thread in threads:
        thread.join(60)
    return [said[number] for number in range(1, len(acts))]


def test_curations_that_meet_are_one_run_and_its_undo_brings_all_back(
    store: TraceStore, dump: Dump
) -> None:
    for number in range(5):
        store.add_trace(trace(f"t{number}"))
    config = MetaLearningConfig(rtl_max_traces=2)
    first, second = together(store, *[lambda: store.desk.curate(config)] * 2)
    assert first == second
    assert store.sql("SELECT count(*) FROM curation_runs").rows == ((1,),)
    assert store.sql("SELECT count(*), count(DISTINCT trace_id) FROM curation_log").rows == (
        (3, 3),
    )
    assert len(store.desk.undo(first.receipt.sequence).restored) == 3


def test_curations_with_other_rules_do_not_retire_the_same_again(store: TraceStore) -> None:
    for number in range(5):
        store.add_trace(trace(f"t{number}"))
    first, second = together(
        store,
        lambda: store.desk.curate(MetaLearningConfig(rtl_max_traces=2)),
        lambda: store.desk.curate(MetaLearningConfig(rtl_max_traces=1)),
    )
    assert (len(first.retired), len(second.retired)) == (3, 1)
    assert len(store.desk.undo(first.receipt.sequence).restored) == 3


def test_what_a_person_moves_at_the_same_time_stays_where_it_was_put(store: TraceStore) -> None:
    for name, quality in (("a", 0.6), ("b", 0.6), ("c", 0.6)):
        store.add_trace(trace(name, trace_id=name, quality_score=quality))
    _, _, _, fact = together(
        store,
        lambda: store.desk.retire("a", "names a customer"),
        lambda: store.desk.retire("b", ""),
        lambda: store.desk.restore("b"),
        lambda: store.desk.curate(MetaLearningConfig()),
    )
    assert [retired.trace_id for retired in fact.retired] == ["c"]
    rows = store.sql("SELECT trace_id, status, held FROM traces WHERE quality_score < 0.7").rows
    assert sorted(rows) == [("a", "retired", "out"), ("b", "active", "in"), ("c", "retired", None)]


def test_a_trace_whose_group_failed_may_come_again_with_other_words(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with TraceStore.open(directory) as store:
        store.add_trace(trace("something else"))
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.journal.os.write", full)
            with pytest.raises(StoreUnavailable):
                store.add_trace(trace("first", trace_id="t"))
        assert store.add_trace(trace("second", trace_id="t"))
        assert store.add_trace(trace("first", trace_id="u")), "no twin of it is in"


# -- each use once ---------------------------------------------------------------------------------


def test_a_use_is_counted_once_for_each_job_that_saw_the_trace(store: TraceStore) -> None:
    store.add_trace(trace())
    for _ in range(3):
        store.retrieve("j1", "compare React", **RETRIEVE)
    store.retrieve("j2", "compare Vue", **RETRIEVE)
    store.retrieve("j3", "compare Vue", **{**RETRIEVE, "hold_out": 1.0})
    assert [t.usage_count for t in store.traces()] == [2]
    runs = "SELECT held_out, count(*) FROM retrieval_runs GROUP BY ALL ORDER BY ALL"
    assert store.sql(runs).rows == ((False, 2), (True, 1))


def test_the_hold_out_arm_is_the_same_whenever_a_job_asks(store: TraceStore) -> None:
    store.add_trace(trace())
    asked = {**RETRIEVE, "hold_out": 0.3}
    first = [store.retrieve(f"j{n}", "compare React", **asked).held_out for n in range(60)]
    again = [store.retrieve(f"j{n}", "compare React", **asked).held_out for n in range(60)]
    assert again == first
    assert 5 < sum(first) < 35
    assert store.traces()[0].usage_count == 60 - sum(first)
