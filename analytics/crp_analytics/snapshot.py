"""Consistent copies of the store, for whoever must not hold its file.

Stored: `copy-N.duckdb` in a folder of its own, N being the last journal entry that it contains.
What must stay true: a copy is whole (written under another name, then renamed) and is not removed
while somebody reads it. As long as nothing was recorded, one copy serves everybody.

A store on disk is copied as a file, which takes as long as the disk does; DuckDB's own way (for a
store in memory, and where a file that is in use can not be read) takes much longer on big stores.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from duckdb import DuckDBPyConnection

Using = Callable[[Callable[[DuckDBPyConnection, int], Path]], Path]
"""Runs a function with the store's connection and position, while nothing else uses it."""


class Snapshots:
    """Copies of one store, made when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: Counter[Path] = Counter()
        self._stale: set[Path] = set()
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()

    @contextmanager
    def lease(self, use: Using) -> Iterator[Path]:
        """Give a copy with everything recorded up to now, for as long as the block runs."""
        path = use(self._current)
        try:
            yield path
        finally:
            with self._lock:
                self._readers[path] -= 1
                if path in self._stale and self._readers[path] == 0:
                    path.unlink()
                    self._stale.remove(path)

    def clear(self) -> None:
        """Remove every copy; one that is being read goes with its last reader."""
        with self._lock:
            self._remove_unread()
            for half in self._folder.glob("*.unfinished"):  # nobody writes one: that has the lock
                half.unlink()
            self._stale |= set(self._folder.glob("copy-*.duckdb"))

    def _current(self, connection: DuckDBPyConnection, position: int) -> Path:
        path = self._folder / f"copy-{position}.duckdb"
        with self._lock:
            if not path.exists():
                self._remove_unread()
                copy_to(connection, path)
            self._readers[path] += 1
        return path

    def _remove_unread(self) -> None:
        for path in self._folder.glob("copy-*.duckdb"):
            if self._readers[path] == 0:
                path.unlink()


def copy_to(connection: DuckDBPyConnection, path: Path) -> None:
    """Write everything that the connection's database holds into a new database file."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    if not _copy_file(connection, unfinished):
        unfinished.unlink(missing_ok=True)
        _copy_rows(connection, unfinished)
    unfinished.rename(path)


def _copy_file(connection: DuckDBPyConnection, target: Path) -> bool:
    """Copy the checkpointed file, in a child: a file that this process closes loses its lock."""
    query = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    source = connection.execute(query).fetchall()[0][0]
    if not source:
        return False
    connection.execute("CHECKPOINT")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", COPY, source, str(target)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _copy_rows(connection: DuckDBPyConnection, target: Path) -> None:
    source = connection.execute("SELECT current_database()").fetchall()[0][0]
    quoted = str(target).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS copied")
    try:
        connection.execute(f'COPY FROM DATABASE "{source}" TO copied')
    finally:
        connection.execute("DETACH copied")


COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"
