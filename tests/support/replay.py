"""Replays histories against today's code: what was decided then must be decided again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from crp.blobs import BlobStore
from crp.plugin import CRPPlugin


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


async def replay_server(client: Client, blobs: BlobStore | None) -> int:
    """Replay every history that a server keeps."""
    workflows = client.list_workflows("WorkflowType = 'ReasoningWorkflow'")
    return await replay(workflows.map_histories(), blobs)
