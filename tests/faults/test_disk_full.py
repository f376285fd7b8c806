"""The disk fills up under server, journal and store while a batch runs, and is emptied again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import ANSWER, Engine, until
from tests.support.model_server import ModelServer, prompt_of
from tests.support.replay import replay_home

pytestmark = pytest.mark.slow

JOBS = 4


class SmallEngine(Engine):
    """An engine whose home is a disk of its own."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        super().__init__(folder, server)
        self.home.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(self.home)]
        if sys.platform != "linux" or os.geteuid() or subprocess.run(command).returncode:
            pytest.skip("mounting a small disk takes root on Linux")

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "CRP_EMBEDDED__MIN_FREE_MB": "0"}

    def fill(self) -> None:
        filler = (self.home / "filler").open("ab", buffering=0)
        with filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 4096)

    def make_room(self) -> None:
        (self.home / "filler").unlink()

    def end(self) -> None:
        super().end()
        subprocess.run(["umount", "-l", str(self.home)], check=True)


@pytest.fixture
def engine(tmp_path: Path, server: ModelServer) -> Iterator[SmallEngine]:
    made = SmallEngine(tmp_path, server)
    yield made
    made.end()


def test_a_batch_on_a_full_disk_loses_nothing(engine: SmallEngine) -> None:
    tasks = [{"id": f"t{n}", "task": f"the chain on a full disk {n}"} for n in range(JOBS)]
    (engine.work / "tasks.jsonl").write_text("".join(json.dumps(t) + "\n" for t in tasks))
    where = ["--base-url", engine.server.base_url, "--model", "behave/late:2", "--capability", "1"]
    words = ["batch", "tasks.jsonl", "-t", "chain", "--out", "results.jsonl", *where]
    running = engine.start(*words)
    answered = engine.server.answered
    _until(lambda: len(answered) >= JOBS)
    engine.fill()
    said = until(running, "is full")
    assert said.splitlines()[-1].endswith(
        f"the disk of {engine.home} is full: make room, and the jobs go on by themselves"
    )
    refused = engine.run("run", "Where is Lyon?", *where)
    assert refused.returncode != 0
    assert "No space left" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    for _ in range(3):  # whatever comes next meets a full disk, too: the store's records
        engine.make_room()
        seen = len(answered)
        _until(lambda: len(answered) > seen + 1 or running.poll() is not None)  # noqa: B023
        engine.fill()
        time.sleep(3)
    engine.make_room()
    _, err = running.communicate(timeout=180)
    assert running.returncode == 0, err

    asked = Counter(map(prompt_of, engine.server.requests))
    assert (len(asked), set(asked.values())) == (4 * JOBS, {1})
    outcomes = [json.loads(line) for line in (engine.work / "results.jsonl").open()]
    assert sorted(o["id"] for o in outcomes) == [t["id"] for t in tasks]
    assert {(o["status"], o["answer"]) for o in outcomes} == {("completed", ANSWER)}
    jobs = engine.sql("select job_id, count(*) as n, min(status) as status from jobs group by 1")
    assert sorted(j["job_id"] for j in jobs) == sorted(o["job_id"] for o in outcomes)
    assert {(j["n"], j["status"]) for j in jobs} == {(1, "completed")}
    assert asyncio.run(replay_home(engine.home)) == JOBS


def _until(come: Callable[[], bool], within: float = 90.0) -> None:
    deadline = time.monotonic() + within
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.05)
