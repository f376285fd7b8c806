"""A made-up library of traces, and tasks for it: texts as people write them, as far as words go.

- Two of three words are of the language, the others of the task type; both follow Zipf's law in
  Mandelbrot's form, fitted to English: the commonest word makes 6% of a text's words, the first ten
  25%, the first thousand 72%. So more than half of all texts share their commonest word.
- One text in five has a name or number that no other has.
- One trace in three is a reworded copy of an earlier one, as when the same thing is asked again.
- A task is a reworded copy of a trace of the library.

Pure, and seeded: the same numbers give the same texts.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

SEED = 20_260_704
TYPES = 10
CLASSES = ("0.5B-1B", "2B-7B", "7B+")
CLASS_WEIGHTS = (60, 30, 10)
LANGUAGE_WORDS, TYPE_WORDS = 60_000, 20_000
SHORTEST, LONGEST = 12, 30
NAMED = 0.2
COPIED = 1 / 3
REMEMBERED = 20_000
"""Traces of which copies are made."""

CHANGED = (0.4, 0.6, 0.75)
"""Shares of a copy's words that differ from those of its original."""


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
    origin: int
    """The trace of which it is a copy."""


def library(count: int) -> Iterator[Trace]:
    """Give so many traces, numbered from 1."""
    draw, drawn = random.Random(SEED), _Words()
    remembered: list[tuple[int, list[str]]] = []
    for number in range(1, count + 1):
        if remembered and draw.random() < COPIED:
            kind, original = draw.choice(remembered)
            text = drawn.reworded(draw, kind, original, draw.choice(CHANGED))
        else:
            kind = draw.randrange(TYPES)
            text = drawn.some(draw, kind, draw.randint(SHORTEST, LONGEST))
            if draw.random() < NAMED:
                text[draw.randrange(len(text))] = f"{_spelled(number)}-{number}"
        if len(remembered) < REMEMBERED:
            remembered.append((kind, text))
        else:
            remembered[draw.randrange(REMEMBERED)] = kind, text
        yield Trace(
            number,
            f"type-{kind}",
            draw.choices(CLASSES, CLASS_WEIGHTS)[0],
            round(draw.uniform(0.7, 1.0), 3),
            1_700_000_000 + draw.random() * 1e7,
            " ".join(text),
        )


def tasks(traces: Iterable[Trace]) -> list[Task]:
    """Make a task of each trace: some of its words are changed, in turn few and many."""
    draw, drawn = random.Random(SEED + 1), _Words()
    made = []
    for place, trace in enumerate(traces):
        kind = int(trace.task_type.partition("-")[2])
        text = drawn.reworded(draw, kind, trace.text.split(), CHANGED[place % len(CHANGED)])
        made.append(Task(" ".join(text), trace.task_type, trace.model_class, trace.number))
    return made


def write(traces: Iterable[Trace], path: Path) -> None:
    """Keep a library in a file, so that no way to search it is measured making texts."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines("\t".join(map(str, trace)) + "\n" for trace in traces)


def read(path: Path) -> Iterator[Trace]:
    """Read what `write` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            number, kind, its_class, quality, created, text = line.rstrip("\n").split("\t")
            yield Trace(int(number), kind, its_class, float(quality), float(created), text)


class _Words:
    """Words by Zipf's law."""

    def __init__(self) -> None:
        self._language = [_spelled(n) for n in range(LANGUAGE_WORDS)]
        self._language_weights = _zipf(LANGUAGE_WORDS)
        self._types = [[f"{_spelled(n)}{kind}" for n in range(TYPE_WORDS)] for kind in range(TYPES)]
        self._type_weights = _zipf(TYPE_WORDS)

    def some(self, draw: random.Random, kind: int, size: int) -> list[str]:
        own = size // 3 + (draw.random() < size % 3 / 3)
        words = draw.choices(self._language, cum_weights=self._language_weights, k=size - own)
        return words + draw.choices(self._types[kind], cum_weights=self._type_weights, k=own)

    def reworded(self, draw: random.Random, kind: int, text: list[str], share: float) -> list[str]:
        """Give a copy in which this share of the words was drawn anew."""
        copy = list(text)
        places = draw.sample(range(len(copy)), round(share * len(copy)))
        for place, word in zip(places, self.some(draw, kind, len(places)), strict=True):
            copy[place] = word
        return copy


def _zipf(count: int) -> list[float]:
    return list(accumulate((rank + 2.7) ** -1.1 for rank in range(count)))


def _spelled(number: int) -> str:
    """A word of its own for each number; frequent ones are short."""
    word = ""
    while True:
        number, digit = divmod(number, 60)
        word += "bdfgklmnprst"[digit % 12] + "aeiou"[digit // 12]
        if not number:
            return word
