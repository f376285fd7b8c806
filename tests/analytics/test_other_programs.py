"""Other programs open the published snapshot, each in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crp_analytics.publish import Published
from crp_analytics.store import TraceStore
from tests.analytics.samples import record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A snapshot with Parquet files, of twelve jobs."""
    folder = tmp_path_factory.mktemp("published")
    with TraceStore.open(folder / "store") as store:
        for number in range(12):
            store.record(record(f"j{number}"))
        return store.publish(folder / "out", parquet=True)


Python = Callable[..., Any]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make an environment of its own with some packages; skip when the index does not answer."""

    def make(*packages: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        if uv := shutil.which("uv"):
            steps = [
                [uv, "venv", "-q", "--python", sys.executable, str(folder)],
                [uv, "pip", "install", "-q", "--python", str(_python(folder)), *packages],
            ]
        else:
            steps = [
                [sys.executable, "-m", "venv", str(folder)],
                [str(_python(folder)), "-m", "pip", "install", "-q", *packages],
            ]
        for words in steps:
            done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                _unreachable(f"{' '.join(packages)} can not be installed: {done.stderr.strip()}")
        return folder

    return make


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _unreachable(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def analyst(scratch: Callable[..., Path]) -> Python:
    """Runs Python with DuckDB 1.4, pandas, polars and SQLAlchemy, and gives what it prints."""
    packages = ("duckdb==1.4.*", "pandas", "polars", "pyarrow", "sqlalchemy", "duckdb-engine")
    folder = scratch(*packages)

    def run(code: str, *words: str) -> Any:
        done = subprocess.run(
            [str(_python(folder)), "-c", code, *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_duckdb_1_4_opens_it_with_all_views(analyst: Python, published: Published) -> None:
    code = """
import duckdb, json, sys
c = duckdb.connect(sys.argv[1], read_only=True)
views = [r[0] for r in c.execute(
    "SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
rows = {v: len(c.execute(f"SELECT * FROM {v}").fetchall()) for v in views}
print(json.dumps([duckdb.__version__, c.execute("SELECT count(*) FROM jobs").fetchone()[0], rows]))
"""
    version, jobs, views = analyst(code, published.file)
    assert version.startswith("1.4.")
    assert jobs == 12
    assert len(views) >= 13
    assert views["v_retries"] == 2


def test_pandas_reads_the_snapshot_and_the_parquet_files(
    analyst: Python, published: Published
) -> None:
    code = """
import duckdb, json, pandas, sys
c = duckdb.connect(sys.argv[1], read_only=True)
view = c.sql("FROM v_daily").df()
jobs = pandas.read_parquet(sys.argv[2] + "/parquet/jobs.parquet")
print(json.dumps([int(view.jobs.sum()), len(jobs), float(jobs.quality.mean()),
                  str(jobs.finished_at.dtype)]))
"""
    told = analyst(code, published.file, str(Path(published.file).parent))
    assert told[:2] == [12, 12]
    assert told[2] == pytest.approx(0.9)
    assert told[3].startswith("datetime64")


def test_polars_reads_the_snapshot_and_the_parquet_files(
    analyst: Python, published: Published
) -> None:
    code = """
import duckdb, json, polars, sys
c = duckdb.connect(sys.argv[1], read_only=True)
steps = c.sql("FROM steps").pl()
lazy = polars.scan_parquet(sys.argv[2] + "/parquet/attempts.parquet")
ok = lazy.filter(polars.col("status") == "ok").select(polars.len()).collect().item()
print(json.dumps([steps.height, ok]))
"""
    assert analyst(code, published.file, str(Path(published.file).parent)) == [24, 36]


def test_sqlalchemy_reads_the_snapshot(analyst: Python, published: Published) -> None:
    code = """
import json, sqlalchemy as sa, sys
engine = sa.create_engine("duckdb:///" + sys.argv[1], connect_args={"read_only": True})
with engine.connect() as c:
    jobs = c.execute(sa.text("SELECT count(*) FROM jobs WHERE quality > :q"), {"q": 0.5}).scalar()
    names = [r[0] for r in c.execute(sa.text("SELECT view_name FROM duckdb_views()"))]
print(json.dumps([jobs, "v_retries" in names]))
"""
    assert analyst(code, published.file) == [12, True]


@pytest.mark.parametrize("version", ["duckdb-cli==1.4.*", "duckdb-cli"])
def test_duckdbs_own_command_line_opens_it(
    scratch: Callable[..., Path], published: Published, version: str
) -> None:
    command = _python(scratch(version)).with_name("duckdb")
    done = subprocess.run(
        [
            str(command),
            "-readonly",
            "-json",
            published.file,
            "SELECT sum(jobs)::INT AS n FROM v_daily",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"n": 12}]


HARLEQUIN = """
import asyncio, json, sys
from harlequin import Harlequin
from harlequin_duckdb import DuckDbAdapter
async def look():
    adapter = DuckDbAdapter((sys.argv[1],), read_only=True)
    app = Harlequin(adapter, keymap_names=("vscode",), no_download_tzdata=True)
    async with app.run_test(size=(150, 50)) as pilot:
        async def until(thing):
            for _ in range(300):
                if thing():
                    return
                await pilot.pause(0.1)
            raise TimeoutError
        await until(lambda: app.editor is not None and app.connection is not None)
        tree = app.data_catalog.database_tree
        def below(node):
            node.expand()
            return list(node.children)
        await until(lambda: below(tree.root) and below(below(tree.root)[0]))
        await until(lambda: below(below(below(tree.root)[0])[0]))
        names = [str(n.label).split()[0] for n in below(below(below(tree.root)[0])[0])]
        app.editor.text = "select sum(jobs)::int as n from v_daily"
        app.editor.focus()
        await pilot.press("ctrl+j")
        await until(lambda: app.results_viewer.tab_count)
        table = app.results_viewer.get_visible_table()
        print(json.dumps([names, table.get_row_at(0)]))
asyncio.run(look())
"""


def test_harlequin_shows_tables_and_views_and_answers(
    scratch: Callable[..., Path], published: Published, tmp_path: Path
) -> None:
    """Its whole window is drawn, into memory, and keys are pressed in it."""
    done = subprocess.run(
        [str(_python(scratch("harlequin"))), "-c", HARLEQUIN, published.file],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "TERM": "xterm-256color"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names, row = json.loads(done.stdout)
    assert {*published.tables, "v_daily", "v_retries"} <= set(names)
    assert row == [12]
