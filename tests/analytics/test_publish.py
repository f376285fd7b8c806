"""The published snapshot: whole at every moment, and without texts unless they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crp.errors import StoreError, UsageError
from crp.models import Attempt, Event, Plan, Score, StepRecord, TemplateSource, Verdict
from crp_analytics.publish import FILE, PUBLIC, REDUCED, Published
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, TEMPLATE, attempts, record, result, trace

CANARY = "zebrafinch"
"""A word of the user's; it stands wherever a job can hold words."""


@pytest.fixture
def filled(directory: Path) -> Iterator[TraceStore]:
    """A store with two jobs, one of which found an example."""
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        store.retrieve("j2", "compare React", **RETRIEVE)
        store.record(record("j2", task="compare React"))
        yield store


def rows(file: str | Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(query).fetchall()


def talkative(job_id: str) -> Any:
    """A record that says the word in every text that comes from people or models."""
    step = StepRecord(
        id=f"profile/{CANARY}", step="profile", item=CANARY, title=f"Profile {CANARY}",
        status="failed", reason=CANARY, output=CANARY, value={"x": CANARY},
        needs=(f"before/{CANARY}",),
    )  # fmt: skip
    verdict = Verdict(check="covers: items", score=0, passed=False, hint=CANARY, detail=CANARY)
    failure = {"at": "2026-03-01T12:00:00Z", "kind": "RateLimited", "message": CANARY}
    attempt = attempts()[1].model_dump() | {
        "step": step.id, "output": CANARY * 600, "error": CANARY, "dropped": (CANARY,),
        "verdicts": (verdict,), "transport": (failure,),
    }  # fmt: skip
    return record(
        job_id,
        task=f"compare {CANARY} and Vue",
        result=result(
            job_id, answer=CANARY, error=CANARY, notes=(CANARY,), plan=Plan(), steps=(step,),
            scores=(Score(candidate="joined", value=0.9, parts=(verdict,)),),
        ),
        attempts=(Attempt.model_validate(attempt),),
        events=(Event(sequence=0, at=attempt["started_at"], kind="x", step=step.id,
                      body={"text": CANARY}),),
        trace=trace(CANARY, trace_id=f"trace-{job_id}"),
        template_source=TemplateSource(**{**TEMPLATE.model_dump(), "text": CANARY}),
        blobs={"a" * 64: CANARY},
    )  # fmt: skip


def everything(file: str) -> str:
    """All that a database says, and its bytes."""
    tables = rows(file, "SELECT table_name FROM duckdb_tables()")
    told = [str(rows(file, f'SELECT * FROM "{name}"')) for (name,) in tables]
    return "\n".join(told) + Path(file).read_bytes().decode("latin-1")


# -- what is in it ----------------------------------------------------------------------------


def test_it_has_all_tables_rows_and_views(filled: TraceStore, tmp_path: Path) -> None:
    done = filled.publish(tmp_path / "out", with_texts=True)
    assert Path(done.file) == tmp_path / "out" / FILE
    assert done.bytes == Path(done.file).stat().st_size
    there = "SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
    assert list(done.tables) == [row[0] for row in filled.sql(there).rows]
    for table, count in done.tables.items():
        both = f"SELECT count(*), bit_xor(hash(t)) FROM {table} AS t"
        assert rows(done.file, both) == [tuple(row) for row in filled.sql(both).rows]
        assert rows(done.file, both)[0][0] == count
    views = filled.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").rows
    assert views
    for (view,) in views:
        ordered = f"SELECT * FROM {view} ORDER BY ALL"
        assert len(rows(done.file, ordered)) == len(filled.sql(ordered).rows)


def test_it_is_in_the_format_of_duckdb_1_4(filled: TraceStore, tmp_path: Path) -> None:
    file = filled.publish(tmp_path).file
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{file}' AS it (READ_ONLY)")
        query = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'it'"
        assert str(connection.execute(query).fetchall()[0][0]).startswith("v1.4.0")


def test_what_was_recorded_before_is_in_it(filled: TraceStore, tmp_path: Path) -> None:
    for number in (3, 4):
        filled.record(record(f"j{number}"))
        file = filled.publish(tmp_path).file
        assert rows(file, "SELECT count(*) FROM jobs") == [(number,)]


def test_the_store_can_be_written_while_it_is_published(
    filled: TraceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = threading.Event(), threading.Event()

    def slow(*args: Any) -> Any:
        began.set()
        assert may_end.wait(30)
        return original(*args)

    from crp_analytics import publish

    original = publish._fill
    monkeypatch.setattr(publish, "_fill", slow)
    files: list[Published] = []
    thread = threading.Thread(target=lambda: files.append(filled.publish(tmp_path / "out")))
    thread.start()
    assert began.wait(30)
    filled.record(record("j3"))
    may_end.set()
    thread.join(30)
    assert rows(files[0].file, "SELECT count(*) FROM jobs") == [(2,)]
    assert filled.sql("SELECT count(*) FROM jobs").rows == ((3,),)


def test_a_reader_keeps_the_old_snapshot_and_a_failure_leaves_it(
    filled: TraceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled.publish(tmp_path).file
    before = Path(file).read_bytes()
    monkeypatch.setattr("crp_analytics.publish.PUBLIC", None)
    with pytest.raises(TypeError):
        filled.publish(tmp_path)
    assert Path(file).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name != "store"] == [FILE]


def test_the_stores_own_folder_is_refused(filled: TraceStore, directory: Path) -> None:
    with pytest.raises(UsageError, match="publish somewhere else"):
        filled.publish(directory / "snapshots" / ".." / "x")


def test_a_folder_that_can_not_be_written_is_one_line(filled: TraceStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can not publish to") as error:
        filled.publish(tmp_path / "file" / "x")
    assert len(str(error.value).splitlines()) == 1


# -- texts ------------------------------------------------------------------------------------


def test_it_holds_no_word_of_a_person_or_a_model(directory: Path, tmp_path: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(talkative("j1"))
        store.score("j1", 0.5, "Ann", CANARY)
        with_texts = store.publish(tmp_path / "with", with_texts=True, parquet=True)
        without = store.publish(tmp_path / "without", parquet=True)
    assert CANARY in everything(with_texts.file)
    assert CANARY not in everything(without.file)
    for file in without.parquet:
        assert CANARY not in str(_parquet(file))


def _parquet(file: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"FROM '{file}'").fetchall()


def test_every_column_with_texts_is_public_reduced_or_empty(
    filled: TraceStore, tmp_path: Path
) -> None:
    done = filled.publish(tmp_path)
    assert {"jobs.task", "jobs.answer", "blobs.body", "events.body"} <= set(done.emptied)
    assert {"jobs.stored_reason", "traces.status_reason", "trace_moves.why"} <= set(done.emptied)
    assert set(done.reduced) == set(REDUCED)
    for full in done.emptied:
        table, column = full.split(".")
        assert rows(done.file, f'SELECT count("{column}") FROM {table}') == [(0,)], full
        query = f"SELECT comment FROM duckdb_columns() WHERE column_name = '{column}'"
        assert "(emptied: published without texts)" in str(rows(done.file, query))


def test_every_name_that_may_leave_is_the_name_of_a_column(filled: TraceStore) -> None:
    query = "SELECT table_name || '.' || column_name, column_name FROM duckdb_columns()"
    there = {name for row in filled.sql(query, row_cap=9999).rows for name in row}
    assert there >= PUBLIC | set(REDUCED)


def test_steps_without_their_items_can_still_be_joined(directory: Path, tmp_path: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(talkative("j1"))
        file = store.publish(tmp_path).file
    joined = "SELECT DISTINCT step_id FROM steps JOIN attempts USING (job_id, step_id)"
    (step,) = rows(file, joined)[0]
    assert step.startswith("profile/")
    assert len(step) == len("profile/") + 8
    assert rows(file, "SELECT step FROM events") == [(step,)]
    assert rows(file, "SELECT n FROM v_errors WHERE error_type = 'RateLimited'") == [(1,)]


# -- Parquet ----------------------------------------------------------------------------------


def test_parquet_has_a_file_for_each_table(filled: TraceStore, tmp_path: Path) -> None:
    done = filled.publish(tmp_path, parquet=True)
    assert sorted(done.parquet) == sorted(map(str, (tmp_path / "parquet").iterdir()))
    assert [Path(file).stem for file in done.parquet] == list(done.tables)
    for file in done.parquet:
        assert len(_parquet(file)) == done.tables[Path(file).stem]


def test_parquet_is_replaced_and_what_else_lies_there_stays(
    filled: TraceStore, tmp_path: Path
) -> None:
    (tmp_path / "parquet").mkdir()
    (tmp_path / "parquet" / "mine.parquet").write_text("mine")
    filled.publish(tmp_path, parquet=True)
    filled.record(record("j3"))
    filled.publish(tmp_path, parquet=True)
    assert len(_parquet(str(tmp_path / "parquet" / "jobs.parquet"))) == 3
    assert (tmp_path / "parquet" / "mine.parquet").read_text() == "mine"
