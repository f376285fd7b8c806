"""A Temporal server like the embedded one, a home, and workers that are processes of their own.

Jobs are submitted as the command line does it. A worker may begin with code of the test's own: that
is a worker of another version. When all is over every history is replayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from crp.attributes import SEARCH_ATTRIBUTES
from crp.client import Engine, connect, handle, submit
from crp.config import Settings, load_settings
from crp.local.temporal_server import DYNAMIC_CONFIG
from crp.models import Event, JobResult, Pressure, Task
from crp.queues import Queue, look_at
from crp.request import Request
from crp.stages import model_queue
from crp.worker import blob_store
from tests.support.model_server import ModelServer
from tests.support.replay import replay_server
from tests.workflows.jobs import library

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent))
ONE_CALL = """\
format: 1
template: one-call
match: [call]
complexity: 1
steps:
  only: "Say a word about {{ task }}"
"""
"""Its jobs are answered directly: one call each, with the task in it."""


class Fleet:
    """One Temporal, one home, and as many workers as the test wants."""

    def __init__(self, folder: Path, address: str, settings: dict[str, Any]) -> None:
        self.home = folder / "home"
        self.given = {**settings, "temporal": {"address": address}}
        self.workers: list[subprocess.Popen[str]] = []
        self.engine: Engine

    @property
    def settings(self) -> Settings:
        """Those of jobs and of workers that are started from now on."""
        return load_settings(self.home, **self.given)

    async def work(self, role: str = "work", code: str = "") -> subprocess.Popen[str]:
        """Start a worker and wait until it works; `code` runs in it before anything else."""
        process = await asyncio.to_thread(self._start, ["worker", "--role", role], code)
        self.workers.append(process)
        await asyncio.to_thread(_wait_for, process, "works for Temporal")
        # What it says later is nobody's business, but must not fill the pipe.
        threading.Thread(target=process.communicate, daemon=True).start()
        return process

    async def crp(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line."""
        process = await asyncio.to_thread(self._start, list(words))
        out, err = await asyncio.to_thread(process.communicate, None, 60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    async def told(self, words: str, *command: str) -> None:
        """Run a command until it has said something."""
        process = await asyncio.to_thread(self._start, list(command))
        try:
            async with asyncio.timeout(60):
                await asyncio.to_thread(_wait_for, process, words)
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)

    def _start(self, words: list[str], code: str = "") -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CRP_")}
        values = {f"CRP_{k.upper()}": json.dumps(v) for k, v in self.given.items()}
        begin = ["-c", f"{code}\nfrom crp.cli import main\nmain()"] if code else ["-m", "crp"]
        return subprocess.Popen(
            [sys.executable, *begin, *words],
            cwd=self.home.parent,
            env={**kept, **values, "CRP_HOME": str(self.home), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def end(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> None:
        """End a worker, and wait until it has ended."""
        process.send_signal(number)
        await asyncio.to_thread(process.wait, 30)

    async def ask(self, text: str, template: str = ONE_CALL, **more: Any) -> str:
        """Submit a job; give its id."""
        options = {n: more.pop(n) for n in ("priority", "fairness_key", "budget") if n in more}
        profiles = self.settings.profiles()
        profiles["default"] = profiles[more.pop("model", "default")]
        request = Request(
            Task(**{"text": text, "pressure": Pressure.NONE, **more}),
            self.settings.config(profiles["default"]),
            profiles,
            library(template),
            **options,
        )
        return await submit(self.engine, request)

    async def result(self, job_id: str) -> JobResult:
        return await handle(self.engine, job_id).result()

    async def events(self, job_id: str) -> list[Event]:
        found: list[Event] = await handle(self.engine, job_id).query(
            "events", 0, result_type=list[Event]
        )
        return found

    async def queue(self, alias: str = "default") -> Queue:
        return await look_at(self.engine.client, model_queue(alias))

    async def until(self, true: Callable[[Queue], bool], within: float = 60) -> None:
        """Wait for a state of the queue of the default model."""
        async with asyncio.timeout(within):
            while not true(await self.queue()):  # noqa: ASYNC110  another process does it
                await asyncio.sleep(0.1)


def _wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    raise AssertionError(f"{words!r} was never said: {''.join(said)}")


@contextlib.asynccontextmanager
async def fleet(
    folder: Path, server: ModelServer, *, replayed: bool = True, **settings: Any
) -> AsyncIterator[Fleet]:
    """Serve until the block is left. `settings` are those of the default model, and `pressure`."""
    config = [w for k, v in DYNAMIC_CONFIG.items() for w in ("--dynamic-config-value", f"{k}={v}")]
    names = [w for k, v in SEARCH_ATTRIBUTES.items() for w in ("--search-attribute", f"{k}={v}")]
    model = {"base_url": server.base_url, "name": "m", "capability": 1}
    pressure = settings.pop("pressure", {})
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL, dev_server_extra_args=[*config, *names]
    ) as temporal:
        address = temporal.client.service_client.config.target_host
        given = {"models": {"default": {**model, **settings}}, "pressure": pressure}
        made = Fleet(folder, address, given)
        made.engine = await connect(made.settings)
        try:
            yield made
            if replayed:
                blobs = blob_store(made.settings)
                assert await replay_server(made.engine.client, blobs) > 0
        finally:
            for process in made.workers:
                if process.poll() is None:
                    process.kill()
                process.wait()
