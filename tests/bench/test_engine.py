"""`bench engine` counts what it says it counts. Nothing here looks at how long anything takes."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import engine, engine_peers, engine_real, engine_run
from bench.cli import app
from bench.engine_jobs import STEPS, Called, Shape, calls_in, gaps, note, repeated, template
from bench.engine_peers import PEERS, Absent, Peer
from crp.language.load import load
from crp.models import Attempt, Usage

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent))
needs_server = pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary here")


# -- the real thing, small ----------------------------------------------------------------------


@pytest.mark.slow
@needs_server
def test_a_step_costs_six_events_and_two_kilobytes_and_no_call_is_made_twice(
    tmp_path: Path,
) -> None:
    row = engine_run.run(tmp_path, "engine", "sequence", 2)
    assert (row["jobs"], row["repeated"]) == (2, 0)
    assert len(row["gaps"]) == 2 * (STEPS - 1)
    assert row["step_events"] == 6
    assert row["step_bytes"] <= 2_000
    assert {"server", "work", "store", "client"} == row["cpu"].keys()


@pytest.mark.slow
@needs_server
def test_the_lower_bound_makes_as_many_steps_in_as_many_events(tmp_path: Path) -> None:
    row = engine_run.run(tmp_path, "raw", "sequence", 2)
    assert (row["repeated"], row["step_events"]) == (0, 6)
    assert row["events"] == 6 * STEPS + 5
    assert row["bytes"] > 0


# -- counting -----------------------------------------------------------------------------------


def test_a_gap_is_between_two_calls_of_one_job() -> None:
    calls = [Called(1, 1, 0.0), Called(2, 1, 0.5), Called(1, 2, 1.0), Called(2, 2, 4.0)]
    assert gaps(calls) == [1.0, 3.5]


def test_a_call_that_comes_again_is_counted() -> None:
    calls = [Called(1, 1, 0.0), Called(1, 1, 0.5), Called(1, 2, 1.0), Called(2, 1, 4.0)]
    assert repeated(calls) == 1


def test_calls_are_read_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "calls.txt"
    with path.open("wb", buffering=0) as file:
        note(file.fileno(), 7, 1)
        note(file.fileno(), 8, 1)
    assert [(call.job, call.step) for call in calls_in(path)] == [(7, 1), (8, 1)]


@pytest.mark.parametrize(("shape", "readers"), [("sequence", STEPS - 1), ("parallel", 0)])
def test_only_in_a_sequence_a_step_reads_the_one_before_it(shape: Shape, readers: int) -> None:
    steps = load(template(shape), "template").steps
    assert len(steps) == STEPS
    assert sum(len(step.reads) for step in steps) == readers


def an_attempt(finished: float, seconds: float) -> Attempt:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=finished)
    return Attempt(stage="execute", usage=Usage(calls=1, seconds=seconds), finished_at=at)


def test_the_critical_path_counts_calls_at_the_same_time_once() -> None:
    together = [an_attempt(4, 4), an_attempt(5, 3), an_attempt(3, 1)]
    assert engine_real.critical_path([*together, an_attempt(10, 2)]) == pytest.approx(5 + 2)


# -- the table ----------------------------------------------------------------------------------


def a_row(way: str = engine.OURS, **changes: Any) -> dict[str, Any]:
    run = {
        "jobs": 50,
        "jobs_s": 5.0,
        "steps_s": 50.0,
        "gaps": [0.01],
        "waits": [1.0],
        "cpu": {"server": 0.01, "work": 0.02},
        "repeated": 0,
        "events": 100,
        "bytes": 30_000,
        "step_events": 6.0,
        "step_bytes": 1_900.0,
        **changes,
    }
    return engine.summed(engine.Key(way, "sequence", 50), [run, run])


def test_peers_are_shown_as_times_of_ours() -> None:
    rows = [a_row(), a_row("another", steps_s=100.0)]
    place = engine.HEAD.index("of ours")
    assert [cells[place] for cells in engine.cells(rows)] == ["1.0", "2.0"]


def test_an_aim_that_is_missed_says_no() -> None:
    rows = [a_row(), a_row("DBOS, SQLite as it comes", steps_s=100.0)]
    told = {aim[0]: aim[-1] for aim in engine.aims({"rows": rows, "real": [{"share": 0.01}]})}
    assert told == {
        "120 steps/s in sequence, 50 jobs": "**no**",
        "ahead of DBOS with SQLite, 50 jobs": "**no**",
        "at most 3% of a real job": "yes",
        "no call of the model twice": "yes",
    }


def test_a_call_made_twice_is_told() -> None:
    (*_, last) = engine.aims({"rows": [a_row(repeated=1)], "real": []})
    assert last[1:] == ["2", "**no**"]


@pytest.mark.parametrize("words", [["--shape", "round"], ["--only", "nobody"]])
def test_a_wrong_word_is_one_line_and_an_exit_code(words: list[str]) -> None:
    done = CliRunner().invoke(app, ["engine", *words])
    assert done.exit_code == 2
    assert done.output.startswith("error: there is no ")


# -- peers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.script)
def test_a_peer_without_its_packages_says_what_to_install(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(Absent, match=f"not installed: pip install {peer.packages[0]}"):
        engine_peers.run_peer(peer, Path(sys.executable), tmp_path, "sequence", 1)


def a_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: str) -> Peer:
    """A peer that is no engine at all: it calls its steps."""
    scripts = shutil.copytree(engine_peers.SCRIPTS, tmp_path / "peers")
    (scripts / "plain.py").write_text(
        "import asyncio\n"
        "from common import STEPS, arguments, measure, note\n"
        "async def job(number):\n"
        f"    for step in {steps}:\n"
        "        note(number, step)\n"
        "asyncio.run(measure(arguments(), job))\n",
        "utf-8",
    )
    monkeypatch.setattr(engine_peers, "SCRIPTS", scripts)
    return Peer("plain", "plain.py", ())


def test_a_peer_gives_the_same_figures_as_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = a_peer(tmp_path, monkeypatch, "range(STEPS)")
    row = engine_peers.run_peer(peer, Path(sys.executable), tmp_path, "sequence", 5)
    assert (row["jobs"], row["repeated"], len(row["gaps"])) == (5, 0, 5 * (STEPS - 1))
    assert engine.summed(engine.Key("plain", "sequence", 5), [row])["steps_s"] == [row["steps_s"]]


def test_a_peer_that_leaves_steps_out_gives_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = a_peer(tmp_path, monkeypatch, "range(STEPS - 1)")
    with pytest.raises(Absent, match="45 steps were done, and there are 50"):
        engine_peers.run_peer(peer, Path(sys.executable), tmp_path, "sequence", 5)


def test_what_was_measured_becomes_a_line_of_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = a_peer(tmp_path, monkeypatch, "range(STEPS)")
    monkeypatch.setattr(engine_peers, "PEERS", (peer, PEERS[0]))
    results = tmp_path / "engine.jsonl"
    words = ["--only", "peers", "--jobs", "2", "--shape", "sequence", "--runs", "2"]
    done = CliRunner().invoke(app, ["engine", *words, "--results", str(results)])
    assert done.exit_code == 0, done.output
    line = json.loads(results.read_text("utf-8"))
    assert [(row["way"], row["runs"], row["repeated"]) for row in line["rows"]] == [("plain", 2, 0)]
    assert line["absent"] == {PEERS[0].name: "not installed: pip install dbos"}
