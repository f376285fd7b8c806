"""New code of the workers while jobs run: they go on with it, or say why not and wait unharmed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.conftest import ANSWER, CHAIN
from tests.support.fleet import Fleet, fleet
from tests.support.model_server import ModelServer, prompt_of

pytestmark = pytest.mark.slow

NEXT = """
import crp.worker
from crp_workflows.orchestration import Reasoning
crp.worker.build_id = lambda: "next"
before = Reasoning._retrieve
async def _retrieve(self):
    {condition}
    self.ledger.note("the new way")
Reasoning._retrieve = _retrieve
"""
"""A release that looks for no examples, at a place that jobs under way are past."""
CHANGED = NEXT.format(
    condition='if not self.stages.changed("no examples"): return await before(self)'
)
UNFIT = NEXT.format(condition="pass")


async def in_the_middle(workers: Fleet, server: ModelServer, text: str) -> str:
    """A job whose second call has come to the model."""
    job = await workers.ask(text, CHAIN)
    async with asyncio.timeout(60):
        while len(asked(server, text)) < 2:  # noqa: ASYNC110  another process asks
            await asyncio.sleep(0.05)
    return job


def asked(server: ModelServer, text: str) -> Counter[str]:
    return Counter(prompt for prompt in map(prompt_of, server.requests) if text in prompt)


@pytest.mark.parametrize("code", ["", CHANGED], ids=["the same code", "changed code"])
async def test_a_job_in_the_middle_goes_on_with_the_next_release(code: str, tmp_path: Path) -> None:
    with ModelServer(default="late:1", text=ANSWER) as server:
        async with fleet(tmp_path, server, replayed=not code) as workers:
            await workers.work("store")
            old = await workers.work()
            job = await in_the_middle(workers, server, "the chain of the last release")
            await workers.end(old)
            await workers.work("work", code)
            later = await workers.ask("the chain of the next release", CHAIN)
            result = await workers.result(job)
            assert "the new way" not in result.notes
            assert ("the new way" in (await workers.result(later)).notes) is bool(code)
    assert result.status == "completed"
    calls = asked(server, "the chain of the last release")
    assert len(calls) == 4
    assert set(calls.values()) == {1}


async def test_a_job_that_the_next_release_does_not_fit_says_so_and_loses_nothing(
    tmp_path: Path,
) -> None:
    with ModelServer(default="late:1", text=ANSWER) as server:
        async with fleet(tmp_path, server, replayed=False) as workers:
            await workers.work("store")
            old = await workers.work()
            job = await in_the_middle(workers, server, "the chain")
            other = await in_the_middle(workers, server, "another chain")
            await workers.end(old)
            unfit = await workers.work("work", UNFIT)

            async with asyncio.timeout(90):
                while (await workers.crp("jobs", "list", "--json")).stdout.count("stuck") < 2:  # noqa: ASYNC110
                    await asyncio.sleep(1)
            listed = json.loads((await workers.crp("jobs", "list", "--json")).stdout)
            assert {row["job_id"]: row["status"] for row in listed} == {
                job: "stuck",
                other: "stuck",
            }
            shown = await workers.crp("jobs", "show", job)
            assert shown.returncode != 0
            (line,) = shown.stderr.strip().splitlines()
            assert f"the job {job} is stuck: the code of the workers does not fit" in line
            assert f"crp jobs fork {job}" in line
            await workers.told("the code of the workers does not fit", "jobs", "watch", job)

            # One way out: another job with its answers, by the new code.
            forked = await workers.crp("jobs", "fork", job)
            assert forked.returncode == 0, forked.stderr
            assert forked.stdout.strip().endswith(ANSWER)
            calls = asked(server, "the chain")
            assert len(calls) == 4
            assert set(calls.values()) == {1}

            # Another: to be rid of it.
            cancelled = await workers.crp("jobs", "cancel", other)
            assert cancelled.returncode == 0, cancelled.stderr
            assert "it is ended without a record" in cancelled.stderr

            # The last: the old code again.
            await workers.end(unfit)
            await workers.work()
            result = await workers.result(job)
    assert result.status == "completed"
    assert max(asked(server, "the chain").values()) <= 2  # the fork's answers are its own
