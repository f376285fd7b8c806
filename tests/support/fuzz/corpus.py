"""The shipped templates and the examples of the tests, as texts and as data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.fuzz.hostile import FITTING, NAMES

ROOT = Path(__file__).parents[3]
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass
class Corpus:
    """The shipped templates and the examples of the tests, as texts and as data."""

    texts: list[str] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    snippets: str = ""
    by_key: dict[str, list[Any]] = field(default_factory=dict)
    """Values that stand under a key somewhere: they fit better than any other."""
    names: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


def corpus() -> Corpus:
    """Read what is mutated."""
    shelf = ROOT / "templates"
    files = [p for p in sorted(shelf.glob("*.yaml")) if ".tests." not in p.name]
    files += sorted((ROOT / "tests" / "language" / "examples").glob("*.yaml"))
    found = Corpus(snippets=(shelf / "_snippets.yaml").read_text())
    for text in (path.read_text() for path in files if ".tests." not in path.name):
        data = yaml.load(text, LOADER)
        if "template" in data:
            found.texts.append(text)
            found.data.append(json.loads(json.dumps(data, default=str)))
    found.tests = [path.read_text() for path in sorted(shelf.glob("*.tests.yaml"))]
    found.tests += [yaml.dump(d["tests"], Dumper=DUMPER) for d in found.data if "tests" in d]
    for data in found.data:
        for holder, key in places(data):
            if isinstance(holder, dict):
                found.by_key.setdefault(key, []).append(holder[key])
    for key, values in FITTING.items():
        found.by_key.setdefault(key, []).extend(values)
    found.keys = sorted(found.by_key)
    steps = {name for d in found.data for name in [*d.get("steps", {}), *d.get("extract", {})]}
    found.names = sorted(steps) + NAMES
    return found


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Give every place of nested data: what holds it, and its key or number."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(pairs):
        yield data, key
        if isinstance(value, dict | list):
            yield from places(value)
