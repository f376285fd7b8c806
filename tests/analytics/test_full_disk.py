"""A disk that is full, and a directory where nothing may be written: said, and nothing is lost."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from crp.errors import StoreUnavailable
from crp_analytics.store import TraceStore
from tests.analytics.broken import python
from tests.analytics.samples import record

Dump = Callable[[TraceStore], dict[str, list[str]]]


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


# -- for real -------------------------------------------------------------------------------------


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
from tests.analytics.test_full_disk import work_where_nothing_may_be_written
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
