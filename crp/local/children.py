"""Keep a child process running: start it, watch it, start it again, end it.

`Child` is data: a name, a command line, how to see that it is ready and how to read its last
words. `Keeper` owns one process at a time. Output goes to the child's log file and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crp.errors import EngineError
from crp.local.leash import leashed
from crp.local.state import ProcessId

QUICK_DEATH = 5.0
"""Seconds of life below which a death counts as `at once`, as does one before it was ready."""

QUICK_DEATHS = 4
"""So many quick deaths in a row end the engine."""

BACK_OFF = (0.1, 0.5, 2.0)
"""Seconds before the next start after the first, second, third quick death in a row."""


# Windows knows no sessions: there the process group does the same.
NEW_GROUP = 0
if sys.platform == "win32":
    NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP


async def _always() -> bool:
    return True


@dataclass(frozen=True)
class Child:
    """One process of the engine. `env` is added to the engine's own environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] = _always
    """Asked until it says yes; may raise OSError."""
    ready_within: float = 60.0
    """Seconds from a start until it must be ready."""
    stop_within: float = 10.0
    """Seconds between asking it to end and killing it."""
    explain: Callable[[str], str | None] = lambda log: None
    """Reads its last output: one line when starting it again can not help."""


class Keeper:
    """Owns the process of one child. `changed` is called after every start and every end."""

    def __init__(
        self, child: Child, log: Path, env: Mapping[str, str], changed: Callable[[], None]
    ) -> None:
        self.child = child
        self.ready = asyncio.Event()
        self.starts = 0
        self.process: asyncio.subprocess.Process | None = None
        self._log = log
        self._env = {**env, **child.env}
        self._changed = changed
        self._stopping = asyncio.Event()
        self._log_start = 0
        self._quick = 0

    @property
    def pid(self) -> int | None:
        """The pid of the living process."""
        alive = self.process is not None and self.process.returncode is None
        return self.process.pid if self.process and alive else None

    async def keep(self) -> None:
        """Keep the child running until `stop`. Raises EngineError when that is no use."""
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                process = await self._start()
            except OSError as error:
                raise EngineError(f"{self.child.name} can not be started: {error}") from None
            was_ready = await self._watch(process)
            self._changed()
            if not self._stopping.is_set():
                quick = not was_ready or time.monotonic() - started < QUICK_DEATH
                await self._after_death(quick, process.returncode)

    async def stop(self) -> None:
        """Ask the child to end, and kill it after `stop_within` seconds."""
        self._stopping.set()
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.child.stop_within)
        except TimeoutError:
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End the child at once."""
        self._stopping.set()
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    async def _start(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *leashed(self.child.argv),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the supervisor alone, which ends the children in order.
                start_new_session=True,
                umask=-1 if sys.platform == "win32" else 0o077,  # jobs are nobody else's business
                creationflags=NEW_GROUP,
            )
        self.starts += 1
        self._changed()
        if self._stopping.is_set():  # asked to stop while it was being started
            self.kill()
        return self.process

    async def _watch(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the end of the process, and say whether it was ever ready."""
        ended = asyncio.create_task(process.wait())
        readiness = asyncio.create_task(self._wait_ready())
        try:
            await asyncio.wait({ended, readiness}, return_when=asyncio.FIRST_COMPLETED)
            if readiness.done() and not readiness.result() and not ended.done():
                raise EngineError(self._not_ready())
            await ended
            return readiness.done() and readiness.result()
        finally:
            readiness.cancel()
            ended.cancel()

    async def _wait_ready(self) -> bool:
        deadline = time.monotonic() + self.child.ready_within
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if await self.child.ready():
                    self.ready.set()
                    return True
            await asyncio.sleep(0.03)
        return False

    async def _after_death(self, quick: bool, code: int | None) -> None:
        if known := self.child.explain(self.last_words()):
            raise EngineError(known)
        self._quick = self._quick + 1 if quick else 0
        if self._quick >= QUICK_DEATHS:
            raise EngineError(
                f"{self.child.name} ended {self._quick} times right after its start "
                f"(exit code {code}): {self._last_line()}; its log is {self._log}"
            )
        # A stop while we wait must not wait with us.
        with contextlib.suppress(TimeoutError):
            pause = BACK_OFF[max(self._quick - 1, 0)]
            await asyncio.wait_for(self._stopping.wait(), pause)

    def _not_ready(self) -> str:
        return self.child.explain(self.last_words()) or (
            f"{self.child.name} was not ready after {self.child.ready_within:g} s: "
            f"{self._last_line()}; its log is {self._log}"
        )

    def last_words(self) -> str:
        """The end of what the child wrote since its last start."""
        with self._log.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(self._log_start, size - 20_000))
            return log.read().decode(errors="replace")

    def _last_line(self) -> str:
        lines = [line.strip() for line in self.last_words().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("Error:")]
        return (errors or lines or ["it wrote nothing"])[-1][:400]


def end_processes(processes: Iterable[ProcessId], within: float = 5.0) -> None:
    """Kill the processes that are still there, and wait up to `within` seconds for their end."""
    processes = list(processes)
    for identity in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process := identity.process():
                process.kill()
    deadline = time.monotonic() + within
    # Not psutil's wait: it also waits for whoever has to reap them.
    while time.monotonic() < deadline and any(p.process() for p in processes):
        time.sleep(0.02)
