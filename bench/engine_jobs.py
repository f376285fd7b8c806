"""The job that `bench engine` measures: ten steps with a model that answers at once.

Pure but for the file of calls that `Scripted` adds to: one line a call, `job step seconds`. The
clock is the machine's, so that several workers can write into one file.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

from crp.models import Completion, Library, MetaLearningConfig, ModelProfile, Task
from crp.request import Request
from crp.templates import find_library, pinned
from crp_activities.providers import ModelRequest

STEPS = 10
ANSWER = "It is a short answer, as long as those that a small model gives to a small question. " * 2
Shape = Literal["sequence", "parallel"]
SHAPES: tuple[Shape, ...] = ("sequence", "parallel")

HEAD = """\
format: 1
template: {shape}
match: {{keywords: [{shape}]}}
complexity: 5
probe: no
steps:
"""
STEP = """\
  s{number}:
    prompt: "{before}{{{{ task }}}} Step {number}."
    scaffold: none
"""

PROFILE = ModelProfile(alias="default", name="scripted", capability=1, concurrency=64)


class Called(NamedTuple):
    """One call of the model."""

    job: int
    step: int
    at: float


class Scripted:
    """Answers at once, and notes who asked when."""

    def __init__(self, calls: Path) -> None:
        self._file = os.open(calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def complete(self, request: ModelRequest) -> Completion:
        asked = request.messages[-1].content
        note(self._file, *map(int, re.findall(r"Job (\d+)\. Step (\d+)\.$", asked)[0]))
        return Completion(text=ANSWER, prompt_tokens=10, completion_tokens=5, model="scripted")


def note(file: int, job: int, step: int) -> None:
    """Add one call to the file; short lines of several writers stay whole."""
    os.write(file, f"{job} {step} {time.monotonic():.6f}\n".encode())


def calls_in(path: Path) -> list[Called]:
    """Read the calls, the first one first."""
    lines = (line.split() for line in path.read_text("ascii").splitlines())
    return sorted((Called(int(j), int(s), float(t)) for j, s, t in lines), key=lambda c: c.at)


def gaps(calls: list[Called]) -> list[float]:
    """Give the seconds from each call to the next one of the same job."""
    before: dict[int, float] = {}
    found = []
    for call in calls:
        if call.job in before:
            found.append(call.at - before[call.job])
        before[call.job] = call.at
    return found


def repeated(calls: list[Called]) -> int:
    """Count the calls that were made before."""
    return sum(times - 1 for times in Counter((c.job, c.step) for c in calls).values())


def template(shape: Shape, steps: int = STEPS) -> str:
    """Ten small steps; in a sequence each reads the answer of the one before it."""
    text = HEAD.format(shape=shape)
    for number in range(1, steps + 1):
        before = f"{{{{ s{number - 1} }}}} " if shape == "sequence" and number > 1 else ""
        text += STEP.format(number=number, before=before)
    return text


def library(shape: Shape, steps: int = STEPS) -> Library:
    """Our template among those of the box, as a job of `crp run` has them."""
    box = find_library().library
    ours, _ = pinned(template(shape, steps))
    return box.model_copy(update={"templates": (ours, *box.templates)})


def request(number: int, shape: Shape, known: Library) -> Request:
    return Request(
        task=Task(text=f"Job {number}.", template=shape),
        config=MetaLearningConfig(),
        models={PROFILE.alias: PROFILE},
        library=known,
    )


def middle(values: list[float], share: float = 0.5) -> float:
    """Give a percentile; 0 of nothing."""
    if not values:
        return 0.0
    return median(values) if share == 0.5 else sorted(values)[int(share * (len(values) - 1))]
