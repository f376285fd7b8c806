"""Stores for the tests, closed when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crp_analytics.store import TraceStore


@pytest.fixture
def store() -> Iterator[TraceStore]:
    """An empty store in memory."""
    with TraceStore.in_memory() as opened:
        yield opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a store on disk lies."""
    return tmp_path / "store"


@pytest.fixture
def dump() -> Callable[[TraceStore], dict[str, list[str]]]:
    """Read every table of a store, row by row, but for when a migration ran."""

    def read(store: TraceStore) -> dict[str, list[str]]:
        with store._used() as connection:
            names = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            return {
                name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}").fetchall()))
                for (name,) in names
                if name != "schema_migrations"
            }

    return read
