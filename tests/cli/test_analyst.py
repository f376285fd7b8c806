"""What an analyst does: three questions with SQL while a batch of jobs runs, and upkeep."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crp_analytics.store import TraceStore
from tests.analytics.samples import record
from tests.cli.conftest import Cli
from tests.support.model_server import ModelServer

CHAIN = """\
format: 1
template: towns
match: [towns]
complexity: 3
few_shot: 2
steps:
  one: "Say one thing about {{ task }}"
  many:
    prompt: "After {{ one }} say many things"
    checks:
      - words: 50-90
    on_fail: [retry, accept_best]
synthesize:
  render: "{{ one }} Of every such place there is more to be told, as long books have done before."
quality:
  store_above: 0.1
  score:
    - words: 20-90
"""
SETTINGS = """\
[reasoning]
icml_hold_out = 0.5
gate = "rules"
"""
TASKS = [f"Of towns on rivers, which is number {n}?" for n in range(5)]

LIFT = "select template, n, lift, lift_low, lift_high, worse from v_orc_lift"
RETRIES = "select template_step, n, retry_rate from v_retries order by retry_rate desc"
EXAMPLES = "select n_shown, n_held_out, effect from v_few_shot_effect"


class Batch:
    """Jobs of one template on a real engine, one of which never ends."""

    def __init__(self, cli: Cli, server: ModelServer) -> None:
        self.cli, self.server = cli, server
        (cli.work / "templates").mkdir()
        (cli.work / "templates" / "towns.yaml").write_text(CHAIN)
        (cli.work / "crp.toml").write_text(SETTINGS)

    def run(self, task: str, behaviour: str, *more: str) -> str:
        words = ["--base-url", self.server.base_url, "--model", f"behave/{behaviour}"]
        done = self.cli.run("run", task, "-t", "towns", "--capability", "1", *words, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, query: str) -> list[dict[str, Any]]:
        done = self.cli.run("sql", query, "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def wait_for(self, jobs: int) -> None:
        for _ in range(60):
            if self.ask("select count(*) as n from jobs") == [{"n": jobs}]:
                return
            time.sleep(0.5)
        raise AssertionError(f"{jobs} jobs were never recorded")


@pytest.fixture(scope="module")
def batch(cli: Cli) -> Iterator[Batch]:
    """Five jobs are recorded, the last four at the same time; a sixth runs."""
    with ModelServer(text="Lyon lies on the Rhone, and many other towns lie there too.") as server:
        started = Batch(cli, server)
        started.run(TASKS[0], "late:0.3")
        for task in TASKS[1:]:
            started.run(task, "late:0.3", "--detach")
        started.run("Of towns, which is the last one?", "hang", "--detach")
        started.wait_for(len(TASKS))
        yield started
        running = json.loads(cli.run("jobs", "list", "--running", "--json").stdout)
        assert [row["status"] for row in running] == ["running"], "all of it was asked meanwhile"
        cli.run("jobs", "cancel", running[0]["job_id"])


@pytest.mark.slow
def test_what_helped_is_told_with_n_and_an_interval(batch: Batch) -> None:
    (row,) = batch.ask(LIFT)
    assert (row["template"], row["n"], row["worse"]) == ("towns", 5, 0)
    assert row["lift"] > 0
    low, high = row["lift_low"], row["lift_high"]
    assert low is high is None or low <= row["lift"] <= high, "no interval where all are alike"


@pytest.mark.slow
def test_the_step_that_is_retried_most_comes_first(batch: Batch) -> None:
    assert batch.ask(RETRIES) == [
        {"template_step": "many", "n": 5, "retry_rate": 1.0},
        {"template_step": "one", "n": 5, "retry_rate": 0.0},
    ]


@pytest.mark.slow
def test_examples_are_compared_with_the_jobs_that_were_held_out(batch: Batch) -> None:
    (row,) = batch.ask(EXAMPLES)
    assert row["n_shown"] + row["n_held_out"] == 4, "the first job found an empty library"
    both = row["n_shown"] > 0 and row["n_held_out"] > 0
    assert (row["effect"] is not None) == both
    held = batch.ask(
        "select sum(r.held_out::int) as n from retrieval_runs as r join jobs using (job_id)"
        " where r.found > 0"
    )
    assert held == [{"n": row["n_held_out"]}]


def test_the_journal_is_compacted_by_a_command_and_stays_whole(crp: Any, tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "home/traces") as store:
        store.record(record("j1"))
    done = json.loads(crp("traces", "compact", "--json").stdout)
    assert (done["segments_after"], done["repeated"]) == (1, 0)
    assert "1 segments, now 1" in crp("traces", "compact").stdout
    assert crp("traces", "check").exit_code == 0


def test_while_the_store_has_an_owner_it_is_not_compacted(crp: Any, tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "home/traces"):
        done = crp("traces", "compact")
    assert done.exit_code == 7
    assert "in use by process" in done.stderr
