"""A process of `bench engine`: `python -m bench.engine_worker ROLE HOME ADDRESS`.

work, store   what `crp worker` runs, but the model answers at once
raw           the steps of Temporal alone

Touches the home, and the file of calls in it. Ends in order at SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from temporalio.client import Client

from bench.engine_jobs import PROFILE, Scripted
from bench.engine_raw import raw_worker
from crp.client import connect_to
from crp.config import Settings
from crp.worker import THREADS, blob_store, running, work_workers
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.pressure import LEVELS, THRESHOLDS, Pressures
from crp_activities.tools import Tools

CALLS = "calls.txt"
NEVER = {f"{kind}_{level.name.lower()}": 1e9 for kind in THRESHOLDS for level in LEVELS}
"""Pressure is sampled as ever, but a busy machine does not change what a job does."""


async def main(role: str, home: Path, address: str) -> None:
    """Work until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with _serving(role, home, address):
        await stopping.wait()


@contextlib.asynccontextmanager
async def _serving(role: str, home: Path, address: str) -> AsyncIterator[None]:
    settings = Settings(home=home)
    async with contextlib.AsyncExitStack() as stack:
        if role == "raw":
            client = await Client.connect(address)
            await stack.enter_async_context(raw_worker(client, home / CALLS))
        elif role == "store":
            client = await connect_to(settings, address)
            await stack.enter_async_context(running(settings, client, "store"))
        else:
            client = await connect_to(settings, address)
            threads = stack.enter_context(ThreadPoolExecutor(THREADS))
            profiles = {PROFILE.alias: PROFILE}
            for worker in work_workers(client, _tools(settings), profiles, threads):
                await stack.enter_async_context(worker)
        yield


def _tools(settings: Settings) -> Tools:
    return Tools(
        Models(settings, providers={PROFILE.alias: Scripted(settings.home / CALLS)}),
        AnswerJournal(settings.home / "answers"),
        blob_store(settings),
        Pressures(NEVER),
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
