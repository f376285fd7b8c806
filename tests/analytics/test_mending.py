"""Damaged tables that writers and queries meet: mended on the spot, and nobody's job is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crp.errors import QueryError, StoreUnavailable
from crp_analytics.files import clear_errors
from crp_analytics.group import Group
from crp_analytics.store import TraceStore
from tests.analytics.broken import flip, ruin
from tests.analytics.samples import RETRIEVE, record

Dump = Callable[[TraceStore], dict[str, list[str]]]

JOBS = 40


@pytest.fixture
def ruined(directory: Path) -> Iterator[TraceStore]:
    """An open store whose tables were damaged on the disk after it had opened them."""
    with TraceStore.open(directory) as store:
        for number in range(JOBS):
            noise = os.urandom(4000).hex()
            store.record(record(f"j{number}", task=f"task {number}", blobs={noise[:9]: noise}))
    with TraceStore.open(directory) as store:
        ruin(directory / "traces.duckdb")
        yield store


def set_aside(directory: Path) -> int:
    return len(list((directory / "backups").glob("*-before-damaged.duckdb")))


# -- writers -------------------------------------------------------------------------------------


def test_a_writer_that_meets_damage_is_served_from_mended_tables(
    ruined: TraceStore, directory: Path
) -> None:
    assert not ruined.record(record("new", task="after the damage")).duplicate
    assert set_aside(directory) == 1
    assert ruined.record(record("j1")).duplicate
    assert len(ruined.jobs(1000)) == JOBS + 1


def test_a_job_that_is_sent_again_is_told_from_mended_tables(ruined: TraceStore) -> None:
    said = ruined.record(record("j7", task="task 7"))
    assert (said.duplicate, said.receipt.sequence if said.receipt else 0) == (True, 8)


def test_a_job_that_asks_for_examples_gets_them_from_mended_tables(ruined: TraceStore) -> None:
    assert ruined.retrieve("new", "task 7", **RETRIEVE).examples


def test_all_writers_of_a_group_are_served_after_one_mend(
    ruined: TraceStore, directory: Path
) -> None:
    said = together(ruined, *(lambda g, n=n: ruined._keep(record(f"n{n}"), g) for n in range(4)))
    assert [one.duplicate for one in said] == [False] * 4
    assert set_aside(directory) == 1
    assert len(ruined.jobs(1000)) == JOBS + 4


def test_damage_that_can_not_be_mended_lets_the_writer_try_again(
    ruined: TraceStore, directory: Path
) -> None:
    """Somebody has to decide what to lose; until then the job is not given up."""
    flip(next((directory / "journal").glob("*.jsonl")), b'"job_id":"j5"')
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="would lose 1 entry"):
            ruined.record(record("new"))


def test_damage_is_worth_another_try() -> None:
    with pytest.raises(StoreUnavailable), clear_errors(None):
        raise duckdb.Error("Corrupt database file: computed checksum 1 does not match")


# -- queries -------------------------------------------------------------------------------------


COUNT = "SELECT count(*), sum(length(task)) FROM jobs"


def test_a_query_of_a_damaged_copy_is_answered_from_mended_tables(
    ruined: TraceStore, directory: Path
) -> None:
    assert ruined.sql(COUNT).rows[0][0] == JOBS
    assert set_aside(directory) == 1
    assert ruined.sql(COUNT).rows[0][0] == JOBS


def test_a_snapshot_of_damaged_tables_is_published_from_mended_ones(
    ruined: TraceStore, tmp_path: Path
) -> None:
    assert ruined.publish(tmp_path / "out").tables["jobs"] == JOBS


def test_damage_is_mended_too_where_the_owner_has_what_was_there_in_memory(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        store.record_all([record(f"j{n}", task=f"task {n}") for n in range(JOBS)])
        store.checkpoint()
        before = dump(store)
        ruin(directory / "traces.duckdb")
        assert dump(store) == before
        assert store.sql(COUNT).rows[0][0] == JOBS
        assert dump(store) == before


def test_a_query_that_only_says_so_mends_nothing(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        with pytest.raises(QueryError, match="Corrupt database file"):
            store.sql("SELECT error('Corrupt database file')")
        assert set_aside(directory) == 0


# -- others in the same group --------------------------------------------------------------------


def together(store: TraceStore, *decide: Callable[[Group], Any]) -> list[Any]:
    """Let writers meet in one group; give what each was answered, an error too."""
    said: list[Any] = [None] * len(decide)
    tables = store._tables

    def write(place: int) -> None:
        try:
            said[place] = tables.write(decide[place])
        except Exception as error:
            said[place] = error

    threads = [threading.Thread(target=write, args=(n,)) for n in range(len(decide))]
    with tables._lock:
        for thread in threads:
            thread.start()
        while len(tables._writers._waiting) < len(decide):
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    return said


def test_what_goes_wrong_with_one_writer_is_told_to_no_other(store: TraceStore) -> None:
    def wrong(group: Group) -> None:
        store._keep(record("half"), group)
        raise KeyError("a bug in one request")

    first, error, last = together(
        store,
        lambda group: store._keep(record("j1"), group),
        wrong,
        lambda group: store._keep(record("j2"), group),
    )
    assert isinstance(error, KeyError)
    assert (first.job_id, last.job_id) == ("j1", "j2")
    assert {job["job_id"] for job in store.jobs()} == {"j1", "j2"}


def test_without_a_thread_a_kept_fact_is_kept_once(directory: Path) -> None:
    """A thread with a stack of this size can not be started by any system."""
    with TraceStore.open(directory) as store:
        size = threading.stack_size(1 << 47)
        try:
            with pytest.raises(RuntimeError):
                threading.Thread(target=print).start()
            assert not store.record(record("j1")).duplicate
        finally:
            threading.stack_size(size)
        assert store.record(record("j1")).duplicate
        assert [job["job_id"] for job in store.jobs()] == ["j1"]
        assert store.check().entries == 1
