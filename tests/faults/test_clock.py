"""The machine's clock is set while a job runs: the job goes on, and the engine is still found.

A library of a few lines, made here, stands between the processes and what the C library tells of
the time of day; the monotonic clock stays true, as it does when a clock is set. The Temporal server
is a Go program that asks the kernel itself: its clock stays, as that of a server elsewhere would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import ANSWER, Engine, job_id, until
from tests.support.model_server import ModelServer, prompt_of

pytestmark = pytest.mark.slow

DAY = 86_400
LIBRARY = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    char text[32] = {0};
    int file = open(getenv("SHIFT_FILE"), O_RDONLY);
    if (file < 0) return 0;
    long got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 ? atol(text) : 0;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) now->tv_sec += shift();
    return failed;
}
time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
"""


class ShiftedEngine(Engine):
    """An engine, and its clients, whose clock is `shift` off."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        super().__init__(folder, server)
        self.clock, self.library = folder / "clock", folder / "clock.so"
        self.shift(0)
        (folder / "clock.c").write_text(LIBRARY)
        command = ["cc", "-shared", "-fPIC", "-o", self.library, folder / "clock.c"]
        subprocess.run(command, check=True)

    def shift(self, seconds: int) -> None:
        self.clock.write_text(f"{seconds:+d}\n")

    @property
    def environment(self) -> dict[str, str]:
        shifted = {"LD_PRELOAD": str(self.library), "SHIFT_FILE": str(self.clock)}
        return {**super().environment, **shifted}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, server: ModelServer) -> Iterator[Engine]:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("shifting what processes read as the time takes Linux and a C compiler")
    made = ShiftedEngine(tmp_path_factory.mktemp("clock"), server)
    yield made
    made.end()


@pytest.mark.parametrize("seconds", [3 * DAY, -3 * DAY])
def test_a_job_goes_on_when_the_clock_is_set(engine: ShiftedEngine, seconds: int) -> None:
    engine.shift(0)
    task = f"the chain whose clock is set by {seconds}"
    asking = engine.ask(task, "late:3")
    said = until(asking, "second: running")
    engine.shift(seconds)
    out, err = asking.communicate(timeout=120)
    assert asking.returncode == 0, err
    assert out.strip() == ANSWER
    asked = Counter(p for p in map(prompt_of, engine.server.requests) if task in p)
    assert len(asked) == 4
    assert set(asked.values()) == {1}
    job = job_id(said)
    (row,) = engine.sql(f"select status, seconds from jobs where job_id = '{job}'")
    assert row["status"] == "completed"
    steps = engine.sql(f"select run_seconds from steps where job_id = '{job}'")
    assert len(steps) == 4
    # What is measured over days that did not pass would be a lie in every later analysis.
    assert all(
        0 < seconds < 600 for seconds in (row["seconds"], *(s["run_seconds"] for s in steps))
    )


def test_the_shift_reaches_the_processes(engine: ShiftedEngine) -> None:
    engine.shift(3 * DAY)
    command = [sys.executable, "-c", "import time; print(time.time())"]
    told = subprocess.run(command, env=engine.environment, capture_output=True, text=True)
    assert float(told.stdout) > time.time() + 2 * DAY


def test_an_engine_is_found_after_the_clock_was_set(engine: ShiftedEngine, tmp_path: Path) -> None:
    """The kernel counts the time of its boot from today's clock: it moves with every setting."""
    if sys.platform != "linux" or os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("a /proc/stat of another clock takes root on Linux")
    engine.shift(0)
    assert engine.ask("the chain before the clock is set", "ok").wait(60) == 0
    lines = Path("/proc/stat").read_text().splitlines()
    moved = [f"btime {int(x.split()[1]) + DAY}" if x.startswith("btime ") else x for x in lines]
    (tmp_path / "stat").write_text("\n".join(moved) + "\n")
    shell = f"mount --bind {tmp_path / 'stat'} /proc/stat && exec {sys.executable} -m crp down"
    down = subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell],
        cwd=engine.work,
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert down.returncode == 0, down.stderr
    assert "the engine has ended" in down.stderr
