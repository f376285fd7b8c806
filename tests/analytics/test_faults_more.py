"""More faults, each caused for real: a disk without room, a log or a file that is gone, kills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crp.errors import StoreUnavailable
from crp_analytics import rebuilding
from crp_analytics.store import TraceStore
from tests.analytics.broken import fill, python
from tests.analytics.samples import RETRIEVE, record

Dump = Callable[[TraceStore], dict[str, list[str]]]


def killed_after(code: str, *words: str, says: str = "now\n") -> list[str]:
    """Run code in another process, kill -9 it when it says so; give what it had said before."""
    child = python(code, *words)
    assert child.stdout is not None
    told = []
    for line in child.stdout:
        if line == says:
            break
        told.append(line.strip())
    child.send_signal(signal.SIGKILL)
    child.communicate()
    return told


FILLED = """
import sys, time
from pathlib import Path
from crp_analytics.store import TraceStore
from tests.analytics.broken import fill
store = TraceStore.open(Path(sys.argv[1]))
fill(store)
print("now", flush=True)
time.sleep(60)
"""


@pytest.fixture
def killed(directory: Path) -> Path:
    """A store whose owner was killed: its last rows are in DuckDB's log alone."""
    killed_after(FILLED, str(directory))
    assert (directory / "traces.duckdb.wal").stat().st_size > 0
    return directory


# -- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 24 MB."""
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(point)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command).returncode:
        pytest.skip("mounting a small disk takes root on Linux")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_a_disk_without_room_is_said_and_the_owner_goes_on_when_there_is_some(
    small_disk: Path, dump: Dump
) -> None:
    """Journal, tables and log are on it, and nothing else is: whatever is written first fails."""
    told: list[str] = []
    refused: set[bool] = set()

    def write(store: TraceStore, name: str, most: int) -> bool:
        """Whether all of them were taken."""
        for number in range(most):
            job_id, noise = f"{name}-{number}", os.urandom(50_000).hex()
            try:
                store.record(record(job_id, task=job_id, blobs={noise[:9]: noise}))
            except StoreUnavailable as error:
                refused.add("No space left on device" in str(error))
                return False
            told.append(job_id)
        return True

    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(16_000_000))  # so that later there is room for tables of the journal
    with TraceStore.open(small_disk / "store") as store:
        assert not write(store, "first", 500)
        assert not write(store, "still", 1)
        ballast.unlink()
        assert write(store, "after", 3)
        assert refused == {True}
        kept = [job["job_id"] for job in store.jobs(1000)]
        assert len(kept) == len(set(kept))
        assert set(told) <= set(kept)
        assert store.damage == ()
    copy = small_disk.parent / "copy"  # a rebuild needs room of its own
    shutil.copytree(small_disk / "store", copy)
    with TraceStore.open(copy) as store:
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


# -- files that are damaged or gone ------------------------------------------------------------


def test_a_byte_flipped_anywhere_in_the_log_costs_nothing(
    killed: Path, tmp_path: Path, dump: Dump
) -> None:
    """DuckDB stops reading where it is, and says nothing: the journal has the rest."""
    shutil.copytree(killed, tmp_path / "whole")
    with TraceStore.open(tmp_path / "whole") as store:
        before = dump(store)
    size = (killed / "traces.duckdb.wal").stat().st_size
    for place in range(7, size, size // 8):
        copy = tmp_path / str(place)
        shutil.copytree(killed, copy)
        log = bytearray((copy / "traces.duckdb.wal").read_bytes())
        log[place] ^= 0x10
        (copy / "traces.duckdb.wal").write_bytes(log)
        with TraceStore.open(copy) as store:
            assert dump(store) == before, f"byte {place}"
            assert store.record(record("j1")).duplicate


@pytest.mark.parametrize("gone", ["traces.duckdb", "traces.duckdb.wal"])
def test_after_a_kill_the_database_or_its_log_may_be_gone(
    killed: Path, tmp_path: Path, dump: Dump, gone: str
) -> None:
    shutil.copytree(killed, tmp_path / "whole")
    with TraceStore.open(tmp_path / "whole") as store:
        before = dump(store)
    (killed / gone).unlink()
    with TraceStore.open(killed) as store:
        assert dump(store) == before


def test_a_database_that_is_deleted_under_its_owner_is_made_again(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        (directory / "traces.duckdb").unlink()
        store.record(record("later", task="after the loss"))
        before = dump(store)
    with TraceStore.open(directory) as store:
        assert dump(store) == before


def test_a_rebuild_says_where_the_damage_is_and_lossy_keeps_all_the_rest(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
    (segment,) = (directory / "journal").glob("*.jsonl")
    content = bytearray(segment.read_bytes())
    place = content.index(b'"kind":"job","body":{"record":{"job":{"job_id":"j5"')
    content[place + 50] ^= 1
    segment.write_bytes(content)
    line = content.rindex(b"\n", 0, place) + 1
    (directory / "traces.duckdb").unlink()
    with pytest.raises(Exception, match=rf"{segment.name}, byte {line}: does not match its chec"):
        rebuilding.rebuild(directory)
    rebuilding.rebuild(directory, lossy=True)
    with TraceStore.open(directory) as store:
        kept = {job["job_id"] for job in store.jobs()}
        assert kept == {"again", *(f"j{n}" for n in range(12) if n != 5)}


# -- kills -----------------------------------------------------------------------------------------


SENDERS = """
import sys, threading
from pathlib import Path
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record
store = TraceStore.open(Path(sys.argv[1]))
def send(name):
    for number in range(10_000):
        job_id = f"{name}-{number}"
        store.retrieve(job_id, f"compare {number} things", **RETRIEVE)
        done = store.record(record(job_id, task=f"compare {job_id}"))
        sys.stdout.write(f"{job_id}={done.receipt.sequence}\\n")
        sys.stdout.flush()
        if number == int(sys.argv[2]):
            sys.stdout.write("now\\n")
            sys.stdout.flush()
for name in "abcd":
    threading.Thread(target=send, args=(name,)).start()
"""


@pytest.mark.slow
def test_whoever_sends_everything_again_after_a_kill_doubles_nothing(directory: Path) -> None:
    """As Temporal does: what was not answered for certain is sent again, to the next owner."""
    places: dict[str, str] = {}
    for turn in range(4):
        for line in killed_after(SENDERS, str(directory), str(5 * turn)):
            job_id, _, place = line.partition("=")
            assert places.setdefault(job_id, place) == place, "a job has one place for ever"
    with TraceStore.open(directory) as store:
        jobs = "SELECT count(*) = count(DISTINCT job_id), count(*) >= ? FROM jobs"
        assert store.sql(jobs.replace("?", str(len(places)))).rows == ((True, True),)
        runs = "SELECT count(*) = count(DISTINCT job_id) FROM retrieval_runs"
        assert store.sql(runs).rows == ((True,),)


PUBLISHER = """
import sys, time
from pathlib import Path
from crp_analytics import publish
from crp_analytics.store import TraceStore
def stop(*_):
    print("now", flush=True)
    time.sleep(60)
publish._counts = stop
with TraceStore.open(Path(sys.argv[1])) as store:
    store.publish(Path(sys.argv[2]))
"""


def test_a_kill_while_it_is_published_leaves_the_old_snapshot_and_the_next_one_cleans_up(
    directory: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with TraceStore.open(directory) as store:
        fill(store)
        old = Path(store.publish(out).file).read_bytes()
    killed_after(PUBLISHER, str(directory), str(out))
    assert (out / "snapshot.duckdb").read_bytes() == old
    assert len(list(out.iterdir())) > 1, "what the kill left"
    with TraceStore.open(directory) as store:
        store.retrieve("new", "compare 3", **RETRIEVE)
        store.publish(out)
    assert [path.name for path in out.iterdir()] == ["snapshot.duckdb"]
