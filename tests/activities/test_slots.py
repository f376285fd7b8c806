"""Slots: no more calls at once than the model takes, over all workers that share a folder."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crp.config import ModelSettings, Settings
from crp.models import Completion, Message, ModelProfile
from crp.queues import Queue
from crp_activities import slots
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest
from crp_activities.slots import Lane

HOLDER = """
import asyncio, sys
from pathlib import Path
from crp_activities.slots import Lane
async def main():
    async with Lane(1, Path(sys.argv[1])).slot():
        print("holds", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


class Room:
    """Counts who is in it at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.came = 0

    async def visit(self, lane: Lane) -> None:
        async with lane.slot():
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.came += 1
            await asyncio.sleep(0.01)
            self.inside -= 1


async def test_lanes_of_one_folder_share_their_slots(tmp_path: Path) -> None:
    room, lanes = Room(), [Lane(3, tmp_path / "m"), Lane(3, tmp_path / "m")]
    await asyncio.gather(*(room.visit(lanes[n % 2]) for n in range(40)))
    assert (room.came, room.most) == (40, 3)


async def test_lanes_of_other_folders_or_of_none_do_not(tmp_path: Path) -> None:
    room, lanes = Room(), [Lane(2, tmp_path / "a"), Lane(2, tmp_path / "b"), Lane(2)]
    await asyncio.gather(*(room.visit(lane) for lane in lanes for _ in range(6)))
    assert (room.came, room.most) == (18, 6)


def another_process(folder: Path) -> subprocess.Popen[str]:
    """One that holds the only slot."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holds\n"
    return holder


async def test_a_killed_holder_gives_its_slot_back_and_not_before(tmp_path: Path) -> None:
    holder = another_process(tmp_path)
    try:
        room, lane = Room(), Lane(1, tmp_path)
        visit = asyncio.create_task(room.visit(lane))
        for _ in range(20):
            await asyncio.sleep(slots.LOOKS[1])
        assert room.came == 0
        assert lane.wait() > 0
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    await asyncio.wait_for(visit, 20)
    assert room.came == 1


async def test_a_waiter_that_gives_up_takes_no_slot(tmp_path: Path) -> None:
    first, second, third = (Lane(1, tmp_path) for _ in range(3))
    room = Room()
    async with first.slot():
        waiting = asyncio.create_task(room.visit(second))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(room.visit(third), 20)
    await asyncio.wait_for(room.visit(second), 20)
    assert room.came == 2


async def test_where_files_can_not_be_locked_each_counts_for_itself_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(file: Path) -> int:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(slots, "_locked", refused)
    room, lanes = Room(), [Lane(2, tmp_path), Lane(2, tmp_path)]
    await asyncio.gather(*(room.visit(lanes[n % 2]) for n in range(12)))
    assert (room.came, room.most) == (12, 4)
    assert len([r for r in caplog.records if "each counts for itself" in r.message]) == 2


class Counted:
    """A model that counts the calls at once of everybody who holds it."""

    def __init__(self) -> None:
        self.room = Room()

    async def complete(self, request: ModelRequest) -> Completion:
        await self.room.visit(Lane(1000))
        return Completion(text="yes")


async def test_the_workers_of_a_home_count_together(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, models={"default": ModelSettings(base_url="http://x/v1")})
    model, profile = Counted(), ModelProfile(base_url="http://x/v1", concurrency=2)
    request = ModelRequest(messages=(Message(role="user", content="?"),))
    workers = [Models(settings, providers={"default": model}) for _ in range(3)]
    # The worker's own settings say 4, and know the server better than the job's profile.
    await asyncio.gather(*(workers[n % 3].complete(profile, request) for n in range(30)))
    assert (model.room.came, model.room.most) == (30, 4)


@pytest.mark.parametrize(
    ("queue", "up", "wait"),
    [
        (Queue(True, waiting=0, age=0, rate=2), 1000, 0),
        (Queue(True, waiting=40, age=30, rate=2), 1000, 20),
        (Queue(True, waiting=100, age=30, rate=2), 1000, 30),
        (Queue(True, waiting=9, age=700, rate=0), 1000, 700),
        (Queue(True, waiting=9, age=28_800, rate=0), 5, 5),  # it stands there since an outage
        (Queue(True, waiting=9, age=28_800, rate=3), 90_000, 3),
    ],
)
def test_how_long_a_call_would_wait_in_a_queue(queue: Queue, up: float, wait: float) -> None:
    assert queue.wait(up) == wait


def test_only_models_with_a_limit_have_a_pace(tmp_path: Path) -> None:
    models = {
        "default": ModelSettings(base_url="http://x/v1", requests_per_minute=30),
        "free": ModelSettings(base_url="http://y/v1"),
    }
    settings = Settings(home=tmp_path, models=models)
    assert settings.paces() == {"default": 0.5}
    assert "requests_per_minute" not in settings.profiles()["default"].model_dump()
