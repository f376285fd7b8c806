"""Where `bench engine` runs its jobs: the embedded Temporal server and its workers, in a folder.

Starts and ends processes of its own; reads what they have used of the CPU. The server is started
with the command line of `crp.local`: one database file, tuned as the embedded engine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from bench.results import ROOT
from crp.config import Settings
from crp.errors import EngineError
from crp.local import temporal_server
from crp.local.leash import leashed

READY = 60.0
"""Seconds until a process must be ready."""


@dataclass
class Place:
    """Processes that work, by name, and where their server is."""

    settings: Settings
    address: str
    processes: dict[str, psutil.Process]

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU so far, of each process and of this one."""
        found = {name: _used(process) for name, process in self.processes.items()}
        return found | {"client": _used(psutil.Process())}


@contextlib.asynccontextmanager
async def place(home: Path, workers: Mapping[str, Sequence[str]]) -> AsyncIterator[Place]:
    """Start a server and roles of `bench.engine_worker`; each is ready when it polls its queues."""
    settings = Settings(home=home)
    port = _free_port()
    address = f"127.0.0.1:{port}"
    binary, _ = temporal_server.find_binary(settings, {})
    server = temporal_server.command(binary, settings, port, 0)
    probe = temporal_server.Probe(address, settings.temporal.namespace)
    with contextlib.ExitStack() as stack:

        def start(name: str, command: Sequence[str], **variables: str) -> psutil.Process:
            return stack.enter_context(_process(command, home / f"{name}.log", variables))

        started = {"server": start("server", server, **temporal_server.environment())}
        await _until(probe.healthy, "the Temporal server", home / "server.log")
        for role, queues in workers.items():
            command = (sys.executable, "-m", "bench.engine_worker", role, str(home), address)
            started[role] = start(role, command)
            for queue in queues:
                polled = partial(probe.polled, queue)
                await _until(polled, f"the worker {role}", home / f"{role}.log")
        yield Place(settings, address, started)


@contextlib.contextmanager
def _process(
    command: Sequence[str], log: Path, variables: Mapping[str, str]
) -> Iterator[psutil.Process]:
    """Run a process as long as the block; it ends with us, whatever happens."""
    with log.open("ab") as file:
        environment = {**os.environ, **variables, "PYTHONSAFEPATH": ""}  # `bench` is not installed
        process = subprocess.Popen(
            leashed(command), stdout=file, stderr=file, env=environment, cwd=ROOT
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until(ready: Callable[[], Awaitable[bool]], what: str, log: Path) -> None:
    over = time.monotonic() + READY
    while not await ready():
        if time.monotonic() > over:
            raise EngineError(f"{what} was not ready after {READY:.0f} s: {_last_words(log)}")
        await asyncio.sleep(0.05)


def _last_words(log: Path) -> str:
    said = log.read_text("utf-8", "replace").strip().splitlines() if log.is_file() else []
    return said[-1][:300] if said else "it said nothing"


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
