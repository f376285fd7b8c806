"""SIGTERM: running calls come home within the grace, and the worker ends by itself within 10 s."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.conftest import ANSWER, Engine, job_id, until
from tests.support.model_server import prompt_of

pytestmark = pytest.mark.slow


def ended_by_itself(engine: Engine) -> bool:
    """Whether the worker said its last words after the last SIGTERM: else it was killed."""
    last = (engine.home / "logs" / "worker.log").read_text().rpartition(" draining\n")[2]
    return "crp.worker: ended" in last


def asked(engine: Engine, task: str) -> Counter[str]:
    return Counter(p for p in map(prompt_of, engine.server.requests) if task in p)


def test_a_call_under_way_comes_home_and_is_not_asked_again(engine: Engine) -> None:
    task = "the chain whose worker is drained"
    asking = engine.ask(task, "late:4")
    said = until(asking, "second: running")
    asking.kill()
    asking.communicate()
    assert engine.run("down").returncode == 0
    assert ended_by_itself(engine)
    assert len(asked(engine, task)) == 2
    watched = engine.run("jobs", "watch", job_id(said), within=120)
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.strip() == ANSWER
    assert len(asked(engine, task)) == 4
    assert set(asked(engine, task).values()) == {1}


def test_calls_of_several_models_that_never_answer_hold_no_worker_up(engine: Engine) -> None:
    models = ("one", "two", "three")
    (engine.work / "crp.toml").write_text(
        "".join(
            f'[models.{alias}]\nbase_url = "{engine.server.base_url}"\nname = "behave/hang"\n'
            for alias in models
        )
    )
    jobs = []
    for alias in models:
        asking = engine.start("run", f"the chain of {alias}", "-t", "chain", "--model", alias)
        jobs.append(job_id(until(asking, "first: running")))
        asking.kill()
        asking.communicate()
    assert engine.run("down").returncode == 0
    assert ended_by_itself(engine)
    for job in jobs:
        assert engine.run("jobs", "cancel", job).returncode == 0
