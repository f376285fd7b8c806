"""Broken templates, tests files and bytes for the fuzzer: each one follows from a seed and a
number, so that a failure can be made again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

from tests.support.fuzz.changes import damaged, dumped, fitting, shaken
from tests.support.fuzz.corpus import LOADER, Corpus, corpus, places
from tests.support.fuzz.hostile import UNITS, YAML_SIGNS, odd

__all__ = ["Case", "Corpus", "bundle", "corpus", "giant", "raw", "template"]


@dataclass(frozen=True)
class Case:
    """What is given to the loader."""

    text: str | bytes
    base: str = ""
    snippets: str = ""
    tests: str | bytes = ""


def template(known: Corpus, seed: int, number: int) -> Case:
    """Make a template with mistakes."""
    rng = Random(f"template {seed} {number}")
    return Case(_template(rng, known), snippets=known.snippets)


def bundle(known: Corpus, seed: int, number: int) -> Case:
    """Make a template with what belongs to it: another one below it, snippets, tests."""
    rng = Random(f"bundle {seed} {number}")
    text, base, snippets, tests = rng.choice(known.texts), "", known.snippets, ""
    match rng.randrange(4):
        case 0:
            tests = damaged(rng, rng.choice(known.tests), known)
        case 1:
            tests = dumped(rng, shaken(rng, yaml.load(rng.choice(known.tests), LOADER), known))
        case 2:
            base = rng.choice((text, _template(rng, known)))
            text = f"extends: {_name(rng, base)}\n" + rng.choice((_patch(rng, known), text))
        case _:
            snippets = damaged(rng, snippets, known)
            text = _template(rng, known)
    return Case(text, base, snippets, tests)


def raw(known: Corpus, seed: int, number: int) -> Case:
    """Make bytes that are hardly a template."""
    rng = Random(f"bytes {seed} {number}")
    text = rng.choice(known.texts).encode()
    match rng.randrange(8):
        case 0:
            return Case(rng.randbytes(rng.choice((0, 1, 7, 60, 4000))))
        case 1:
            at = rng.randrange(len(text))
            return Case(text[:at] + rng.randbytes(rng.randint(1, 8)) + text[at + 1 :])
        case 2:
            coding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le"))
            return Case(text.decode().encode(coding))
        case 3:
            wide = text + "é€😀".encode() * 3
            return Case(wide[: rng.randrange(len(wide))])
        case 4:
            return Case(odd(rng).encode("utf-8", "surrogatepass"))
        case 5:
            lines = text.split(b"\n")
            return Case(rng.choice((b"\r", b"\r\n", b"\xc2\x85", b"\xe2\x80\xa8")).join(lines))
        case 6:
            return Case("".join(rng.choice(YAML_SIGNS) for _ in range(rng.randint(1, 400))))
        case _:
            at = rng.randrange(len(text))
            return Case(text[:at] + odd(rng).encode("utf-8", "surrogatepass") + text[at:])


def giant(known: Corpus, seed: int, number: int) -> Case:
    """Make a template that has as much of one thing as a file can hold."""
    rng = Random(f"giant {seed} {number}")
    count = rng.choice((9, 31, 190, 1900, 6200))
    key = rng.choice(("prompt", "render", "calculate", "system", "title", "when", "facts"))
    steps: dict[str, Any] = {f"s{n}": "x" for n in range(rng.choice((1, 3, 10, 10, 10, count)))}
    data: dict[str, Any] = {"template": "giant", "snippets": {"a": "y" * 9000}, "steps": steps}
    match rng.randrange(4):
        case 0 | 1:
            text = (rng.choice(UNITS) + rng.choice(("", " "))) * 6000
            size = rng.choice((900, 9_000, 19_900))
            for name in list(steps)[:10]:
                steps[name] = {"prompt": "x", key: f"{name} {text[:size]}"}
        case 2:
            values = known.by_key[rng.choice(("checks", "on_fail", "patterns", "otherwise"))]
            found = [v for v in values if isinstance(v, list) and v]
            entries = [*rng.choice(found), *rng.choice(found)] * count
            step = {"prompt": "x", rng.choice(("checks", "on_fail")): entries[:count]}
            data["match"] = {rng.choice(("patterns", "keywords", "examples")): entries[:count]}
            steps["s0"] = step
        case _:
            extra = {f"n{n}": fitting(rng, "prompt", known) for n in range(count)}
            data[rng.choice(("inputs", "extract", "steps", "snippets", "tests", "match"))] = extra
    return Case(json.dumps(data, indent=rng.choice((None, 1))), snippets=known.snippets)


def _template(rng: Random, known: Corpus) -> str:
    index = rng.randrange(len(known.texts))
    if rng.random() < 0.45:
        return damaged(rng, known.texts[index], known)
    data = json.loads(json.dumps(known.data[index]))
    return dumped(rng, shaken(rng, data, known))


def _patch(rng: Random, known: Corpus) -> str:
    """Make what a template may lay over another one."""
    data = json.loads(json.dumps(rng.choice(known.data)))
    kept = rng.sample(sorted(data), k=min(len(data), rng.randint(1, 4)))
    patch = {key: data[key] for key in kept} | {"template": "child"}
    for holder, key in list(places(patch)):
        if rng.random() < 0.05:
            holder[key] = None
    return dumped(rng, shaken(rng, patch, known))


def _name(rng: Random, text: str) -> str:
    found = [line[9:].strip() for line in text.splitlines() if line.startswith("template:")]
    return found[0] if found and rng.random() < 0.9 else "other"
