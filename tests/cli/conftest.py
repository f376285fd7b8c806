"""The command line in this process for what needs no engine, as real processes for the rest."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crp.cli.app import app
from crp.config import load_settings
from crp.errors import CRPError
from crp.local import model_files
from crp.local.children import end_processes
from crp.local.state import read_state
from tests.support.replay import replay_home

Crp = Callable[..., Any]


@pytest.fixture
def crp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crp:
    """Runs one command line in a fresh home and an empty working directory."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("CRP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CRP_DEBUG", raising=False)

    def invoke(*words: str, **options: Any) -> Any:
        return CliRunner().invoke(app, list(words), prog_name="crp", **options)

    return invoke


class Cli:
    """`crp` as processes that share a home."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.started: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CRP_") or k == "CRP_CACHE"}
        return {**kept, "CRP_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "crp", *words],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.started.append(process)
        return process

    def run(self, *words: str, within: float = 90) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=within)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def interrupt(self, process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
        """Send a signal and give what was said on stderr from then on."""
        process.send_signal(number)
        return process.communicate(timeout=30)[1]

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        self.run("down")
        state = read_state(self.home)
        end_processes([*([state.supervisor] if state.supervisor else []), *state.children.values()])


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """One home for a module; its engine is ended afterwards."""
    made = Cli(tmp_path_factory.mktemp("cli"))
    yield made
    asyncio.run(replay_home(made.home))
    made.end()


@pytest.fixture(scope="module")
def model_cache() -> Path:
    """Skips when the embedded model is not here and can not be fetched."""
    settings = load_settings()
    try:
        model_files.pull(settings)
    except CRPError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return settings.cache


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read stderr up to a line that matches; fails when the process ends before."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    raise AssertionError(f"{pattern!r} was never said: {''.join(lines)}")


@pytest.fixture
def until() -> Callable[[subprocess.Popen[str], str], str]:
    return read_until
