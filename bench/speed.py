"""`bench templates`: what reading, checking, matching and rendering templates costs.

CPU time of this thread. Each figure is a median over equal parts of the work with the smallest and
largest part; the peers read the same texts in the same run, part by part in turn, so that a busy
machine is busy for all of them. No text is read twice: caches do not help.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import yaml
from pydantic import JsonValue
from ruamel.yaml import YAML

from bench import corpus
from bench.results import Line
from crp.language.load import load
from crp.language.match import rank
from crp.language.text import render
from crp.models import Wire
from crp.templates import lint_file

PARTS = 5
LINT_FILES, REQUESTS, RENDERS = 40, 200, 2_000
PROMPT = (
    "{% if documents %}Use these notes:\n{{ documents }}\n{% endif %}What should {{ audience }} "
    "know about {{ item }}? Write about these aspects only: {{ aspects }}. Write one short line "
    "for every aspect, with its number and its unit, like this."
)
NAMES: dict[str, JsonValue] = {
    "audience": "a general reader",
    "aspects": ["cost", "ease of use", "performance"],
    "documents": None,
}

Tell = Callable[[str], None]
Work = Callable[[], None]


class Row(Wire):
    """One figure: seconds of CPU for the whole of what `what` says."""

    name: str
    what: str
    median: float
    low: float
    high: float
    n: int
    target: float | None = None
    """Seconds; None: no target, or a peer."""
    ratio: float | None = None
    """Its time over ours, for peers."""

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.median <= self.target

    def line(self) -> Line:
        return {**self.model_dump(), "met": self.met}


@dataclass
class Speed:
    """All measurements of one run."""

    large: Path = corpus.LARGE
    texts: int = 1_000
    only: tuple[str, ...] = ()
    tell: Tell = lambda text: None
    rows: list[Row] = field(default_factory=list)

    def run(self) -> list[Row]:
        for name, measure in MEASURES.items():
            if not self.only or name in self.only:
                measure(self)
        return self.rows

    # -- the measurements ------------------------------------------------------------------------

    def load(self) -> None:
        """Our loader and three parsers over the same texts."""
        base = self.large.read_text("utf-8")
        size = max(1, self.texts // PARTS)
        load(corpus.variants(base, 1, 1_000_000)[0], "warm.yaml")
        took: dict[str, list[float]] = {name: [] for name in READERS}
        for part in range(PARTS):
            texts = corpus.variants(base, size, part * size)
            for name, read in READERS.items():
                took[name].append(cpu(partial(_each, read, texts)))
                self.tell(f"{name}: part {part + 1} of {PARTS}")
        lines = len(base.splitlines())
        ours = median(took["load"])
        for name, seconds in took.items():
            is_peer = name != "load"
            what = f"{WHAT[name]} {size * PARTS:,} templates of {lines} lines"
            row = _row(name, what, [s * PARTS for s in seconds], n=size * PARTS)
            target = None if is_peer else 1.5 * size * PARTS / 1_000
            ratio = median(seconds) / ours if is_peer else None
            self.rows.append(row.model_copy(update={"target": target, "ratio": ratio}))

    def lint(self) -> None:
        """One file that was just saved, read from disk and checked."""
        base = self.large.read_text("utf-8")
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"variant-{n}.yaml" for n in range(LINT_FILES)]
            for path, text in zip(paths, corpus.variants(base, LINT_FILES, 2_000_000), strict=True):
                path.write_text(text, "utf-8")
            took = [cpu(partial(lint_file, path)) for path in paths]
        self.tell("lint")
        self.rows.append(_row("lint", "lint one saved file", took, target=0.010))

    def match(self) -> None:
        """Requests that were never seen, against 100 templates that are loaded."""
        templates = [load(corpus.small(number), "small.yaml") for number in range(100)]
        rank("warm up", templates)
        took = [cpu(partial(rank, request, templates)) for request in corpus.requests(REQUESTS)]
        self.tell("match")
        what = "match one request against 100 templates"
        self.rows.append(_row("match", what, took, target=0.001))

    def render(self) -> None:
        """The same prompt with another item each time; and one that is new, as after loading."""
        size = len(render(PROMPT, {**NAMES, "item": "item 1000"}))
        per = RENDERS // PARTS // 10
        parts = range(0, RENDERS, per)
        took = [cpu(partial(_rendered, first, per)) / per for first in parts]
        self.tell("render")
        what = f"render a prompt of {size} characters"
        self.rows.append(_row("render", what, took, n=RENDERS, target=0.0001))
        fresh = [f"{PROMPT} {number}" for number in range(200)]
        took = [cpu(partial(render, text, {**NAMES, "item": "tea"})) for text in fresh]
        self.rows.append(_row("render-first", "the same, its first time (compiles the text)", took))


MEASURES: dict[str, Callable[[Speed], None]] = {
    "load": Speed.load,
    "lint": Speed.lint,
    "match": Speed.match,
    "render": Speed.render,
}


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU that this thread takes for some work."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _each(read: Callable[[str], object], texts: Sequence[str]) -> None:
    for text in texts:
        read(text)


def _rendered(first: int, count: int) -> None:
    for number in range(first, first + count):
        render(PROMPT, {**NAMES, "item": f"item {number}"})


def _row(
    name: str, what: str, took: Sequence[float], n: int = 0, target: float | None = None
) -> Row:
    return Row(
        name=name,
        what=what,
        median=median(took),
        low=min(took),
        high=max(took),
        n=n or len(took),
        target=target,
    )


READERS: dict[str, Callable[[str], object]] = {
    "load": lambda text: load(text, "variant.yaml"),
    "pyyaml-c": lambda text: yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)),
    "pyyaml": lambda text: yaml.load(text, yaml.SafeLoader),
    "ruamel": lambda text: YAML().load(io.StringIO(text)),
}
WHAT = {
    "load": "load and validate",
    "pyyaml-c": "PyYAML CSafeLoader parses",
    "pyyaml": "PyYAML SafeLoader parses",
    "ruamel": "ruamel.yaml round-trip parses",
}
