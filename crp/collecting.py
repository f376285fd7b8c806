"""Blobs of jobs that nobody can ask for any more are let go: Temporal has deleted their histories,
and the trace store keeps its own texts. Touches Temporal and the blob store.
"""

from __future__ import annotations

import asyncio
import logging

from temporalio.client import Client, RPCError
from temporalio.service import RPCStatusCode

from crp.blobs import BlobStore
from crp.errors import StoreUnavailable

logger = logging.getLogger(__name__)


async def collect(client: Client, blobs: BlobStore, days: float) -> int:
    """Delete what was put more than `days` ago for jobs and schedules that Temporal does not know.

    Gives how many blobs that were. What can not be found out, or deleted, stays.
    """
    try:
        old = await asyncio.to_thread(blobs.owners, days)
        gone = [owner for owner in old if not await _known(client, owner)]
        count = await asyncio.to_thread(blobs.let_go, *gone) if gone else 0
    except (RPCError, StoreUnavailable) as error:
        logger.warning("old blobs are not deleted this time: %s", error)
        return 0
    if count:
        logger.info("%d blobs of %d jobs that Temporal has forgotten are deleted", count, len(gone))
    return count


async def _known(client: Client, owner: str) -> bool:
    for handle in (client.get_workflow_handle(owner), client.get_schedule_handle(owner)):
        try:
            await handle.describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
        else:
            return True
    return False
