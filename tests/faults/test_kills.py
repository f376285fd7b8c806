"""kill -9 in the middle of a job: it finishes, and no answered call is paid for again."""

from __future__ import annotations

import pytest

from tests.faults.conftest import ANSWER, Engine, job_id, until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("victim", ["worker", "temporal", "store", "supervisor"])
def test_a_job_outlives_the_death_of(engine: Engine, victim: str) -> None:
    task = f"the chain that survives {victim}"
    asking = engine.ask(task, "late:1.5")
    said = until(asking, "second: running")
    until(asking, "third: running")
    killed = engine.kill(victim)
    out, err = asking.communicate(timeout=120)
    assert asking.returncode == 0, err
    assert out.strip() == ANSWER
    assert engine.asked_again(task, killed) == []
    job = job_id(said)
    (row,) = engine.sql(
        f"select count(*) as n, min(status) as status from jobs where job_id = '{job}'"
    )
    assert row == {"n": 1, "status": "completed"}
    steps = engine.sql(f"select step_id, status from steps where job_id = '{job}'")
    assert sorted((s["step_id"], s["status"]) for s in steps) == [
        ("first", "done"),
        ("fourth", "done"),
        ("second", "done"),
        ("third", "done"),
    ]


def test_when_all_of_the_machine_dies_the_job_goes_on_at_the_next_watch(engine: Engine) -> None:
    task = "the chain that survives everything"
    asking = engine.ask(task, "late:1.5")
    said = until(asking, "third: running")
    asking.kill()
    asking.communicate()
    killed = engine.kill("supervisor")
    for part in ("worker", "temporal", "store"):
        engine.kill_if_alive(part)
    watched = engine.run("jobs", "watch", job_id(said), within=120)
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.strip() == ANSWER
    assert engine.asked_again(task, killed) == []
