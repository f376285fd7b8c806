"""Facts that are answered for and not in the tables yet: nobody can tell, and nobody waits long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from crp.models import MetaLearningConfig
from crp_analytics import projection
from crp_analytics.facts import Noted
from crp_analytics.known import BITS, Known
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is applied because time has passed, but where a test says so."""
    monkeypatch.setattr("crp_analytics.waiting.MOMENT", 3600.0)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that come into the tables."""
    sizes: list[int] = []

    def apply(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
        sizes.append(len(batch))
        projection.apply(connection, batch)

    monkeypatch.setattr("crp_analytics.projection.apply_or_skip", apply)
    return sizes


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


# -- when ----------------------------------------------------------------------------------------


def test_jobs_wait_until_somebody_reads(store: TraceStore, batches: list[int]) -> None:
    for number in range(5):
        store.record(record(f"j{number}", task=f"task {number}"))
    assert batches == []
    assert len(store.jobs()) == 5
    assert len(store.jobs()) == 5
    assert batches == [5]


def test_many_jobs_do_not_wait_for_a_reader(
    store: TraceStore, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "BATCH", 4)
    for number in range(10):
        store.record(record(f"j{number}", task=f"task {number}"))
    until(lambda: len(batches) == 2)
    assert batches == [4, 4]


def test_large_jobs_come_in_small_batches(
    store: TraceStore, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crp_analytics.waiting.BATCH_BYTES", 100_000)
    large = [record(f"j{n}", blobs={"k": f"{n}" * 60_000}) for n in range(6)]
    store.record_all(large)
    assert len(store.jobs()) == 6
    assert batches == [2, 2, 2]


def test_after_a_moment_they_are_in_the_tables_without_a_reader(
    directory: Path, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crp_analytics.waiting.MOMENT", 0.01)
    with TraceStore.open(directory) as store:
        for number in range(2):
            store.record(record(f"j{number}"))
            until(lambda: sum(batches) > number)  # noqa: B023
        assert sum(batches) == 2


def test_closing_applies_what_waits_and_leaves_no_thread(
    directory: Path, batches: list[int]
) -> None:
    before = set(threading.enumerate())
    store = TraceStore.open(directory)
    store.record(record("j1"))
    assert len(set(threading.enumerate()) - before) == 1, "the one that waits for the moment"
    store.close()
    assert set(threading.enumerate()) == before
    assert batches == [1]
    with TraceStore.open(directory) as store:
        assert batches == [1], "there was nothing to catch up with"
        assert len(store.jobs()) == 1


# -- what later writers see ----------------------------------------------------------------------


def test_what_waits_decides_as_if_it_were_in_the_tables(
    directory: Path, batches: list[int], dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        first = store.record(record("j1", task="one"))
        assert store.record(record("j1", task="other")) == first.model_copy(
            update={"duplicate": True}
        )
        assert store.record(record("j2", task="one")).reason == (
            "an identical trace is in the library already: trace-j1"
        )
        assert not store.add_trace(trace("two", trace_id="trace-j1")), "its id is taken"
        assert batches == []
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def test_a_curation_that_waits_counts_the_jobs_from_there_on(store: TraceStore) -> None:
    config = MetaLearningConfig()
    due = []
    for number in range(12):
        due.append(store.record(record(f"j{number}", task=f"task {number}")).curation_due)
        if number == 5:
            store.curate(config)
    interval = config.curation_interval
    assert due == [n + 1 >= interval if n <= 5 else n - 5 >= interval for n in range(12)]


def test_a_retrieval_finds_and_counts_what_waits(store: TraceStore) -> None:
    store.record(record("j1", task="compare React and Vue"))
    counts = [
        store.retrieve(f"q{n}", "compare React", **RETRIEVE).examples[0].trace.usage_count
        for n in range(3)
    ]
    assert counts == [0, 1, 2]


def test_a_trace_that_was_moved_while_it_waited_is_moved_for_everybody(store: TraceStore) -> None:
    store.record(record("j1", task="one"))
    assert store.desk.retire("trace-j1", "no good")
    assert not store.desk.retire("trace-j1", "again")
    assert "retired by hand: trace-j1" in store.record(record("j2", task="one")).reason
    assert store.desk.restore("trace-j1")
    assert [entry.trace_id for entry in store.traces()] == ["trace-j1"]


def test_of_a_job_that_was_forgotten_nothing_waits(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("secret-1", task="a secret"))
        store.forget("secret-1")
        assert store.record(record("secret-1", task="a secret")).duplicate
        said = store.record(record("j2", task="a secret"))
        assert (said.stored, said.duplicate) == (True, False)
        assert "secret-1" not in repr(store.jobs())


def test_all_of_a_write_are_kept_or_none(store: TraceStore) -> None:
    said = store.record_all([record("j1", task="one"), record("j1"), record("j2", task="two")])
    assert [one.duplicate for one in said] == [False, True, False]
    assert [one.receipt.sequence for one in said if one.receipt] == [1, 1, 2]
    assert len(store.jobs()) == 2


# -- meanwhile -----------------------------------------------------------------------------------


def test_writers_do_not_wait_for_a_batch_that_is_under_way(
    directory: Path, monkeypatch: pytest.MonkeyPatch, dump: Dump
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
        begun.set()
        assert go_on.wait(60)
        projection.apply(connection, batch)

    monkeypatch.setattr(projection, "BATCH", 2)
    with TraceStore.open(directory) as store:
        monkeypatch.setattr("crp_analytics.projection.apply_or_skip", slow)
        store.record_all([record("j0", task="zero"), record("j1", task="one")])
        assert begun.wait(60)
        assert not store.record(record("j2", task="two")).duplicate
        assert store.record(record("j1", task="one")).duplicate
        assert "identical trace" in store.record(record("j3", task="one")).reason
        go_on.set()
        assert [job["job_id"] for job in store.jobs()] == ["j3", "j2", "j1", "j0"]
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def test_writers_who_never_rest_are_told_the_same_in_every_group(
    store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crp_analytics.group.MANY", 3)
    due = [store.record(record(f"j{n}", task=f"task {n % 4}")).curation_due for n in range(9)]
    interval = MetaLearningConfig().curation_interval
    assert due == [n + 1 >= interval for n in range(9)]
    assert store.record(record("j0")).duplicate
    assert store.trace_count == 4


# -- which ids are known -------------------------------------------------------------------------


def test_what_the_tables_have_is_never_called_new(store: TraceStore) -> None:
    store.record_all([record(f"j{n}", task=f"task {n}") for n in range(50)])
    with store._used() as connection:
        known = Known.of(connection)
    assert all(known.maybe(f"j{n}") and known.maybe(f"trace-j{n}") for n in range(50))
    new = sum(known.maybe(f"other-{n}") for n in range(1000))
    assert new <= 1000 * 150 // BITS + 5
