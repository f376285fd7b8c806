"""The owner is killed, or meets what is not usual: another owner, a clock, 100 MB, many readers."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from crp.errors import StoreError
from crp_analytics import rebuilding
from crp_analytics.store import TraceStore
from tests.analytics.broken import fill, python
from tests.analytics.samples import RETRIEVE, record, result

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
