"""A job whose history becomes too long goes on in a new one, and nothing is done twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from crp.forgetting import delete_histories
from tests.workflows.live import TEMPORAL, live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary in this environment"),
]

STEPS = int(os.environ.get("CRP_STEPS", "300"))
"""5,000 is what was shown."""

LONG = """
format: 1
template: long
match: {keywords: [long]}
complexity: 5
probe: no
extract:
  things: {find: sentences, from: [context], min: 1, max: 5000}
limits: {items: 5000, calls: 100000, tokens: 100000000}
steps:
  say:
    for_each: things
    prompt: Say one word about {{ item }}
    scaffold: none
  all:
    render: "{{ say }}"
"""


async def test_to_forget_a_long_job_deletes_all_its_histories(tmp_path: Path) -> None:
    facts = " ".join(f"The thing is {n}." for n in range(100))
    suggest = "limit.historyCount.suggestContinueAsNew=100"
    async with live(tmp_path, lambda prompt: prompt.split()[-1], suggest) as there:
        client = there.server.client
        await there.durable.wait(await there.start("A long task", LONG, context=facts))
        assert await becomes(client, lambda runs: runs >= 2)
        await delete_histories(client, "job")
        assert await becomes(client, lambda runs: runs == 0)


async def becomes(client: Client, wanted: Callable[[int], bool]) -> bool:
    """Temporal lists histories a little later, and takes half a minute to delete them."""
    for _ in range(1_200):
        if wanted(await runs_of(client, "job")):
            return True
        await asyncio.sleep(0.1)
    return False


async def runs_of(client: Client, job_id: str) -> int:
    return len([w async for w in client.list_workflows(f"WorkflowId = '{job_id}'")])


async def test_a_job_of_many_steps_asks_each_once_in_histories_that_stay_short(
    tmp_path: Path,
) -> None:
    suggest = "limit.historyCount.suggestContinueAsNew=" + ("200" if STEPS < 1000 else "4096")
    facts = " ".join(f"The thing is {n}." for n in range(STEPS))
    async with live(tmp_path, lambda prompt: prompt.split()[-1], suggest, slots=32) as there:
        handle = await there.start("A long task", LONG, context=facts)
        result = await there.durable.wait(handle)
        assert result.status == "completed", result.error
        assert (len(there.model.prompts), there.model.twice) == (STEPS, [])
        assert await runs_of(there.server.client, "job") >= 2
        events = await handle.query("events", 0)
        assert result.usage.calls == STEPS
        assert [s.status for s in result.steps] == ["done"] * (STEPS + 1)
        assert result.steps[-2].output == f"{STEPS - 1}."
        assert all(s.started_at and s.finished_at for s in result.steps)
        assert there.store.job("job") is not None
    numbers = [e["sequence"] if isinstance(e, dict) else e.sequence for e in events]
    assert numbers == list(range(len(events)))
    kinds = [e["kind"] if isinstance(e, dict) else e.kind for e in events]
    assert kinds.count("step.started") == STEPS + 1
    assert kinds.count("attempt.finished") == STEPS
    assert kinds.count("job.started") == kinds.count("planned") == 1
