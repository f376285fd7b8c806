"""A made-up library of traces, and tasks for it: texts as people write them, as far as words go.

The words of a text follow Zipf's law; half of them are of the language, half of its task type. A
task is a trace of the library in which some words were changed. Pure, and seeded: the same numbers
give the same texts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

SEED = 20_260_704
TYPES = 10
CLASSES = ("0.5B-1B", "2B-7B", "7B+")
CLASS_WEIGHTS = (60, 30, 10)
LANGUAGE_WORDS, TYPE_WORDS = 60_000, 20_000
SHORTEST, LONGEST = 12, 30
CHANGED = (0.4, 0.6, 0.75)
"""Shares of a task's words that differ from its trace's."""


class Trace(NamedTuple):
    number: int
    task_type: str
    model_class: str
    quality: float
    created: float
    text: str


class Task(NamedTuple):
    text: str
    task_type: str
    model_class: str


def library(count: int) -> Iterator[Trace]:
    """Give so many traces, numbered from 1."""
    draw, drawn = random.Random(SEED), _Words()
    for number in range(1, count + 1):
        kind = draw.randrange(TYPES)
        size = draw.randint(SHORTEST, LONGEST)
        yield Trace(
            number,
            f"type-{kind}",
            draw.choices(CLASSES, CLASS_WEIGHTS)[0],
            round(draw.uniform(0.7, 1.0), 3),
            1_700_000_000 + draw.random() * 1e7,
            " ".join(drawn.some(draw, kind, size)),
        )


def tasks(traces: list[Trace]) -> list[Task]:
    """Make a task of each trace: some of its words are changed, in turn few and many."""
    draw, drawn = random.Random(SEED + 1), _Words()
    made = []
    for number, trace in enumerate(traces):
        words = trace.text.split()
        kind = int(trace.task_type.partition("-")[2])
        for place in draw.sample(range(len(words)), round(CHANGED[number % 3] * len(words))):
            words[place] = drawn.some(draw, kind, 1)[0]
        made.append(Task(" ".join(words), trace.task_type, trace.model_class))
    return made


class _Words:
    """Words by Zipf's law."""

    def __init__(self) -> None:
        self._language = [_spelled(n) for n in range(LANGUAGE_WORDS)]
        self._language_weights = _zipf(LANGUAGE_WORDS)
        self._types = [[f"{_spelled(n)}{kind}" for n in range(TYPE_WORDS)] for kind in range(TYPES)]
        self._type_weights = _zipf(TYPE_WORDS)

    def some(self, draw: random.Random, kind: int, size: int) -> list[str]:
        half = size // 2
        words = draw.choices(self._language, cum_weights=self._language_weights, k=size - half)
        return words + draw.choices(self._types[kind], cum_weights=self._type_weights, k=half)


def _zipf(count: int) -> list[float]:
    return list(accumulate(1 / (rank + 2.7) for rank in range(count)))


def _spelled(number: int) -> str:
    """A word of its own for each number; frequent ones are short."""
    word = ""
    while True:
        number, digit = divmod(number, 60)
        word += "bdfgklmnprst"[digit % 12] + "aeiou"[digit // 12]
        if not number:
            return word
