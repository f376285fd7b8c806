"""A real engine as processes, a model server that counts, and a template of four steps in a row."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crp.local.state import read_state
from tests.cli.conftest import Cli, read_until
from tests.support.model_server import ModelServer, prompt_of
from tests.support.replay import replay_home

CHAIN = """\
format: 1
template: chain
match: [chain]
complexity: 3
probe: no
steps:
  first: "Say the FIRST thing about {{ task }}"
  second: "After {{ first }} say the SECOND thing"
  third: "After {{ second }} say the THIRD thing"
  fourth: "After {{ third }} say the FOURTH thing"
"""
ANSWER = "Lyon lies on the Rhone."
LEVELS = ("low", "moderate", "high", "critical")
UNMOVED = {
    f"{what}_{level}": 1e6 + n for what in ("load", "wait") for n, level in enumerate(LEVELS)
}
"""Plans are as long on a busy machine: what is asked is counted."""


class Engine(Cli):
    """An engine in a home of its own, and the job that the test is about."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        super().__init__(folder)
        self.server = server
        (self.work / "templates").mkdir()
        (self.work / "templates" / "chain.yaml").write_text(CHAIN)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "CRP_PRESSURE": json.dumps(UNMOVED)}

    def ask(self, task: str, behaviour: str, *more: str) -> subprocess.Popen[str]:
        model = f"behave/{behaviour}"
        where = ["--base-url", self.server.base_url, "--model", model, "--capability", "1"]
        return self.start("run", task, "-t", "chain", *where, *more)

    def kill(self, name: str) -> float:
        """kill -9 one part of the engine; gives when (time.monotonic)."""
        state = read_state(self.home)
        found = state.supervisor if name == "supervisor" else state.children[name]
        assert found is not None
        at = time.monotonic()
        os.kill(found.pid, signal.SIGKILL)
        return at

    def kill_if_alive(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill(name)

    def sql(self, query: str) -> list[dict[str, Any]]:
        done = self.run("sql", query, "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def asked_again(self, task: str, killed: float) -> list[str]:
        """Prompts that had been answered before the kill and were asked once more."""
        # An answer that left the server in the very moment of the kill may never have arrived.
        before = {p for at, p in self.server.answered if at < killed - 0.5 and task in p}
        assert before, "nothing was answered before the kill: the test shows nothing"
        asked = [prompt_of(body) for body in self.server.requests]
        return [prompt for prompt in before if asked.count(prompt) > 1]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(text=ANSWER) as serving:
        yield serving


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, server: ModelServer) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("faults"), server)
    yield made
    assert asyncio.run(replay_home(made.home)) > 0
    made.end()


def job_id(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("job ")).split()[1]


def until(process: subprocess.Popen[str], pattern: str) -> str:
    return read_until(process, pattern)
