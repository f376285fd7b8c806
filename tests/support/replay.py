"""Replays histories against today's code: what was decided then must be decided again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from crp.blobs import BlobStore
from crp.config import load_settings
from crp.local import status
from crp.plugin import CRPPlugin
from crp.worker import blob_store


async def replay(histories: AsyncIterator[WorkflowHistory], blobs: BlobStore | None) -> int:
    """Replay them all; raises for the first that does not fit. Gives how many there were."""
    count = 0
    replayer = Replayer(workflows=[], plugins=[CRPPlugin(blobs)])
    async with replayer.workflow_replay_iterator(histories) as results:
        async for result in results:
            if result.replay_failure is not None:
                raise result.replay_failure
            count += 1
    return count


async def replay_home(home: Path) -> int:
    """Replay what the engine of a home keeps, jobs with a killed worker in the middle too."""
    settings = load_settings(home)
    running = status(settings)
    if running is None:
        return 0
    blobs = blob_store(settings)
    client = await Client.connect(running.address, plugins=[CRPPlugin(blobs)])
    return await replay_server(client, blobs)


async def replay_server(client: Client, blobs: BlobStore | None) -> int:
    """Replay every history that a server keeps."""
    workflows = client.list_workflows("WorkflowType = 'ReasoningWorkflow'")
    return await replay(workflows.map_histories(), blobs)
