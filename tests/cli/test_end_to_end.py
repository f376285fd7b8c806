"""What a person does on the first day: real engine, real server, real model, real processes."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LAPTOPS = Path(__file__).parents[2] / "examples" / "laptops.md"


@pytest.fixture(scope="module")
def first(cli, model_cache):
    """The first run of all, in a pipe."""
    return cli.run("run", "Compare React, Vue, and Angular", "--orc", "on")


def test_the_first_run_starts_the_engine_and_gives_an_answer(first):
    assert first.returncode == 0, first.stderr
    assert "starting the Temporal server" in first.stderr
    for name in ("React", "Vue", "Angular"):
        assert name in first.stdout


def test_the_plan_and_every_step_are_told_while_they_happen(first):
    for step in ("profile/React", "profile/Vue", "profile/Angular", "contrast"):
        assert f"{step}: running" in first.stderr
        assert f"{step}: attempt 1" in first.stderr
    assert "plan of 4 steps" in first.stderr


def test_quality_cost_and_the_way_of_the_trace_are_told(first):
    assert "covers: items" in first.stderr
    assert "tokens" in first.stderr
    assert "trace: " in first.stderr


def test_the_second_run_uses_the_engine_that_runs(first, cli):
    done = cli.run("run", "What is the capital of France?", "--json")
    assert "starting the Temporal server" not in done.stderr
    result = json.loads(done.stdout)
    assert result["template"] == "direct-question"
    assert result["answer"]


def test_sql_shows_steps_and_attempts(first, cli):
    query = "select step_id, count(*) as attempts from attempts group by all order by all"
    rows = {r["step_id"]: r["attempts"] for r in json.loads(cli.run("sql", query, "--json").stdout)}
    assert rows["profile/Vue"] >= 1
    steps = json.loads(cli.run("sql", "select count(*) as n from steps", "--json").stdout)
    assert steps == [{"n": 4}]


def test_jobs_are_listed_and_shown_by_the_beginning_of_their_id(first, cli):
    listed = json.loads(cli.run("jobs", "list", "--json").stdout)
    assert {row["template"] for row in listed} >= {"comparison"}
    shown = cli.run("jobs", "show", "compare-react").stdout
    assert "profile/Vue" in shown
    assert first.stdout.splitlines()[-1] in shown


@pytest.mark.skipif(not LAPTOPS.exists(), reason="the example is not there")
def test_the_example_of_the_readme_shows_the_model_alone_and_with_the_engine(first, cli):
    done = cli.run(
        *("run", "Compare the three laptops for a travelling student"),
        *("--context-file", str(LAPTOPS), "--show-probe"),
    )
    assert done.returncode == 0, done.stderr
    assert "--- the model alone" in done.stderr
    assert done.stdout.strip()


def test_without_the_engine_the_same_questions_are_answered(first, cli):
    cli.run("down")
    shown = cli.run("jobs", "show", "compare-react")
    assert shown.returncode == 0
    assert "profile/Vue" in shown.stdout
