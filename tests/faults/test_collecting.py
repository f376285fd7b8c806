"""Blobs of jobs that Temporal has forgotten are deleted; all others stay."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from crp.collecting import collect
from crp.forgetting import delete_histories
from tests.workflows.jobs import GARDEN, GOOD, TASK
from tests.workflows.live import TEMPORAL, live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary in this environment"),
]


def answer(prompt: str) -> str:
    return next(text for words, text in GOOD.items() if words in prompt)


async def test_what_was_put_for_a_job_lives_as_long_as_temporal_knows_the_job(
    tmp_path: Path,
) -> None:
    async with live(tmp_path, answer) as there:
        for job in ("job", "other"):
            await there.durable.wait(await there.start(TASK, GARDEN, job_id=job))
        client, blobs = there.server.client, there.tools.blobs
        alone = blobs.put(b"for this job alone", "job")
        kept = blobs.put(b"for the other", "other")
        for path in (tmp_path / "blobs" / "owners").glob("*/*"):
            os.utime(path, (0, 0))
        assert await collect(client, blobs, 30) == 0
        await delete_histories(client, "job")
        for _ in range(1_200):
            if await collect(client, blobs, 30):
                break
            await asyncio.sleep(0.1)
        assert alone not in blobs
        assert kept in blobs
