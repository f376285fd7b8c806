"""Pressure comes and goes with the load: what jobs decide then is different, and is so again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crp.client import handle
from tests.support.fleet import Fleet, fleet
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.slow

LEVELS = ("low", "moderate", "high", "critical")
WAITING = {
    **{f"memory_{level}": 2.0 + n for n, level in enumerate(LEVELS)},
    **{f"load_{level}": 1e6 + n for n, level in enumerate(LEVELS)},
    **{f"wait_{level}": seconds for level, seconds in zip(LEVELS, (1, 2, 3, 1e6), strict=True)},
}
"""Only waiting for the model counts, and seconds of it are much."""
STEPS = """\
format: 1
template: six
match: [six]
complexity: 3
probe: {probe}
steps:
  a: "Say the first thing about {{{{ task }}}}"
  b: "Say the second thing about {{{{ task }}}}"
  c: "Say the third thing about {{{{ task }}}}"
  d: "Say the fourth thing about {{{{ task }}}}"
  e: "Say the fifth thing about {{{{ task }}}}"
  f: "After {{{{ a }}}}, {{{{ b }}}}, {{{{ c }}}}, {{{{ d }}}}, {{{{ e }}}} say the last thing"
quality:
  score:
    - mentions: a word that nobody says
"""
AT_ONCE = "import crp_workflows.orchestration as o, datetime; o.FRESH = datetime.timedelta(0)"
"""A worker for which no sample of the pressure is fresh."""


async def said(workers: Fleet, job: str, kind: str) -> list[dict[str, object]]:
    return [dict(event.body) for event in await workers.events(job) if event.kind == kind]


async def gate(workers: Fleet, job: str) -> dict[str, object]:
    await workers.result(job)
    (found,) = await said(workers, job, "gated")
    return found


async def test_calls_that_stand_in_line_shut_the_gate_and_it_opens_when_they_are_gone(
    tmp_path: Path,
) -> None:
    plan = STEPS.format(probe="no")
    with ModelServer(default="held") as server:
        async with fleet(tmp_path, server, concurrency=1, pressure=WAITING) as workers:
            await workers.work("all")
            before = await workers.ask("six things at rest", plan, pressure=None)
            await workers.until(lambda queue: queue.age > 4)  # four calls of this very job
            under = await workers.ask("six things in a crowd", plan, pressure=None)
            await workers.until(lambda queue: queue.waiting == 5)
            server.go.set()
            crowded = await gate(workers, under)
            assert (await gate(workers, before))["orc"] is True
            await workers.until(lambda queue: queue.waiting == 0)
            after = await workers.ask("six things at rest again", plan, pressure=None)
            assert (await gate(workers, after))["orc"] is True
    assert (crowded["orc"], crowded["rule"]) == (False, "pressure")
    assert crowded["reason"] == "resource pressure is HIGH"


async def test_a_plan_is_shorter_when_the_load_came_while_the_job_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crp_workflows.orchestration.FRESH", timedelta(0))  # for the replay
    with ModelServer("late:10", default="late:0.5") as server:
        async with fleet(tmp_path, server, concurrency=1, pressure=WAITING) as workers:
            await workers.work("all", AT_ONCE)
            job = await workers.ask("six things", STEPS.format(probe="yes"), pressure=None)
            await workers.until(lambda queue: server.calls == 1)
            others = [await workers.ask(f"call number {n}") for n in range(20)]
            result = await workers.result(job)
            samples = await said(workers, job, "pressure.sampled")
            for other in others:
                await handle(workers.engine, other).result()
    assert [sample["pressure"] for sample in samples] == ["NONE", "HIGH"]
    assert "model calls wait" in str(samples[1]["reason"])
    assert result.plan is not None
    assert len(result.plan.steps) == 3
    assert any("cut to 3 steps" in note for note in result.notes)
