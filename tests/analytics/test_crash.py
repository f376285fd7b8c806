"""Crashes and damage, for real: processes are killed and files are broken."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from crp.errors import StoreError, StoreUnavailable
from crp.models import MetaLearningConfig
from crp_analytics.facts import JobFact, Noted
from crp_analytics.rows import Rows, rows_of
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]

WRITER = """
import sys
from pathlib import Path
from crp_analytics.facts import JobFact, Noted
from crp_analytics.rows import Rows, rows_of
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record
store = TraceStore.open(Path(sys.argv[1]))
print("open", flush=True)
number = 0
while True:
    job_id = f"{sys.argv[2]}-{number}"
    store.retrieve(job_id, "compare things", **RETRIEVE)
    store.record(record(job_id, task=f"compare {job_id}"))
    print(job_id, flush=True)
    number += 1
"""


def write_until_killed(directory: Path, name: str, seconds: float) -> list[str]:
    """Record in a loop in another process, kill -9 it, give what it had acknowledged."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    said, _ = child.communicate()
    return [line for line in said.splitlines(keepends=False) if line]


def test_twenty_kills_lose_double_or_halve_nothing(directory: Path, dump: Dump) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for number in range(20):
        acknowledged += write_until_killed(directory, f"r{number}", chance.uniform(0.0, 0.25))
    assert acknowledged, "the writer got somewhere"
    with TraceStore.open(directory) as store:
        kept = Counter(job["job_id"] for job in store.jobs(100_000))
        assert set(acknowledged) <= set(kept), "lost"
        assert set(kept.values()) == {1}, "doubled"
        parts = store.sql(
            "SELECT DISTINCT (SELECT count(*) FROM steps WHERE job_id = j.job_id),"
            " (SELECT count(*) FROM attempts WHERE job_id = j.job_id),"
            " (SELECT count(*) FROM events WHERE job_id = j.job_id),"
            " (SELECT count(*) FROM retrieval_runs WHERE job_id = j.job_id) FROM jobs AS j"
        )
        assert parts.rows == ((2, 4, 3, 1),), "partial"
        assert store.damage == ()
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def fill(store: TraceStore) -> None:
    """Something of every kind of fact."""
    for number in range(12):
        store.retrieve(f"j{number}", f"compare {number}", **{**RETRIEVE, "hold_out": 0.3})
        store.record(record(f"j{number}", task=f"compare {number}"))
    store.add_trace(trace("by hand"))
    store.score("j3", 0.1, "anna")
    store.score("j3", 0.2, "anna", "on second thoughts")
    store.curate(MetaLearningConfig(rtl_max_traces=6))
    store.record(record("again", task="compare 11"))


def test_a_rebuild_gives_the_same_rows(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        before = dump(store)
        assert all(before.values()), "every table has rows"
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
    segment = max((directory / "journal").glob("*.jsonl"))
    content = bytearray(segment.read_bytes())
    content[content.index(b'"job_id":"j5"') + 3] ^= 1
    segment.write_bytes(content)
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


def test_when_the_tables_can_not_be_written_the_journal_has_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TraceStore.open(directory) as store:
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr("crp_analytics.projection.apply", full)
            with pytest.raises(StoreUnavailable, match="No space left on device"):
                store.record(record("j1"))
        assert store.record(record("j1")).duplicate, "the second try finds the first"
        assert len(store.jobs()) == 1


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
