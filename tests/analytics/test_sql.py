"""An analyst's SQL: every table and view can be read, nothing else can be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crp.errors import QueryError
from crp_analytics.sql import _environment, run
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    with TraceStore.open(tmp_path_factory.mktemp("store")) as store:
        store.record(record("j1"))
        store.retrieve("j2", "compare React", **RETRIEVE)
        store.record(record("j2", task="compare React"))
        yield store


VIEWS = [
    "v_job_quality",
    "v_quality_by_template",
    "v_orc_lift",
    "v_retries",
    "v_tokens_and_cost",
    "v_gate",
    "v_slow_steps",
    "v_few_shot_effect",
    "v_usage_count",
    "v_trace_usage",
    "v_errors",
    "v_curation",
    "v_daily",
]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers_and_its_example_runs(filled: TraceStore, view: str) -> None:
    query = f"SELECT comment FROM duckdb_views() WHERE view_name = '{view}'"
    comment = filled.sql(query).rows[0][0]
    assert isinstance(comment, str)
    assert comment.splitlines()[0].endswith("?"), "it opens with the question that it answers"
    example = comment.split("Example: ")[1]
    assert view in example
    assert filled.sql(example).columns


def test_every_table_and_column_says_what_it_is(filled: TraceStore) -> None:
    mute = filled.sql(
        "SELECT table_name, column_name FROM duckdb_columns() AS c"
        " JOIN duckdb_tables() AS t USING (table_name)"
        " WHERE (c.comment IS NULL OR t.comment IS NULL) AND table_name <> 'schema_migrations'"
    )
    assert mute.rows == ()


def test_values_of_all_kinds_come_as_json(filled: TraceStore) -> None:
    table = filled.sql(
        "SELECT 1::HUGEINT AS i, DATE '2026-01-02' AS d, 'ab'::BLOB AS b, [1, NULL] AS l,"
        " {'k': TIMESTAMP '2026-01-02 03:04:05'} AS s, 'NaN'::DOUBLE AS f, 1.50::DECIMAL(4,2) AS m,"
        " MAP {1: 'x'} AS p, INTERVAL 2 SECOND AS v, NULL AS n"
    )
    assert table.rows == (
        (1, "2026-01-02", "6162", [1, None], {"k": "2026-01-02T03:04:05"}, "nan", "1.50",
         {"1": "x"}, 2.0, None),
    )  # fmt: skip
    assert table.types[:3] == ("HUGEINT", "DATE", "BLOB")


def test_times_with_a_zone_are_utc(filled: TraceStore) -> None:
    table = filled.sql("SELECT TIMESTAMPTZ '2026-01-02 03:00:00+02', now() IS NOT NULL, [now()]")
    assert table.rows[0][:2] == ("2026-01-02T01:00:00+00:00", True)
    assert "+00:00" in str(table.rows[0][2])


def test_rows_over_the_cap_are_cut_and_said(filled: TraceStore) -> None:
    table = filled.sql("FROM range(5000)", row_cap=10)
    assert (len(table.rows), table.truncated) == (10, True)
    exact = filled.sql("FROM range(10)", row_cap=10)
    assert (len(exact.rows), exact.truncated) == (10, False)


def test_a_query_sees_everything_recorded_before_it(store: TraceStore) -> None:
    for number in range(3):
        store.record(record(f"j{number}"))
        assert store.sql("SELECT count(*) FROM jobs").rows == ((number + 1,),)


def test_copies_are_reused_while_nothing_changes(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(store.sql, ["SELECT count(*) FROM jobs"] * 3))
        assert [a.rows for a in answers] == [((1,),)] * 3
        assert [p.name for p in (directory / "snapshots").iterdir()] == ["copy-1.duckdb"]
        store.record(record("j2"))
        store.sql("SELECT 1")
        assert [p.name for p in (directory / "snapshots").iterdir()] == ["copy-2.duckdb"]


def test_a_copy_of_a_store_on_disk_leaves_its_owner_the_lock(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        assert store.sql("SELECT count(*) FROM jobs").rows == ((1,),)
        code = f"import duckdb; duckdb.connect({str(directory / 'traces.duckdb')!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert b"lock" in other.stderr.lower()


def test_where_the_file_can_not_be_copied_its_rows_are(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crp_analytics.snapshot.COPY", "raise SystemExit(1)")
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        assert store.sql("SELECT count(*) FROM v_daily").rows == ((1,),)


def test_pivot_describe_and_explain_are_queries_too(filled: TraceStore) -> None:
    for query in ("PIVOT steps ON status USING count(*)", "DESCRIBE jobs", "EXPLAIN FROM jobs"):
        assert filled.sql(query).rows


# -- what is refused -------------------------------------------------------------------------


def test_the_owners_environment_does_not_reach_the_child(
    filled: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    assert "do-not-tell" not in _environment().values()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "do-not-tell"


def test_a_syntax_error_is_duckdbs_own_first_line(filled: TraceStore) -> None:
    with pytest.raises(QueryError, match=r'^Parser Error: syntax error at or near "jobs"$'):
        filled.sql("SELECT * FORM jobs")


def test_an_unknown_column_is_duckdbs_own_first_line(filled: TraceStore) -> None:
    with pytest.raises(QueryError, match=r"^Binder Error: .*nonsense"):
        filled.sql("SELECT nonsense FROM jobs")


def test_a_query_that_takes_too_long_is_stopped(filled: TraceStore) -> None:
    with pytest.raises(QueryError, match=r"^the query took longer than 0.5 s and was stopped$"):
        filled.sql("SELECT sum(sin(i)) FROM range(1000000000000) t(i)", seconds=0.5)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT len(range(2000000000))",
        "SELECT repeat('x', 1000000000) || repeat('y', 1000000000)",
        "SELECT list(i) FROM range(1000000000) t(i)",
    ],
)
def test_a_query_that_needs_too_much_memory_is_stopped(filled: TraceStore, query: str) -> None:
    with pytest.raises(QueryError, match=r"^the query needs more than 512 MB of memory$"):
        filled.sql(query, memory_mb=512)


@pytest.mark.skipif(sys.platform != "linux", reason="counts in kB only on Linux")
def test_one_big_value_never_fills_the_memory(filled: TraceStore) -> None:
    """DuckDB's own limit lets this one take 16 GB."""
    code = """
import resource, sys
from pathlib import Path
from crp.errors import QueryError
from crp_analytics.sql import run
try:
    run(Path(sys.argv[1]), "SELECT len(range(2000000000))", 1, 30, 512)
except QueryError as error:
    assert "more than 512 MB" in str(error), error
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
    with filled.copy() as database:
        done = subprocess.run(
            [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True
        )
    assert 0 < int(done.stdout) < 1024, "MB of the child at its largest"


def test_a_crash_of_duckdb_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("crp_analytics.sql.CHILD", (sys.executable, "-c", crash))
    with pytest.raises(QueryError, match=r"^the query made DuckDB crash \(signal 11\)$"):
        run(tmp_path / "none", "SELECT 1", 1, 5, 100)


def test_a_result_that_is_too_large_is_refused(filled: TraceStore) -> None:
    with pytest.raises(QueryError, match=r"^the result is larger than 32 MB: select less$"):
        filled.sql("SELECT repeat('x', 40000000)")
