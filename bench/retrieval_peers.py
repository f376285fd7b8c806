"""The ways to find similar traces that `bench retrieval` compares, each in a process of its own.

A peer is built from the library, asked, added to, closed and opened again. `measure` runs in the
child: CPU of the whole process, and the memory by which it grew.
"""

from __future__ import annotations

import gc
import heapq
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import psutil

from bench.library_corpus import Task, Trace, read
from crp_analytics import index_file, schema
from crp_analytics.index import Index
from crp_analytics.retrieval import Ranking, Request, rank, rank_by_sql
from crp_analytics.words import words

BEST = 3
LEAST = 0.7
BATCH = 20_000


class Peer(ABC):
    """One way. Traces are told by their numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def build(self, library: Iterable[Trace]) -> None: ...

    @abstractmethod
    def ask(self, task: Task) -> list[int]: ...

    def add(self, trace: Trace) -> None:  # noqa: B027  # most keep nothing beside the whole
        """Put one more in, as durable as the whole."""

    def save(self) -> None:  # noqa: B027
        """Write what is not yet on disk."""

    def load(self) -> None:  # noqa: B027
        """Open what `save` left, ready to be asked."""


class InMemory(Peer):
    """The index alone."""

    def build(self, library: Iterable[Trace]) -> None:
        self.index = Index()
        for trace in library:
            self.add(trace)

    def add(self, trace: Trace) -> None:
        number, kind, its_class, quality, created, text = trace
        self.index.add(number, kind, its_class, text, quality, created)

    def ask(self, task: Task) -> list[int]:
        found = self.index.search(words(task.text), task.task_type, task.model_class, LEAST, BEST)
        return [hit.sequence for hit in found.hits][:BEST]

    def save(self) -> None:
        index_file.write(self.index, self.folder / index_file.NAME, [0, 0])
        del self.index

    def load(self) -> None:
        self.index, _ = index_file.read(self.folder / index_file.NAME)


class NewType(InMemory):
    """The same when the library has nothing of the task's type: all of it is searched."""

    def ask(self, task: Task) -> list[int]:
        return super().ask(task._replace(task_type="new"))


class Sql(Peer):
    """The tables of the store, ranked by SQL."""

    def build(self, library: Iterable[Trace]) -> None:
        self.load()
        schema.migrate(self.connection)
        traces = iter(library)
        while batch := list(islice(traces, BATCH)):
            self._append(batch)
        self.connection.execute(MOVE)
        self.connection.execute("CHECKPOINT")

    def ask(self, task: Task) -> list[int]:
        return self._numbers(rank_by_sql(self.connection, _request(task)))

    def add(self, trace: Trace) -> None:
        self._append([trace])

    def save(self) -> None:
        self.connection.close()

    def load(self) -> None:
        self.connection = duckdb.connect(str(self.folder / "traces.duckdb"))

    def _numbers(self, found: Ranking) -> list[int]:
        return [int(place.trace_id) for place in found.places]

    def _append(self, batch: Sequence[Trace]) -> None:
        known = [words(t.text) for t in batch]
        with self.connection.appender("traces", columns=COLUMNS) as traces:
            for trace, its in zip(batch, known, strict=True):
                traces.append_row(
                    *(str(trace.number), trace.number, trace.task_type, trace.text, "[]"),
                    *(trace.model_class, trace.quality, trace.created, len(its), "active"),
                    trace.number,
                )
        with self.connection.appender("trace_words", columns=["word", "journal_sequence"]) as all_:
            for trace, its in zip(batch, known, strict=True):
                all_.append_rows((word, trace.number) for word in its)


class InStore(Sql):
    """The index with the tables, as the store uses it: they give the ids."""

    def build(self, library: Iterable[Trace]) -> None:
        super().build(library)
        self.index = Index()
        self.index.follow(self.connection)

    def ask(self, task: Task) -> list[int]:
        return self._numbers(rank(self.connection, self.index, _request(task)))

    def save(self) -> None:
        index_file.write(self.index, self.folder / index_file.NAME, [0, 0])
        super().save()

    def load(self) -> None:
        super().load()
        path = self.folder / index_file.NAME
        if path.exists():
            self.index, _ = index_file.read(path)


class Fts5(Peer):
    """SQLite's full-text index, best by BM25, in the same task type."""

    def build(self, library: Iterable[Trace]) -> None:
        self.load()
        self.connection.execute("CREATE VIRTUAL TABLE t USING fts5(text, kind UNINDEXED)")
        rows = ((t.number, t.text, t.task_type) for t in library)
        self.connection.executemany(INSERT, rows)
        self.connection.commit()

    def ask(self, task: Task) -> list[int]:
        query = " OR ".join(f'"{word}"' for word in words(task.text))
        return [row[0] for row in self.connection.execute(MATCH, [query, task.task_type])]

    def add(self, trace: Trace) -> None:
        self.connection.execute(INSERT, [trace.number, trace.text, trace.task_type])
        self.connection.commit()

    def save(self) -> None:
        self.connection.close()

    def load(self) -> None:
        self.connection = sqlite3.connect(self.folder / "fts.sqlite")


class Loop(Peer):
    """Every trace's words in a set, and a loop: the brute force that the others are held to."""

    def build(self, library: Iterable[Trace]) -> None:
        self.known: list[tuple[Trace, frozenset[str]]] = []
        for trace in library:
            self.add(trace)

    def add(self, trace: Trace) -> None:
        self.known.append((trace._replace(text=""), words(trace.text)))

    def ask(self, task: Task) -> list[int]:
        wanted = words(task.text)
        keys = (_key(task, wanted, *known) for known in self.known)
        return [key[-1] for key in heapq.nsmallest(BEST, (key for key in keys if key))]


def _key(task: Task, wanted: frozenset[str], trace: Trace, its: frozenset[str]) -> Any:
    shared = len(wanted & its)
    whole = len(wanted) + len(its) - shared
    if not shared or 9 * shared < whole or trace.quality < LEAST:
        return None
    return (
        *(trace.task_type != task.task_type, trace.model_class != task.model_class),
        *(-shared, whole, -trace.quality, -trace.created, trace.number),
    )


def _request(task: Task) -> Request:
    return Request("", task.text, task.task_type, task.model_class, "", "", BEST, LEAST, 0.0)


PEERS: dict[str, type[Peer]] = {
    "index": InMemory,
    "index, new task type": NewType,
    "index in the store": InStore,
    "DuckDB SQL": Sql,
    "SQLite FTS5": Fts5,
    "Python loop": Loop,
}


def measure(
    name: str, folder: Path, library: Path, more: list[Trace], tasks: list[Task], warm: int
) -> dict[str, Any]:
    """Measure one way, in this process: build it from the library's file, ask, add more.

    The first `warm` tasks are asked and not counted.
    """
    before = _memory()
    peer = PEERS[name](folder)
    build, _ = _timed(partial(peer.build, read(library)))
    grown = _memory() - before
    save, _ = _timed(peer.save)
    has_file = any(folder.iterdir())
    load = _timed(peer.load)[0] if has_file else None
    for task in tasks[:warm]:
        peer.ask(task)
    answers = [_timed(partial(peer.ask, task)) for task in tasks[warm:]]
    asked = _memory() - before
    added = [_timed(partial(peer.add, trace))[0] for trace in more]
    return {
        "name": name,
        "build": build,
        "save": save,
        "load": load,
        "disk": sum(path.stat().st_size for path in folder.iterdir()),
        "memory": grown,
        "memory_asked": asked,
        "ask": [seconds for seconds, _ in answers],
        "add": added,
        "best": [found for _, found in answers],
        "origins": [task.origin for task in tasks[warm:]],
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def _memory() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


COLUMNS = [
    *("trace_id", "journal_sequence", "task_type", "task_summary", "steps", "model_class"),
    *("quality_score", "created_unix", "word_count", "status", "changed_sequence"),
]
MOVE = "UPDATE journal_position SET sequence = (SELECT max(journal_sequence) FROM traces)"
INSERT = "INSERT INTO t(rowid, text, kind) VALUES (?, ?, ?)"
MATCH = f"SELECT rowid FROM t WHERE t MATCH ? AND kind = ? ORDER BY rank LIMIT {BEST}"
