"""Curation: what leaves the library, in which order, and that nothing is deleted."""

from __future__ import annotations

from crp.models import CurationReport, MetaLearningConfig
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace


def later_jobs(store: TraceStore, count: int, task_type: str = "comparison") -> None:
    for number in range(count):
        kept = trace(f"{task_type} {number}", task_type=task_type, quality_score=0.0)
        store.record(record(f"later-{task_type}-{number}", trace=kept))


def test_nothing_to_do_is_a_run_too(store: TraceStore) -> None:
    store.add_trace(trace())
    assert store.curate(MetaLearningConfig()) == CurationReport(considered=1)
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
    assert store.curate(config) == CurationReport(considered=2)
