"""An analyst's query reaches nothing but its copy of the store, whatever it tries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crp.errors import QueryError
from crp_analytics.sql import _environment
from crp_analytics.store import TraceStore
from tests.analytics.samples import record


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    with TraceStore.open(tmp_path_factory.mktemp("store")) as store:
        store.record(record("j1"))
        store.record(record("j2"))
        yield store


FILES = r"file system operations are disabled by configuration"
EXTENSION = r"but it exists in the \w+ extension|does not exist"
LOCKED = r"the configuration has been locked"
READ_ONLY = r"attached in read-only mode"
PARSER = r"Parser Error"
ONE = r"one query at a time|Expected a single SELECT"


def statement(kind: str) -> str:
    return f"^{kind} is refused: only queries run here"


ESCAPES = [
    # read files, of all kinds and by all names
    ("FROM read_csv('/etc/passwd')", FILES),
    ("FROM '/etc/passwd'", "does not exist"),
    ("FROM '{data}'", FILES),
    ("FROM read_text('/etc/passwd')", FILES),
    ("FROM read_blob('/proc/self/environ')", FILES),
    ("FROM read_blob('/proc/self/mem')", FILES),
    ("FROM read_text('/dev/stdin')", FILES),
    ("FROM read_json('/etc/passwd')", FILES),
    ("FROM read_ndjson_objects('/etc/passwd')", FILES),
    ("FROM read_parquet('/etc/passwd')", FILES),
    ("FROM parquet_metadata('/etc/passwd')", FILES),
    ("FROM parquet_kv_metadata('/etc/passwd')", FILES),
    ("FROM read_duckdb('{data}')", FILES),
    ("FROM sniff_csv('/etc/passwd')", FILES),
    ("FROM glob('/etc/*')", FILES),
    ("FROM jobs WHERE EXISTS (FROM read_text('/etc/passwd'))", FILES),
    ("EXPLAIN ANALYZE FROM read_text('/etc/passwd')", FILES),
    ("COPY jobs FROM '/etc/passwd'", statement("COPY")),
    ("IMPORT DATABASE '/etc'", statement("PRAGMA")),
    (".read /etc/passwd", PARSER),
    # by a way around
    ("FROM query_table('/etc/passwd')", "does not exist"),
    ("FROM query('FROM read_text(''/etc/passwd'')')", FILES),
    ("FROM query('COPY (SELECT 1) TO ''{out}''')", ONE),
    ("FROM query('SELECT 1; DROP TABLE jobs')", ONE),
    ("FROM json_execute_serialized_sql(json_serialize_sql('FROM glob(''/*'')'))", FILES),
    ("FROM request", "does not exist"),
    ("FROM connection", "does not exist"),
    ("SELECT getenv('PATH')", "does not exist"),
    # write files
    ("COPY (SELECT 1) TO '{out}'", statement("COPY")),
    ("COPY (PIVOT steps ON status USING count(*)) TO '{out}'", FILES),
    ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'", FILES),
    ("EXPORT DATABASE '{out}'", statement("EXPORT")),
    ("COPY FROM DATABASE a TO b", statement("PRAGMA")),
    ("ATTACH '{out}' AS other", statement("ATTACH")),
    ("ATTACH ':memory:' AS other", statement("ATTACH")),
    ("FROM enable_logging('QueryLog', storage_path = '{out}')", LOCKED),
    ("CALL enable_logging('QueryLog')", statement("CALL")),
    ("FROM enable_profiling(format = 'json', save_location = '{out}')", LOCKED),
    ("PRAGMA profiling_output = '{out}'", statement("SET")),
    ("SET log_query_path = '{out}'", statement("SET")),
    ("SET temp_directory = '{out}'", statement("SET")),
    # reach the network or another program
    ("FROM 'https://localhost:1/x.csv'", FILES),
    ("FROM 's3://bucket/x.parquet'", FILES),
    ("FROM 'hf://datasets/x/y.csv'", FILES),
    ("FROM read_parquet('http://localhost:1/x.parquet')", FILES),
    ("INSTALL httpfs", statement("LOAD")),
    ("LOAD httpfs", statement("LOAD")),
    ("LOAD '/tmp/evil.so'", statement("LOAD")),
    ("UPDATE EXTENSIONS", statement("this kind of statement")),
    ("FROM sqlite_scan('/etc/passwd', 'x')", EXTENSION),
    ("FROM st_read('/etc/passwd')", EXTENSION),
    ("FROM sql_auto_complete('FROM ''/etc/')", EXTENSION),
    ("CREATE SECRET (TYPE s3)", statement("CREATE")),
    # take the walls down
    ("SET enable_external_access = true", statement("SET")),
    ("SET lock_configuration = false", statement("SET")),
    ("RESET lock_configuration", statement("SET")),
    ("SET GLOBAL memory_limit = '100GB'", statement("SET")),
    ("SET home_directory = '/'", statement("SET")),
    ("SET allowed_directories = ['/']", statement("SET")),
    ("SET VARIABLE x = 1", statement("SET")),
    ("PRAGMA database_list", statement("PRAGMA")),
    ("USE temp", statement("SET")),
    ("DETACH memory", statement("DETACH")),
    ("PREPARE p AS SELECT 1", statement("PREPARE")),
    ("EXECUTE p", statement("EXECUTE")),
    ("BEGIN", statement("TRANSACTION")),
    # change something
    ("CREATE TABLE x (i INTEGER)", statement("CREATE")),
    ("CREATE TEMP TABLE x AS FROM range(5)", statement("CREATE")),
    ("CREATE TABLE x AS PIVOT steps ON status USING count(*)", READ_ONLY),
    ("CREATE MACRO m() AS 1", statement("CREATE")),
    ("INSERT INTO jobs (job_id) VALUES ('x')", statement("INSERT")),
    ("WITH x AS (DELETE FROM jobs RETURNING *) FROM x", READ_ONLY + "|" + PARSER),
    (
        "MERGE INTO jobs USING steps USING (job_id) WHEN MATCHED THEN DELETE",
        statement("MERGE_INTO"),
    ),
    ("UPDATE jobs SET quality = 1", statement("UPDATE")),
    ("DELETE FROM jobs", statement("DELETE")),
    ("TRUNCATE jobs", statement("DELETE")),
    ("DROP TABLE jobs", statement("DROP")),
    ("ALTER TABLE jobs DROP quality", statement("ALTER")),
    ("COMMENT ON TABLE jobs IS 'x'", statement("ALTER")),
    ("EXPLAIN ANALYZE DELETE FROM jobs", READ_ONLY),
    ("CHECKPOINT", statement("CALL")),
    ("VACUUM", statement("VACUUM")),
    ("SELECT 1; SELECT 2", ONE),
    ("SELECT 1; DROP TABLE jobs", ONE),
    ("", "^there is no query$"),
    ("-- nothing", "^there is no query$"),
]


@pytest.mark.parametrize(("query", "why"), ESCAPES)
def test_an_escape_is_refused_with_one_line(
    filled: TraceStore, tmp_path: Path, query: str, why: str
) -> None:
    out, data = tmp_path / "out", tmp_path / "data.csv"
    data.write_text("secret\n1\n")
    with pytest.raises(QueryError, match=why) as refused:
        filled.sql(named(query, out=out, data=data))
    assert len(str(refused.value).splitlines()) == 1
    assert not out.exists()
    assert filled.sql("SELECT count(*) FROM jobs").rows == ((2,),)


def named(query: str, **places: Path) -> str:
    """Put paths where a query names them; it may hold other braces."""
    for name, path in places.items():
        query = query.replace(f"{{{name}}}", str(path))
    return query


def test_there_are_many_different_escapes() -> None:
    assert len(dict(ESCAPES)) == len(ESCAPES) >= 35


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('{data}')",
        "FROM glob('{folder}/*')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
    ],
)
def test_the_operating_system_refuses_what_duckdb_would_allow(
    filled: TraceStore, tmp_path: Path, query: str
) -> None:
    """The second wall: the child with DuckDB's own doors open."""
    out, data = tmp_path / "out", tmp_path / "data.txt"
    data.write_text("secret")
    with filled.copy() as database:
        request = {
            "database": str(database),
            "query": named(query, data=data, out=out, folder=tmp_path),
            "row_cap": 10,
            "seconds": 10,
            "memory_mb": 512,
        }
        done = subprocess.run(
            [sys.executable, "-c", "import crp_analytics.sandbox as s; s.LOCK_DOWN = (); s.main()"],
            input=json.dumps(request).encode(),
            capture_output=True,
            env=_environment(),
            check=False,
        )
    answer = json.loads(done.stdout)
    assert answer.get("error") or not answer["rows"], answer
    assert b"secret" not in done.stdout
    assert not out.exists()
