"""The supervisor: one process per home that starts, watches and ends the engine's children.

It holds `<home>/engine.lock` for as long as it lives, and alone writes `engine.json`. The Temporal
server and the model come first; the worker and the store owner when the server answers. They end
in the opposite order, so that finished work is still reported. After kill -9 the next start ends
whatever the children's leash did not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import psutil

from crp.config import Settings
from crp.encryption import keyring
from crp.errors import ConfigError, CRPError, EngineError
from crp.local import roster, temporal_server
from crp.local.children import Child, Keeper, end_processes
from crp.local.host import passed_on, prepare_home, rotate_log
from crp.local.ports import choose_port
from crp.local.state import (
    EngineState,
    Phase,
    ProcessId,
    live_clients,
    lock_file,
    log_file,
    read_state,
    write_state,
)
from crp.release import installed

IDLE_CHECKS = 4
"""How often in the idle time it is looked whether anybody is there."""

Workers = Callable[[EngineState], list[Child]]

HELD = 75
"""Exit code of a supervisor that stepped back because another one holds the home."""


class AlreadyRunning(EngineError):
    """Another supervisor holds this home."""


async def serve(
    settings: Settings,
    foreground: bool = True,
    progress: Callable[[str], None] | None = None,
    workers: Workers | None = None,
) -> None:
    """Run the engine of this home until a signal, or until it is idle unless `foreground`.

    SIGINT, SIGTERM and SIGHUP end it in order, within about 20 s; a second one at once. In the
    foreground it takes over from an engine that a client started: its jobs go on. `workers` gives
    the children that need Temporal, for tests and for workers of your own. Raises AlreadyRunning,
    or EngineError with the one line that says why it can not go on.
    """
    only_embedded(settings)
    prepare_home(settings)
    if foreground:
        settings = await _take_over(settings)
    with _held(settings.home):
        await _Supervisor(settings, foreground, progress or (lambda text: None), workers).run()


async def _take_over(settings: Settings) -> Settings:
    """End an engine that would end by itself; its models are served on beside ours."""
    state = read_state(settings.home)
    if not state.alive or state.foreground:
        return settings
    await end_engine(settings.home)
    models = {**state.models, **roster.known_models(settings)}
    return settings.model_copy(update={"models": models})


async def end_engine(home: Path, within: float = 40.0) -> bool:
    """End the supervisor of a home and its children; kill them after `within` seconds.

    Gives whether there was one.
    """
    state = read_state(home)
    process = state.supervisor.process() if state.supervisor else None
    if process is None:
        return False
    deadline = time.monotonic() + within
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        while state.alive:  # psutil's wait would take the exit code from whoever started it
            if time.monotonic() > deadline:
                process.kill()
            await asyncio.sleep(0.03)
    end_processes(read_state(home).children.values())
    return True


def only_embedded(settings: Settings) -> None:
    """Refuse settings that name a Temporal server of the user's own. Raises ConfigError."""
    if settings.temporal.address:
        raise ConfigError(
            f"temporal.address is {settings.temporal.address!r}: that server is used, with "
            "`crp worker`; the embedded engine is for when it is empty"
        )


@contextmanager
def _held(home: Path) -> Iterator[None]:
    lock = filelock.FileLock(lock_file(home), mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        owner = read_state(home).supervisor
        pid = f" (pid {owner.pid})" if owner else ""
        raise AlreadyRunning(f"an engine already runs for {home}{pid}") from None
    try:
        yield
    finally:
        lock.release()


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        foreground: bool,
        progress: Callable[[str], None],
        workers: Workers | None,
    ) -> None:
        self.settings = settings
        self.home = settings.home
        self.progress = progress
        self.workers = workers or (lambda state: roster.workers(settings, state))
        self.last = read_state(self.home)
        self.state = EngineState(
            supervisor=ProcessId.of(os.getpid()),
            started_at=datetime.now(UTC),
            foreground=foreground,
            namespace=settings.temporal.namespace,
            models=roster.known_models(settings),
            key_ids=keyring(settings).ids,
            versions=self.last.versions,
            release=installed(),
            model_key=self.last.model_key or secrets.token_urlsafe(32),
        )
        self.env = passed_on(settings, os.environ)
        self.keepers: list[Keeper] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.stopping = asyncio.Event()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- the life of an engine ------------------------------------------------------------

    async def run(self) -> None:
        end_processes(self.last.children.values())
        self._phase("starting")
        try:
            with self._signals():
                try:
                    await self._until_stopped(self._start_up())
                    await self._until_stopped(self._stay())
                finally:
                    await self._shut_down()
        except CRPError as error:
            self.state.error = str(error)
            self._phase("failed")
            raise
        self._phase("stopped")

    async def _start_up(self) -> None:
        binary, model = await self._prepare()
        self._say("starting the Temporal server")
        probe = temporal_server.Probe(self.state.address, self.state.namespace)
        server = self._keep(roster.temporal(self.settings, self.state, binary, probe))
        served = [self._keep(roster.model(self.settings, self.state, model))] if model else []
        await server.ready.wait()
        await probe.keep_histories(self.settings.embedded.retention_days)
        self._say("starting the worker and the store")
        served += [self._keep(child) for child in self.workers(self.state)]
        for keeper in served:
            await keeper.ready.wait()
        self.probe = probe
        self.state.stage = ""
        self._phase("running")

    async def _stay(self) -> None:
        """Wait: for ever in the foreground, else until nobody needs the engine."""
        patience = self.settings.embedded.idle_minutes * 60
        last_used = time.monotonic()
        while self.home.exists():
            await asyncio.sleep(min(15.0, patience / IDLE_CHECKS))
            if self.state.foreground or await self._in_use():
                last_used = time.monotonic()
            elif time.monotonic() - last_used >= patience and self._may_end():
                return

    async def _in_use(self) -> bool:
        from temporalio.service import RPCError

        if live_clients(self.home):
            return True
        try:
            return await self.probe.running_workflows() > 0 or await self.probe.has_schedules()
        except RPCError:  # not known is not idle
            return True

    def _may_end(self) -> bool:
        # A client first leaves its mark and then reads the phase; we do it the other way round,
        # so one of us always sees the other.
        self._phase("stopping")
        if not live_clients(self.home):
            return True
        self._phase("running")
        return False

    async def _shut_down(self) -> None:
        self._phase("stopping")
        servers = [k for k in self.keepers if k.child.name in roster.SERVERS]
        await asyncio.gather(*(k.stop() for k in self.keepers if k not in servers))
        await asyncio.gather(*(k.stop() for k in servers))
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` until it is done, a signal comes or a child can not be kept."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self.stopping.wait())
        try:
            waited: set[asyncio.Future[Any]] = {task, stop, self.broken}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self.broken.done():
                self.broken.result()
            if task.done():
                task.result()
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    # -- what is started ------------------------------------------------------------------

    async def _prepare(self) -> tuple[Path, Path | None]:
        """Choose ports, find the binary, get the model's file."""
        served = roster.served_model(self.settings)
        self._choose_ports(model=served is not None)
        binary, _ = temporal_server.find_binary(self.settings, self.state.versions)
        if served is None:
            return binary, None
        self.state.model_name = served.name
        return binary, await roster.fetch_model(self.settings, served, self._say)

    def _choose_ports(self, model: bool) -> None:
        embedded, last, state = self.settings.embedded, self.last, self.state
        state.port = choose_port("embedded.port", embedded.port, last.port)
        # What is not served now keeps its port for a later start.
        state.ui, state.ui_port, state.model_port = embedded.ui, last.ui_port, last.model_port
        if embedded.ui:
            taken = {state.port}
            state.ui_port = choose_port("embedded.ui_port", embedded.ui_port, last.ui_port, taken)
        if model:
            taken = {state.port, state.ui_port}
            state.model_port = choose_port(
                "embedded.model_port", embedded.model_port, last.model_port, taken
            )

    def _keep(self, child: Child) -> Keeper:
        log = log_file(self.home, child.name)
        rotate_log(log)
        keeper = Keeper(child, log, self.env, self._note_children)
        self.keepers.append(keeper)
        task = asyncio.create_task(keeper.keep(), name=child.name)
        task.add_done_callback(self._keeper_ended)
        self.tasks.append(task)
        return keeper

    def _keeper_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error and not self.broken.done():
            self.broken.set_exception(error)

    # -- what is told ---------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self.state.stage = text
        self.progress(text)
        self._write()

    def _phase(self, phase: Phase) -> None:
        self.state.phase = phase
        self._write()

    def _note_children(self) -> None:
        self.state.children = {}
        for keeper in self.keepers:
            # Unless it died in this very moment: then we are called again.
            with contextlib.suppress(psutil.NoSuchProcess):
                if keeper.pid:
                    self.state.children[keeper.child.name] = ProcessId.of(keeper.pid)
        self.state.restarts = {k.child.name: max(0, k.starts - 1) for k in self.keepers}
        self._write()

    def _write(self) -> None:
        # A full disk must not end an engine whose jobs may still finish.
        with contextlib.suppress(OSError):
            write_state(self.home, self.state)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if sys.platform == "win32":  # no handlers in its event loop: Ctrl-C cancels `run`
            yield
            return
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        if self.stopping.is_set():  # a second time: no more patience
            for keeper in self.keepers:
                keeper.kill()
        self.stopping.set()
