"""Real engines in temporary homes, with stand-ins for the worker and the store owner."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crp.config import ModelSettings, Settings, load_settings
from crp.errors import CRPError
from crp.local import Running, ensure, model_files, release
from crp.local.children import end_processes
from crp.local.state import read_state

ENGINE = (sys.executable, str(Path(__file__).with_name("stand_in_engine.py")))

ELSEWHERE = {"default": ModelSettings(base_url="http://127.0.0.1:9/v1", name="none")}
"""A model that this machine does not have to serve."""

Make = Callable[..., Settings]
Start = Callable[..., Awaitable[Running]]
Until = Callable[..., Awaitable[Any]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Settings of a fresh home; whatever engine was started for them is gone after the test."""
    made: list[Settings] = []

    def settings(home: Path | None = None, **overrides: Any) -> Settings:
        overrides = {"models": ELSEWHERE, "cache": tmp_path / "cache", **overrides}
        made.append(load_settings(home or tmp_path / "home", **overrides))
        return made[-1]

    yield settings
    for one in made:
        state = read_state(one.home)
        supervisor = [state.supervisor] if state.supervisor else []
        end_processes([*supervisor, *state.children.values()])
        release(one)


@pytest.fixture
def start() -> Start:
    """Calls `ensure` as a command does, but for an engine with stand-ins."""

    async def ensured(settings: Settings, **options: Any) -> Running:
        return await ensure(settings, command=ENGINE, **options)

    return ensured


@pytest.fixture
def until() -> Until:
    """Waits for something that has to happen; fails when it does not."""

    async def wait(condition: Callable[[], Any], within: float = 30.0) -> Any:
        async with asyncio.timeout(within):
            while not (found := condition()):  # noqa: ASYNC110 - what it waits for is elsewhere
                await asyncio.sleep(0.05)
        return found

    return wait


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """A cache with the embedded model; skips when there is none and it can not be fetched."""
    settings = load_settings()
    try:
        model_files.pull(settings)
    except CRPError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return settings.cache


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a real file system of a given size."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        point = tmp_path / "disk"
        point.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(point)]
        if sys.platform != "linux" or os.geteuid() or subprocess.run(command).returncode:
            pytest.skip("mounting a small disk takes root on Linux")
        mounted.append(point)
        return point

    yield mount
    for point in mounted:
        subprocess.run(["umount", "-l", str(point)], check=True)
