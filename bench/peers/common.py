"""What the peers of `bench engine` have in common: the same job, and one line of JSON at the end.

Standard library only: the peers run in an environment of their own, without this project. A job
has ten steps that note that they were called and give a short text on; in a sequence each step
gets the answer of the one before it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

STEPS = 10
ANSWER = "It is a short answer, as long as those that a small model gives to a small question. " * 2
ALONE = 10
WARM = 3
MISSING = 3
"""The exit code of a peer whose packages are not there."""

Job = Callable[[int], Awaitable[None]]

calls: list[tuple[int, int, float]] = []


def note(job: int, step: int) -> str:
    """What a step does."""
    calls.append((job, step, time.monotonic()))
    return ANSWER


def arguments(*packages: str) -> argparse.Namespace:
    """Read the command line; end with MISSING when a package is not there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", choices=("sequence", "parallel"), default="sequence")
    parser.add_argument("--at-once", type=int, default=1)
    given = parser.parse_args()
    try:
        given.versions = {package: version(package) for package in packages}
    except PackageNotFoundError:
        print(f"not installed: pip install {' '.join(packages)}", file=sys.stderr)
        sys.exit(MISSING)
    return given


async def measure(given: argparse.Namespace, job: Job, *, warm: int = WARM) -> None:
    """Do the jobs as `bench engine` does, and print what they took."""
    await _all(job, range(1_000_000, 1_000_000 + warm), 1)
    calls.clear()
    jobs = ALONE if given.at_once == 1 else given.at_once
    cpu, began = _cpu(), time.monotonic()
    waits = await _all(job, range(jobs), given.at_once)
    seconds, used = time.monotonic() - began, _cpu() - cpu
    steps = jobs * STEPS
    times = Counter((job, step) for job, step, _ in calls)
    if len(times) != steps:
        sys.exit(f"{len(times)} steps were done, and there are {steps}")
    print(
        json.dumps(
            {
                "jobs": jobs,
                "seconds": seconds,
                "jobs_s": jobs / seconds,
                "steps_s": steps / seconds,
                "waits": waits,
                "gaps": _gaps(),
                "cpu": {"process": used / steps},
                "repeated": len(calls) - steps,
                "versions": given.versions,
            }
        ),
        flush=True,
    )


async def _all(job: Job, numbers: range, at_once: int) -> list[float]:
    turns = asyncio.Semaphore(at_once)

    async def one(number: int) -> float:
        async with turns:
            began = time.monotonic()
            await job(number)
            return time.monotonic() - began

    return list(await asyncio.gather(*(one(number) for number in numbers)))


def _gaps() -> list[float]:
    """The seconds from each step to the next one of the same job."""
    before: dict[int, float] = {}
    found = []
    for job, _, at in sorted(calls, key=lambda call: call[2]):
        if job in before:
            found.append(at - before[job])
        before[job] = at
    return found


def _cpu() -> float:
    """Of this process with all its threads, and of the servers that it started."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime + sum(map(_of_process, servers))


servers: list[int] = []
"""Processes that a peer works with."""


def _of_process(pid: int) -> float:
    """CPU of a process and its children that live; Linux, else nothing."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(_of_process(int(child)) for child in children)
