"""Migrations: applied once, backed up, never from the future; columns and rows agree."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from crp.errors import StoreError, StoreTooNew
from crp_analytics import schema, skipping
from crp_analytics.facts import (
    CurationFact,
    ForgottenFact,
    JobFact,
    Move,
    MoveFact,
    Noted,
    Offer,
    Retired,
    RetrievalFact,
    ScoreFact,
)
from crp_analytics.rows import every_row_of
from crp_analytics.schema import Migration, migrations
from crp_analytics.store import TraceStore
from tests.analytics.samples import START, record

FACTS = [
    JobFact(record=record("j1"), stored=True),
    ScoreFact(job_id="j1", value=0.5, by="anna"),
    RetrievalFact(job_id="j1", offers=(Offer(trace_id="t", rank=1, overlap=1, similarity=0.5),)),
    CurationFact(
        considered=1,
        min_quality=0.7,
        grace_jobs=1,
        max_traces=1,
        retired=(Retired(trace_id="t", reason="unused"),),
    ),
    MoveFact(cause="restore", moves=(Move(trace_id="t", status="active", why="it was good"),)),
    ForgottenFact(rows=skipping.rows_of(Noted(1, START, JobFact(record=record("j1"))), "why")),
]
SET_LATER = {"traces": {"held"}}
"""Columns that are empty until something happens to the row."""


def test_every_column_of_every_table_is_filled_by_the_mapping(store: TraceStore) -> None:
    with store._used() as connection:
        found = connection.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() JOIN duckdb_tables()"
            " USING (table_name) WHERE table_name NOT IN ('schema_migrations', 'journal_position')"
            " GROUP BY ALL"
        ).fetchall()
    wanted = {table: set(columns) for table, columns in found}
    given: dict[str, set[str]] = {}
    for fact in FACTS:
        for table, rows in every_row_of(Noted(1, START, fact)).items():
            for row in rows:
                assert given.setdefault(table, set(row)) == set(row)
    assert given == {table: names - SET_LATER.get(table, set()) for table, names in wanted.items()}


def test_applied_migrations_are_on_record(store: TraceStore) -> None:
    with store._used() as connection:
        found = connection.execute("SELECT version, sha256 FROM schema_migrations").fetchall()
    assert found == [(m.version, m.sha256) for m in migrations()]


def test_a_store_of_a_newer_version_is_refused_and_left_alone(directory: Path) -> None:
    TraceStore.open(directory).close()
    with duckdb.connect(str(directory / "traces.duckdb")) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (999, 'later', 'x', now())")
    content = (directory / "traces.duckdb").read_bytes()
    with pytest.raises(StoreTooNew, match=r"schema 999.*update crp"):
        TraceStore.open(directory)
    assert (directory / "traces.duckdb").read_bytes() == content


def test_a_journal_of_a_newer_version_is_refused(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        assert store._journal is not None
        store._journal.append([("dream", "{}")])
    with pytest.raises(StoreTooNew, match=r"'dream'.*newer version"):
        TraceStore.open(directory)


def test_a_new_migration_is_applied_after_a_backup(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
    text = "-- One row: a test.\nCREATE TABLE extra (\n    x INTEGER  -- anything\n);\n"
    more = [*migrations(), Migration(900, "0900_extra", text)]
    monkeypatch.setattr(schema, "migrations", lambda: more)
    with TraceStore.open(directory) as store:
        assert len(store.jobs()) == 1
        assert store.sql("SELECT count(*) FROM extra").rows == ((0,),)
    (backup,) = (directory / "backups").iterdir()
    with duckdb.connect(str(backup), read_only=True) as old:
        assert old.execute("SELECT job_id FROM jobs").fetchall() == [("j1",)]


def test_a_migration_that_fails_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TraceStore.open(directory).close()
    bad = Migration(900, "0900_bad", "CREATE TABLE half (x INTEGER); SELECT nonsense;")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: [*migrations(), bad])
        with pytest.raises(StoreError, match="nonsense"):
            TraceStore.open(directory)
    with TraceStore.open(directory) as store:
        tables = store.sql("SELECT table_name FROM duckdb_tables()").rows
        assert ("half",) not in tables


def test_a_migration_that_was_changed_afterwards_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TraceStore.open(directory).close()
    changed = [m._replace(text=m.text + "-- changed") for m in migrations()]
    monkeypatch.setattr(schema, "migrations", lambda: changed)
    with pytest.raises(StoreError, match="0001_tables is not the one that made this store"):
        TraceStore.open(directory)
