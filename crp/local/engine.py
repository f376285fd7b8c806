"""How clients find, start and stop the engine of a home.

`ensure` is what every command calls. It never holds the engine's lock: the supervisor does, and
`engine.json` names it. Two clients that start one at once start two supervisors, of which one gets
the lock and the other steps back.
"""

from __future__ import annotations

import asyncio
import atexit
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from os import environ
from pathlib import Path

from crp.config import ModelSettings, Settings
from crp.encryption import keyring
from crp.errors import EngineError
from crp.local.host import disk_full, is_full, not_writable, passed_on, prepare_home, rotate_log
from crp.local.roster import fetch_model, known_models, served_model
from crp.local.state import (
    EngineState,
    Running,
    live_clients,
    log_file,
    mark_client,
    read_state,
    unmark_client,
)
from crp.local.supervisor import HELD, end_engine, only_embedded
from crp.local.temporal_server import Probe
from crp.release import installed

START_WITHIN = 180.0
"""Seconds that the start of an engine may take, the fetching of a model not counted."""

ANSWER_WITHIN = 20.0
"""Seconds after which a running engine that does not answer counts as stuck: more than a server
that was killed needs to come back."""

COMMAND = (sys.executable, "-m", "crp.local")

Say = Callable[[str], None]

_launched: list[subprocess.Popen[bytes]] = []
"""Kept so that Python does not complain about processes that are meant to go on."""


async def ensure(
    settings: Settings, progress: Say | None = None, command: Sequence[str] = COMMAND
) -> Running:
    """Give the engine of this home; start one that goes on after this process when none runs.

    `progress` gets a text whenever something else is being done. The engine stays up while this
    process lives, or until `release`. Raises EngineError with the one line that says why not.
    """
    only_embedded(settings)
    keyring(settings)  # a job that nobody can decrypt must not be started
    prepare_home(settings)
    try:
        mark_client(settings.home)
        atexit.register(release, settings)
        return await _Finder(settings, progress or (lambda text: None), command).find()
    except OSError as error:
        raise EngineError(not_writable(settings.home, error)) from None


def release(settings: Settings) -> None:
    """Say that this process does not need the engine any more."""
    try:
        unmark_client(settings.home)
    except OSError:  # the home is gone, and the mark with it
        return


def status(settings: Settings) -> Running | None:
    """Say which engine runs for this home, whether or not it is ready; None when there is none."""
    state = read_state(settings.home)
    over = state.phase in ("stopped", "failed")  # its process may still be on its way out
    return None if over or not state.alive else state.running()


def last_failure(settings: Settings) -> str | None:
    """Give the line with which the last engine of this home failed, if it failed."""
    state = read_state(settings.home)
    return state.error if state.phase == "failed" else None


def clients(settings: Settings) -> int:
    """Count the processes that use the engine of this home."""
    return live_clients(settings.home)


async def stop(settings: Settings, within: float = 40.0) -> bool:
    """End the engine of this home, in order, and say whether there was one.

    After `within` seconds it is killed. Jobs go on at the next start.
    """
    return await end_engine(settings.home, within)


def lacks(state: EngineState, settings: Settings) -> str:
    """Say which of our models or keys an engine does not have; empty when it has all.

    Where a model is stands in every job; the engine's worker has to know its alias (it has a task
    queue of its own) and its key.
    """
    if served_model(settings) and not state.model_name:
        return "the embedded model"
    for alias, mine in known_models(settings).items():
        known = state.models.get(alias)
        keys = (mine.api_key_env, mine.api_key_file)
        if known is None or (any(keys) and keys != (known.api_key_env, known.api_key_file)):
            return f"the model {alias!r}"
    first = keyring(settings).first
    if first is not None and first.id not in state.key_ids:
        return f"the encryption key {first.id}"
    return ""


def outdated(state: EngineState, settings: Settings) -> str:
    """Say why an engine that has all that we need is not as one would be that is started now."""
    if state.release not in ("", installed()):
        return f"the engine is of release {state.release} and this is {installed()}"
    for alias, mine in known_models(settings).items():
        known = state.models.get(alias, mine)
        if _limits(known) != _limits(mine) and known.base_url == mine.base_url:
            return f"the engine was started with other limits of the model {alias!r}"
    return ""


def _limits(model: ModelSettings) -> tuple[int, float | None]:
    return model.concurrency, model.requests_per_minute


async def _has_jobs(state: EngineState) -> bool:
    from temporalio.service import RPCError

    try:
        return await Probe(state.address, state.namespace).running_workflows() > 0
    except RPCError:  # not known is not idle
        return True


KILLS = 3
"""How often an engine that somebody kills while it starts is started again."""


class _Finder:
    """One call of `ensure`: look, start when there is nothing, look again."""

    def __init__(self, settings: Settings, say: Say, command: Sequence[str]) -> None:
        self.settings = settings
        self.home = settings.home
        self.command = command
        self.launched: subprocess.Popen[bytes] | None = None
        self.deadline = time.monotonic() + START_WITHIN
        self._say = say
        self._said = ""
        self._killed = 0

    async def find(self) -> Running:
        while time.monotonic() < self.deadline:
            state = read_state(self.home)
            if state.alive and state.phase == "running":
                await self._check_answers(state)
                if lacking := lacks(state, self.settings):
                    await self._widen(state, lacking)
                elif not await self._renewed(state):
                    return state.running(started=self._is_mine(state))
                continue
            if state.alive:
                self.say(state.stage if state.phase == "starting" else "waiting for the last one")
            elif self.launched is None:
                await self._launch()
            elif self.launched.poll() is not None:
                self._after_end(self.launched)
            await asyncio.sleep(0.05)
        raise EngineError(self._too_late())

    def say(self, text: str) -> None:
        if text and text != self._said:
            self._said = text
            self._say(text)

    async def _launch(self) -> None:
        # Here and not in the supervisor, so that Ctrl-C ends a long download.
        if served := served_model(self.settings):
            await fetch_model(self.settings, served, self.say)
        self.say("starting the engine")
        self._start_detached()

    def _start_detached(self) -> None:
        log = log_file(self.home, "engine")
        rotate_log(log)
        with log.open("ab") as output:
            self.launched = subprocess.Popen(
                self.command,
                cwd=self.home,  # not ours: it must not keep a directory of the user's in use
                env=passed_on(self.settings, environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        _launched.append(self.launched)
        self.deadline = time.monotonic() + START_WITHIN  # a download may have used it up

    def _after_end(self, process: subprocess.Popen[bytes]) -> None:
        """Raise what our supervisor failed with, unless it only stepped back for another one."""
        state = read_state(self.home)
        if self._is_mine(state) and state.phase == "failed":
            raise EngineError(state.error)
        if is_full(self.home):
            raise EngineError(disk_full(self.home, "the engine could not write"))
        if process.returncode < 0 and self._killed < KILLS:
            self._killed += 1
            self.say("the engine was killed: starting it again")
        elif process.returncode not in (0, HELD):
            log = log_file(self.home, "engine")
            lines = log.read_text(errors="replace").split("\n")
            words = next((line for line in reversed(lines) if line.strip()), "it wrote nothing")
            raise EngineError(
                f"the engine ended with exit code {process.returncode}: {words}; its log is {log}"
            )
        self.launched = None

    def _is_mine(self, state: EngineState) -> bool:
        mine = self.launched.pid if self.launched else None
        return state.supervisor is not None and state.supervisor.pid == mine

    async def _widen(self, state: EngineState, lacking: str) -> None:
        """Start the engine again with our models beside those it has; its jobs go on."""
        if state.foreground:
            pid = state.supervisor.pid if state.supervisor else 0
            raise EngineError(
                f"the engine of {self.home} (pid {pid}) was started without {lacking}: end it and "
                "start it again with these settings, or take another --home"
            )
        self.say(f"starting the engine again with {lacking}")
        await self._stop_for_ours(state)

    async def _renewed(self, state: EngineState) -> bool:
        """Whether an outdated engine was ended, because nobody uses it; else say so."""
        if not (why := outdated(state, self.settings)):
            return False
        if state.foreground or live_clients(self.home) > 1 or await _has_jobs(state):
            self.say(f"{why}: `crp down` ends it, the next command starts it anew; jobs go on")
            return False
        self.say(f"{why}: starting it again")
        await self._stop_for_ours(state)
        return True

    async def _stop_for_ours(self, state: EngineState) -> None:
        """End the engine; the next one has our models beside those that it had."""
        models = {**state.models, **known_models(self.settings)}
        self.settings = self.settings.model_copy(update={"models": models})
        await stop(self.settings)
        self.launched = None

    async def _check_answers(self, state: EngineState) -> None:
        probe = Probe(state.address, state.namespace)
        deadline = time.monotonic() + ANSWER_WITHIN
        while not await probe.healthy(within=2.0):
            if time.monotonic() > deadline:
                pid = state.supervisor.pid if state.supervisor else 0
                raise EngineError(
                    f"an engine runs for {self.home} (pid {pid}), but its Temporal server at "
                    f"{state.address} does not answer: end it with `crp down` and start again; "
                    f"its log is {log_file(self.home, 'temporal')}"
                )
            self.say("waiting for the Temporal server")
            await asyncio.sleep(0.2)

    def _too_late(self) -> str:
        state = read_state(self.home)
        pid = state.supervisor.pid if state.supervisor else 0
        doing = f"{state.phase}, {state.stage}" if state.stage else state.phase
        logs = Path(self.home) / "logs"
        return (
            f"the engine of {self.home} (pid {pid}) was not ready after {START_WITHIN:g} s "
            f"({doing}): end it with `crp down` and start again; its logs are in {logs}"
        )
