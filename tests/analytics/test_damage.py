"""Files that are damaged or gone: what is whole is kept, and the tables are made again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from crp.errors import StoreError, StoreUnavailable
from crp_analytics.facts import JobFact, Noted
from crp_analytics.rows import Rows, rows_of
from crp_analytics.store import TraceStore
from tests.analytics.broken import fill, flip
from tests.analytics.samples import record

Dump = Callable[[TraceStore], dict[str, list[str]]]


def test_a_rebuild_gives_the_same_rows(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        before = dump(store)
        assert all(before[table] for table in before if table != "skipped"), "each has rows"
        store.rebuild()
        assert dump(store) == before


def test_a_deleted_database_is_made_again_from_the_journal(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        before = dump(store)
    (directory / "traces.duckdb").unlink()
    with TraceStore.open(directory) as store:
        assert dump(store) == before


def test_a_database_full_of_noise_is_made_again_and_the_old_one_kept(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        before = dump(store)
    (directory / "traces.duckdb").write_bytes(os.urandom(100_000))
    with TraceStore.open(directory) as store:
        assert dump(store) == before
    assert [p.name for p in (directory / "backups").glob("*-before-damaged.duckdb")]


def test_a_store_behind_its_journal_catches_up(directory: Path, dump: Dump) -> None:
    """DuckDB opens a damaged write-ahead log without an error and without the later commits."""
    child = os.fork()
    if child == 0:
        store = TraceStore.open(directory)
        fill(store)
        os._exit(0)  # no close: the rows are in the log only
    os.waitpid(child, 0)
    log = directory / "traces.duckdb.wal"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)
    with TraceStore.open(directory) as store:
        assert len(store.jobs()) == 13
        after = dump(store)
        store.rebuild()
        assert dump(store) == after


def test_a_flipped_byte_in_the_journal_costs_one_fact_at_most(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
    flip(max((directory / "journal").glob("*.jsonl")), b'"job_id":"j5"')
    with TraceStore.open(directory) as store:
        assert len(store.damage) == 1
        assert len(store.jobs()) == 13, "the tables have it still"


def test_a_lost_journal_does_not_stop_the_store_but_it_can_not_be_rebuilt(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
    for segment in (directory / "journal").iterdir():
        segment.unlink()
    with TraceStore.open(directory) as store:
        store.record(record("new", task="after the loss"))
        assert len(store.jobs()) == 14
        with pytest.raises(StoreError, match="a rebuild would lose"):
            store.rebuild()
    with TraceStore.open(directory) as store:
        assert len(store.jobs()) == 14


def test_a_fact_that_can_not_be_mapped_does_not_stop_the_store(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(noted: Noted) -> Rows:
        if isinstance(noted.fact, JobFact) and noted.fact.record.job.job_id == "odd":
            raise KeyError("a bug in the mapping")
        return rows_of(noted)

    with TraceStore.open(directory) as store:
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.projection.rows_of", broken)
            for job_id in ("before", "odd", "after"):
                store.record(record(job_id))
            assert {job["job_id"] for job in store.jobs()} == {"before", "after"}
        store.rebuild()
        assert {job["job_id"] for job in store.jobs()} == {"before", "odd", "after"}


# -- the database file ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_byte_flipped_in_the_database_is_found_and_made_good(directory: Path, dump: Dump) -> None:
    """Wherever it is: the tables are read whole in the end, or it made no difference."""
    with TraceStore.open(directory) as store:
        fill(store)
        for number in range(60):
            noise = os.urandom(4000).hex()
            store.record(record(f"n{number}", task=f"noise {number}", blobs={noise[:9]: noise}))
        before = dump(store)
    database = directory / "traces.duckdb"
    good = database.read_bytes()
    healed = 0
    for place in range(4096, len(good), max(len(good) // 12, 1)):
        content = bytearray(good)
        content[place] ^= 0xFF
        database.write_bytes(content)
        with TraceStore.open(directory) as store:
            with contextlib.suppress(StoreUnavailable):
                healed += 1
                dump(store)
                healed -= 1
            assert dump(store) == before, f"byte {place}"
            assert store.record(record("j1")).duplicate
    assert healed
    assert list((directory / "backups").glob("*-before-damaged.duckdb"))


def test_damaged_tables_are_not_replaced_by_less_than_they_may_hold(directory: Path) -> None:
    """The journal is damaged as well: somebody has to decide, and both files stay."""
    with TraceStore.open(directory) as store:
        fill(store)
    flip(next((directory / "journal").glob("*.jsonl")), b'"job_id":"j5"')
    with TraceStore.open(directory) as store:

        def corrupt() -> None:
            with store._used():
                raise duckdb.Error("Corrupt database file: computed checksum 1 does not match")

        with pytest.raises(StoreError, match="would lose 1 entry"):
            corrupt()
        assert len(store.jobs()) == 13
