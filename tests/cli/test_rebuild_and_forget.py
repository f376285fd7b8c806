"""A store made again from the histories of a real engine, and a job forgotten everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crp_analytics.store import TraceStore
from tests.cli.conftest import Cli
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.slow

SECRET = "xyzzyplugh"
ANSWER = " ".join(f"Town {n} lies on river {n * n}, as {SECRET}{n} says." for n in range(300))
CHAIN = """\
format: 1
template: chain
match: [chain]
complexity: 3
probe: no
steps:
  first: "Say the FIRST thing about {{ task }}"
  second: "After {{ first }} say the SECOND thing"
"""
TASKS = ("What of rivers and towns?", "What of rivers and hills?", f"Is {SECRET} of towns?")


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(text=ANSWER) as serving:
        yield serving


@pytest.fixture(scope="module")
def ran(cli: Cli, server: ModelServer) -> dict[str, str]:
    """Three jobs, the second and third of which may be shown the trace of the first: task to id."""
    (cli.work / "templates").mkdir()
    (cli.work / "templates" / "chain.yaml").write_text(CHAIN)
    (cli.home).mkdir(exist_ok=True)
    (cli.home / "config.toml").write_text("[reasoning]\ncuration_interval = 2\n")
    where = ["--base-url", server.base_url, "--model", "behave/ok", "--capability", "1"]
    done = [cli.run("run", task, "-t", "chain", "--json", *where) for task in TASKS]
    assert [d.returncode for d in done] == [0, 0, 0], done[0].stderr
    return {task: json.loads(d.stdout)["job_id"] for task, d in zip(TASKS, done, strict=True)}


def tables(home: Path) -> dict[str, list[str]]:
    """Every row of a store that nobody owns."""
    with TraceStore.open(home / "traces") as store, store._used() as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        return {
            name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}").fetchall()))
            for (name,) in names
            if name != "schema_migrations"
        }


def files_with(folder: Path, word: str) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and word.encode() in path.read_bytes()
    ]


def lose_store(home: Path) -> None:
    for path in [*(home / "traces" / "journal").glob("*.jsonl"), home / "traces" / "traces.duckdb"]:
        path.unlink()


def test_histories_give_the_same_tables_as_the_store_that_is_lost(
    cli: Cli, ran: dict[str, str]
) -> None:
    assert cli.run("down").returncode == 0
    before = tables(cli.home)
    assert len(before["jobs"]) == 3
    assert before["curation_runs"], "a curation is among the decisions"
    assert before["retrievals"], "an example was found"
    lose_store(cli.home)
    done = cli.run("traces", "rebuild", "--from-temporal", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recorded"] == 0
    after = tables(cli.home)
    assert {name for name in before if before[name] != after[name]} == set()
    assert "100% of" in done.stderr


def test_a_rebuild_while_the_engine_runs_is_refused(cli: Cli, ran: dict[str, str]) -> None:
    process = cli.start("up")
    try:
        assert process.stderr is not None
        assert any("the engine runs" in line for line in process.stderr)
        for more in ([], ["--from-temporal"]):
            done = cli.run("traces", "rebuild", *more)
            assert done.returncode == 7
            assert "in use by process" in done.stderr
    finally:
        cli.interrupt(process)


def test_forgetting_leaves_no_text_in_any_file_but_temporals(
    cli: Cli, ran: dict[str, str], crp_up: Callable[[], Any]
) -> None:
    job_id = ran[TASKS[2]]
    crp_up()
    shown = cli.run("jobs", "show", job_id, "--json")  # leaves the texts in an answer of the store
    assert SECRET in shown.stdout
    for other in TASKS[:2]:  # the model said the word in every job
        assert cli.run("traces", "forget", ran[other], "--yes").returncode == 0
    done = cli.run("traces", "forget", job_id, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["in_store"], told["in_temporal"]) == (True, True)
    left = [f for f in files_with(cli.home, SECRET) if not f.startswith(("temporal.db", "logs/"))]
    assert left == []
    rows = json.loads(cli.run("sql", "select job_id, status, calls from jobs", "--json").stdout)
    assert [row["status"] for row in rows] == ["completed"] * 3
    assert all(row["job_id"].startswith("forgotten-") and row["calls"] >= 2 for row in rows)
    again = cli.run("traces", "forget", job_id, "--yes", "--json")
    assert (again.returncode, json.loads(again.stdout)["name"]) == (0, told["name"])


@pytest.fixture
def crp_up(cli: Cli) -> Iterator[Callable[[], None]]:
    started = []

    def up() -> None:
        process = cli.start("up")
        started.append(process)
        assert process.stderr is not None
        assert any("the engine runs" in line for line in process.stderr)

    yield up
    for process in started:
        cli.interrupt(process)


def test_without_a_terminal_forgetting_wants_a_yes(cli: Cli, ran: dict[str, str]) -> None:
    done = cli.run("traces", "forget", ran[TASKS[0]])
    assert done.returncode == 2
    assert "--yes" in done.stderr


def test_check_reads_the_journal_and_says_what_is_damaged(cli: Cli, ran: dict[str, str]) -> None:
    whole = cli.run("traces", "check")
    assert (whole.returncode, "entries of the journal are whole" in whole.stdout) == (0, True)
    segment = next((cli.home / "traces" / "journal").glob("*.jsonl"))
    content = bytearray(segment.read_bytes())
    place = content.index(b'"kind":"retrieval"')
    content[place + 2] ^= 1
    segment.write_bytes(content)
    broken = cli.run("traces", "check")
    assert broken.returncode == 7
    assert "000000000001.jsonl, byte " in broken.stderr
    assert "kept aside: " in broken.stderr
