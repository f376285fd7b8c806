"""The ways to land finished jobs that `bench store` compares, each in a process of its own.

Every way gets the same records and makes the same rows of them (a job, its steps, attempts and
events). `land` has as many threads as writers, and each waits for its answer: what is answered must
survive a crash. `batches` brings a hundred jobs at once. A run ends when a reader has counted every
job. Times are of the wall; CPU is that of the whole process.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from bench import store_rows
from bench.store_records import record, trace
from crp.models import JobRecord
from crp_analytics import rebuilding, schema
from crp_analytics.store import TraceStore

TABLES = ("jobs", "steps", "attempts", "events")
BATCH = 100
WARM = 5


class Peer(ABC):
    """One way to keep finished jobs. Its methods may be called by several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def land(self, records: Sequence[JobRecord]) -> None:
        """Keep jobs, all in one go; when it returns, a crash can not take them."""

    @abstractmethod
    def count(self) -> int:
        """Read how many jobs there are."""

    def close(self) -> None:  # noqa: B027
        """Leave the files in order."""


class Ours(Peer):
    """The trace store: into the journal one by one, into DuckDB in batches."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store = TraceStore.open(folder / "store")

    def land(self, records: Sequence[JobRecord]) -> None:
        self.store.record_all(records)

    def count(self) -> int:
        return int(self.store.jobs(1)[0]["journal_sequence"])  # nothing but jobs was brought

    def close(self) -> None:
        self.store.close()


class Sqlite(Peer):
    """SQLite: a transaction a call, in the write-ahead log, fsynced; a connection a thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.mine = threading.local()
        connection = self._connection()
        connection.execute("PRAGMA journal_mode = WAL")
        for table, rows in store_rows.rows(record(0)).items():
            columns = ", ".join(f'"{name}"' for name in rows[0])
            key = ", PRIMARY KEY (job_id)" if table == "jobs" else ""
            connection.execute(f'CREATE TABLE "{table}" ({columns}{key})')

    def land(self, records: Sequence[JobRecord]) -> None:
        parts = [store_rows.rows(given) for given in records]
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        for rows in parts:
            for table, more in rows.items():
                marks = ", ".join("?" * len(more[0]))
                values = [tuple(map(_plain, row.values())) for row in more]
                connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', values)
        connection.execute("COMMIT")

    def count(self) -> int:
        return int(self._connection().execute("SELECT count(*) FROM jobs").fetchone()[0])

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self.mine, "connection"):
            path = self.folder / "jobs.sqlite"
            self.mine.connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            self.mine.connection.execute("PRAGMA synchronous = FULL")
        found: sqlite3.Connection = self.mine.connection
        return found


class DuckDb(Peer):
    """DuckDB: a transaction a call, one after the other, with the Appender."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lock = threading.Lock()
        self.connection = duckdb.connect(str(folder / "jobs.duckdb"))
        schema.migrate(self.connection)

    def land(self, records: Sequence[JobRecord]) -> None:
        parts = [store_rows.rows(given) for given in records]
        with self.lock, schema.transaction(self.connection):
            for table in TABLES:
                rows = [row for part in parts for row in part[table]]
                columns = list(rows[0])
                with self.connection.appender(table, columns=columns) as appender:
                    appender.append_rows(tuple(row.values()) for row in rows)

    def count(self) -> int:
        with self.lock:
            return int(self.connection.execute("SELECT count(*) FROM jobs").fetchall()[0][0])

    def close(self) -> None:
        self.connection.close()


PEERS: dict[str, type[Peer]] = {
    "trace store": Ours,
    "SQLite WAL, synchronous=full": Sqlite,
    (SLOWEST := "DuckDB, a commit each"): DuckDb,
}


# -- measuring, in a child ------------------------------------------------------------------------


def land(folder: Path, name: str, writers: int, jobs: int) -> dict[str, Any]:
    """Let some writers land one job after the other, each waiting for its answer."""
    records = [record(number, "w") for number in range(jobs)]
    return _run(name, folder, records, lambda peer: _written(peer, records, writers))


def batches(folder: Path, name: str, jobs: int) -> dict[str, Any]:
    """Land the same in batches."""
    records = [record(number, "w") for number in range(jobs)]
    parts = [records[start : start + BATCH] for start in range(0, jobs, BATCH)]
    return _run(name, folder, records, lambda peer: [_timed(peer.land, part) for part in parts])


def library(folder: Path, traces: int) -> dict[str, Any]:
    """Put entries into the library, a hundred at once, as `crp traces import` does."""
    entries = [trace(number) for number in range(traces)]
    with TraceStore.open(folder / "store") as store:
        began, cpu = time.perf_counter(), time.process_time()
        for start in range(0, traces, BATCH):
            store.desk.add_all(entries[start : start + BATCH])
        told = time.perf_counter() - began
        assert store.trace_count == traces
        return _figures(traces, told, began, cpu, [])


def rebuild(folder: Path, jobs: int) -> dict[str, Any]:
    """Make the tables again from a journal."""
    with TraceStore.open(folder / "store") as store:
        store.record_all([record(number, "w") for number in range(jobs)])
    began, cpu = time.perf_counter(), time.process_time()
    assert rebuilding.rebuild(folder / "store") == jobs
    return _figures(jobs, time.perf_counter() - began, began, cpu, [])


def _run(
    name: str, folder: Path, records: list[JobRecord], work: Callable[[Peer], list[float]]
) -> dict[str, Any]:
    peer = PEERS[name](folder)
    peer.land([record(number, "warm") for number in range(WARM)])
    peer.count()
    gc.collect()
    gc.freeze()  # what the bench holds is no work of theirs
    began, cpu = time.perf_counter(), time.process_time()
    waits = work(peer)
    told = time.perf_counter() - began
    assert peer.count() == len(records) + WARM
    figures = _figures(len(records), told, began, cpu, waits)
    peer.close()
    return figures


def _written(peer: Peer, records: list[JobRecord], writers: int) -> list[float]:
    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(lambda given: _timed(peer.land, [given]), records))


def _figures(
    jobs: int, told: float, began: float, cpu: float, waits: list[float]
) -> dict[str, Any]:
    return {
        "jobs": jobs,
        "acknowledged": jobs / told,
        "readable": jobs / (time.perf_counter() - began),
        "per_cpu": jobs / (time.process_time() - cpu),
        "waits": waits,
    }


def _timed(work: Callable[[Sequence[JobRecord]], None], given: Sequence[JobRecord]) -> float:
    began = time.perf_counter()
    work(given)
    return time.perf_counter() - began


# -- values ---------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, list) else value
