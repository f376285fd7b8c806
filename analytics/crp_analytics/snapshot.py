"""Consistent copies of the store, for whoever must not hold its file.

Stored: `copy-N.duckdb` in a folder of its own, N being the last journal entry that it contains.
What must stay true: a copy is whole (written under another name, then renamed) and is not removed
while somebody reads it. As long as nothing was recorded, one copy serves everybody.
"""

from __future__ import annotations

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
    source = connection.execute("SELECT current_database()").fetchall()[0][0]
    target = str(unfinished).replace("'", "''")
    connection.execute(f"ATTACH '{target}' AS copied")
    try:
        connection.execute(f'COPY FROM DATABASE "{source}" TO copied')
    finally:
        connection.execute("DETACH copied")
    unfinished.rename(path)
