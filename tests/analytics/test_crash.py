"""Crashes and damage, for real: processes are killed and files are broken."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, tzinfo
from pathlib import Path

import duckdb
import pytest

from crp.errors import StoreError, StoreUnavailable
from crp.models import MetaLearningConfig
from crp_analytics import rebuilding
from crp_analytics.facts import JobFact, Noted
from crp_analytics.rows import Rows, rows_of
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, result, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]

KILLS = int(os.environ.get("CRP_KILLS", "20"))
"""200 is what was shown; CI does fewer."""
RETRIEVALS = int(os.environ.get("CRP_RETRIEVALS", "500"))
"""10,000 is what was shown."""

WRITERS = """
import sys, threading
from pathlib import Path
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record
store = TraceStore.open(Path(sys.argv[1]))
print("open", flush=True)
def write(name):
    number = 0
    while True:
        job_id = f"{sys.argv[2]}-{name}-{number}"
        store.retrieve(job_id, f"compare {number} things", **RETRIEVE)
        store.record(record(job_id, task=f"compare {job_id}"))
        sys.stdout.write(job_id + "\\n")
        sys.stdout.flush()
        number += 1
for name in "abcd":
    threading.Thread(target=write, args=(name,)).start()
"""


def python(code: str, *words: str) -> subprocess.Popen[str]:
    """Run code in a process of its own that finds what this one finds."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def write_until_killed(directory: Path, name: str, seconds: float) -> list[str]:
    """Four writers record in a loop in another process; kill -9 it, give what they were told."""
    child = python(WRITERS, str(directory), name)
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    said, _ = child.communicate()
    return [line for line in said.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.slow
def test_kills_lose_double_or_halve_nothing(directory: Path, dump: Dump) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for number in range(KILLS):
        acknowledged += write_until_killed(directory, f"r{number}", chance.uniform(0.0, 0.6))
    assert acknowledged, "the writers got somewhere"
    with TraceStore.open(directory) as store:
        kept = Counter(job["job_id"] for job in store.jobs(1_000_000))
        assert {line.strip() for line in acknowledged} <= set(kept), "lost"
        assert set(kept.values()) == {1}, "doubled"
        parts = store.sql(
            "SELECT DISTINCT (SELECT count(*) FROM steps WHERE job_id = j.job_id),"
            " (SELECT count(*) FROM attempts WHERE job_id = j.job_id),"
            " (SELECT count(*) FROM events WHERE job_id = j.job_id),"
            " (SELECT count(*) FROM retrieval_runs WHERE job_id = j.job_id) FROM jobs AS j"
        )
        assert parts.rows == ((2, 4, 3, 1),), "partial"
        print(f"{KILLS} kills, {len(acknowledged)} acknowledged, {len(kept)} kept")
        assert store.damage == ()
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def flip(file: Path, at: bytes) -> None:
    """Change a byte within the first occurrence of something."""
    content = bytearray(file.read_bytes())
    content[content.index(at) + 3] ^= 1
    file.write_bytes(content)


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


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Make the tables' disk full for as long as a block runs; the journal's has room."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    @contextlib.contextmanager
    def filled() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.projection.apply", full)
            yield

    return filled


def test_when_the_tables_can_not_be_written_the_journal_has_it(
    directory: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    with TraceStore.open(directory) as store:
        with no_room():
            assert not store.record(record("j1")).duplicate
            with pytest.raises(StoreUnavailable, match="No space left on device"):
                store.jobs()
            again = store.record(record("j1"))
            assert again.duplicate, "the second try finds the first"
            assert "identical" in store.record(record("j2")).reason
        assert store.record(record("j1")) == again
        assert [job["job_id"] for job in store.jobs()] == ["j2", "j1"]
        assert store.trace_count == 1


def test_tables_that_stay_full_end_in_a_refusal_and_nothing_is_lost(
    directory: Path,
    no_room: Callable[[], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
    dump: Dump,
) -> None:
    monkeypatch.setattr("crp_analytics.waiting.BACKLOG", 5)
    with TraceStore.open(directory) as store:
        with no_room():
            for number in range(5):
                store.record(record(f"j{number}"))
            with pytest.raises(StoreUnavailable, match="No space left on device"):
                store.record(record("j5"))
        assert not store.record(record("j5")).duplicate
        assert len(store.jobs()) == 6
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def test_a_store_that_closes_with_full_tables_catches_up_when_it_is_opened(
    directory: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    store = TraceStore.open(directory)
    with no_room():
        store.record(record("j1"))
        store.close()
    with TraceStore.open(directory) as store:
        assert [job["job_id"] for job in store.jobs()] == ["j1"]


def test_a_full_journal_keeps_nothing_of_those_it_refuses(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were decided on top of jobs that wait: what those decided stays."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with TraceStore.open(directory) as store:
        store.record(record("j1", task="one"))
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.journal.os.write", full)
            for job_id, task in (("j1", "one"), ("j2", "two"), ("j3", "one")):
                if job_id == "j1":
                    assert store.record(record(job_id, task=task)).duplicate
                    continue
                with pytest.raises(StoreUnavailable, match="nothing of this was kept"):
                    store.record(record(job_id, task=task))
        said = store.record(record("j2", task="two"))
        assert (said.duplicate, said.stored) == (False, True)
        assert not store.record(record("j3", task="one")).stored, "j1 has the same trace"
        assert store.sql("SELECT job_id FROM jobs ORDER BY 1").rows == (("j1",), ("j2",), ("j3",))


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


# -- the disk ------------------------------------------------------------------------------------


FULL_DISK = """
import functools, os, resource, sys
from pathlib import Path
import crp_analytics.tables
import crp_analytics.waiting
from crp.errors import StoreUnavailable
from crp_analytics.journal import Journal
from crp_analytics.store import TraceStore
from tests.analytics.samples import record
# Many small segments: only DuckDB's log reaches the limit.
crp_analytics.tables.Journal = functools.partial(Journal, segment_bytes=1000)
crp_analytics.waiting.BACKLOG = 3
directory = Path(sys.argv[1])
store = TraceStore.open(directory)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
told, refused = [], set()
def write(numbers):
    for n in numbers:
        noise = os.urandom(20000).hex()
        try:
            store.record(record(f"j{n}", task=f"compare {n}", blobs={noise[:9]: noise}))
            told.append(f"j{n}")
        except StoreUnavailable as error:
            refused.add(str(error))
write(range(3))
store.jobs()  # so that there is a log
wal = directory / "traces.duckdb.wal"
for turn in range(3):
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 100_000, hard))
    write(range(3 + 10 * turn, 9 + 10 * turn))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    write(range(3 + 10 * turn, 13 + 10 * turn))
print(sorted({*told} - {job["job_id"] for job in store.jobs(100)}), len(store.jobs(100)))
print(len(refused) > 0 and all("File too large" in text for text in refused))
"""


def test_a_full_disk_under_the_tables_loses_and_doubles_nothing(
    directory: Path, dump: Dump
) -> None:
    """DuckDB's commit fails; whoever was answered finds his job when there is room again."""
    child = python(FULL_DISK, str(directory))
    said, _ = child.communicate(timeout=120)
    assert said.splitlines() == ["[] 33", "True"]
    with TraceStore.open(directory) as store:
        assert Counter(j["job_id"] for j in store.jobs(100)) == {f"j{n}": 1 for n in range(33)}
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


READ_ONLY = """
import ctypes, os, sys
if os.getuid() == 0 and len(sys.argv) == 2:  # root may write anywhere, until he gives that up
    for capability in (1, 2):  # DAC_OVERRIDE, DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, from the next exec on
    os.execv(sys.executable, [*sys.orig_argv, "without"])
from pathlib import Path
from tests.analytics.test_crash import work_where_nothing_may_be_written
print(work_where_nothing_may_be_written(Path(sys.argv[1])))
"""


def work_where_nothing_may_be_written(directory: Path) -> str:
    """Record while the folders are writable, are not, and are again; say what came of it."""
    folders = (directory, directory / "journal")
    store = TraceStore.open(directory)
    store.record(record("before"))
    store.checkpoint()
    told, refused = ["before"], set()
    for mode in (0o555, 0o755):
        for folder in folders:
            folder.chmod(mode)
        for number in range(3):
            try:
                store.record(record(f"{mode}-{number}", task=f"task {mode} {number}"))
                told.append(f"{mode}-{number}")
                store.jobs()  # brings it into the tables
            except StoreUnavailable as error:
                refused.add("Permission denied" in str(error))
    lost = {*told} - {job["job_id"] for job in store.jobs()}
    store.close()
    return f"{sorted(lost)} {len(told) >= 4} {refused == {True}}"


def test_a_directory_that_turns_read_only_is_said_and_the_owner_goes_on_afterwards(
    directory: Path,
) -> None:
    child = python(READ_ONLY, str(directory))
    said, _ = child.communicate(timeout=120)
    assert said.splitlines() == ["[] True True"]


# -- the rest ------------------------------------------------------------------------------------


def test_a_clock_that_moves_back_changes_no_order_and_no_count(
    directory: Path, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = iter([20, 19, 3, 4, 2, 1] * 20)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 5, 1, next(hours), tzinfo=tz)

    monkeypatch.setattr("crp_analytics.tables.datetime", Clock)
    with TraceStore.open(directory) as store:
        fill(store)
        order = [job["job_id"] for job in store.jobs()]
        assert order == ["again", *(f"j{n}" for n in reversed(range(12)))]
        assert store.record(record("j1")).duplicate
        before = dump(store)
    with TraceStore.open(directory) as store:
        assert dump(store) == before
        store.rebuild()
        assert dump(store) == before


def test_a_second_process_is_refused_with_the_first_ones_pid_until_that_is_killed(
    directory: Path,
) -> None:
    child = python(WRITERS, str(directory), "first")
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    with pytest.raises(StoreError, match=rf"in use by process {child.pid}:.*one owner"):
        TraceStore.open(directory)
    child.kill()
    child.communicate()
    TraceStore.open(directory).close()


@pytest.mark.slow
def test_an_output_of_100_mb_is_kept_whole_and_disturbs_nobody(directory: Path) -> None:
    text = "0123456789abcdef" * (100 * 1024 * 1024 // 16)
    with TraceStore.open(directory) as store:
        store.record(record("big", result=result("big", answer=text)))
        store.record(record("small", task="after it"))
        found = store.job("big")
        assert found is not None
        assert found["answer"] == text
        assert store.sql("SELECT max(answer_characters) FROM jobs").rows == ((len(text),),)
    rebuilding.rebuild(directory)
    with TraceStore.open(directory) as store:
        assert [job["job_id"] for job in store.jobs()] == ["small", "big"]
        assert store.sql("SELECT max(characters) FROM blobs").rows == ((len(text),),)


@pytest.mark.slow
def test_retrievals_while_jobs_are_recorded_are_each_counted_once(
    directory: Path, dump: Dump
) -> None:
    def work(store: TraceStore, writer: int) -> int:
        shown = 0
        for number in range(writer, RETRIEVALS, 4):
            job_id = f"j{number}"
            shown += len(store.retrieve(job_id, f"compare {number} things", **RETRIEVE).examples)
            if number % 10 == 0:
                store.record(record(job_id, task=f"compare {number} things"))
        return shown

    with TraceStore.open(directory) as store, ThreadPoolExecutor(4) as pool:
        store.record(record("first", task="compare 0 things"))
        shown = sum(pool.map(work, [store] * 4, range(4)))
        assert store.sql("SELECT count(*) FROM retrieval_runs").rows == ((RETRIEVALS,),)
        assert store.sql("SELECT sum(usage_count) FROM v_usage_count").rows == ((shown,),)
        before = dump(store)
        store.rebuild()
        assert dump(store) == before
