"""`Stages.changed`: a job keeps the path that it has begun, through all of its histories."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from crp_workflows.orchestration import Reasoning
from tests.workflows.live import TEMPORAL, live
from tests.workflows.test_long_histories import LONG, runs_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary in this environment"),
]

SUGGEST = "limit.historyCount.suggestContinueAsNew=200"


async def test_a_change_is_decided_once_in_the_life_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, set[bool]] = defaultdict(set)

    def asking(stage: str, change: str) -> None:
        before = getattr(Reasoning, stage)

        async def changed(self: Reasoning, *args: Any, **more: Any) -> Any:
            said[change].add(self.stages.changed(change))
            return await before(self, *args, **more)

        monkeypatch.setattr(Reasoning, stage, changed)

    asking("_route", "at the beginning")
    asking("_choose", "at the end")
    facts = " ".join(f"The thing is {n}." for n in range(100))
    async with live(tmp_path, lambda prompt: prompt.split()[-1], SUGGEST, slots=32) as there:
        handle = await there.start("A long task", LONG, context=facts)
        result = await there.durable.wait(handle)
        assert result.status == "completed", result.error
        assert await runs_of(there.server.client, "job") >= 2
        short = await there.start(
            "Another long task", LONG, context="The thing is one.", job_id="two"
        )
        assert (await there.durable.wait(short)).status == "completed"
    assert there.model.twice == []
    # The long job was past its first history when the end came; the short one was not.
    assert said == {"at the beginning": {True}, "at the end": {True, False}}
