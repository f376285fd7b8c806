"""Which template a request goes to, with reasons that a person can read.

A score is a sum: 1.0 for the first keyword that stands in the request as a whole word or phrase
(0.25 for each further one), 1.0 for the first pattern (RE2), up to 1.0 for sharing words with an
example; what speaks against it is subtracted. Equal scores: higher priority first, then the name.
Below FLOOR nothing counts as matched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import re2

from crp.language.lists import find_list, guard
from crp.language.reader import RE2_OPTIONS
from crp.language.schema import Template
from crp.language.words import shorten, words
from crp.models import Match

__all__ = ["FLOOR", "find_list", "guard", "rank"]

FLOOR = 0.5
"""The lowest score that counts as a match."""
_MORE = 0.25
_MOST_MORE = 3
_AGAINST = 1.5
_LONGEST = 4_000
"""Characters of a request that say what it is for; what follows is material."""


def rank(task_text: str, templates: Sequence[Template]) -> list[Match]:
    """Rank templates by how well they fit a request, best first."""
    text = task_text[:_LONGEST]
    found = [_match(text, template) for template in templates]
    priority = {t.template: t.match.priority for t in templates}
    return sorted(found, key=lambda m: (-m.score, -priority[m.template], m.template))


def _match(text: str, template: Template) -> Match:
    rules = template.match
    said = words(text)
    parts = [
        *_hits("keyword", [k for k in rules.keywords if _stands_in(k, said)]),
        *_hits("pattern on", [f for p in rules.patterns if (f := _found(p, text))]),
        *_best_example(said, rules.examples),
        *((-1.0, f'not with "{k}"') for k in rules.not_keywords if _stands_in(k, said)),
        *_worst_example(said, rules.not_examples),
    ]
    score = round(sum(points for points, _ in parts), 3)
    reasons = tuple(f"{reason} {points:+.2f}" for points, reason in parts)
    return Match(template=template.template, score=score, reasons=reasons)


def _hits(what: str, hits: list[str]) -> list[tuple[float, str]]:
    points = [1.0] + [_MORE] * _MOST_MORE
    return [(p, f'{what} "{hit}"') for p, hit in zip(points, hits, strict=False)]


def _stands_in(phrase: str, said: list[str]) -> bool:
    """Say whether a phrase stands in a text, word by word."""
    wanted = words(phrase)
    starts = range(len(said) - len(wanted) + 1)
    return bool(wanted) and any(said[i : i + len(wanted)] == wanted for i in starts)


def _best_example(said: list[str], examples: Sequence[str]) -> list[tuple[float, str]]:
    scored = [(_overlap(said, e), i) for i, e in enumerate(examples, 1)]
    best, number = max(scored, default=(0.0, 0))
    return [(best, f"example {number}")] if best > 0 else []


def _worst_example(said: list[str], examples: Sequence[str]) -> list[tuple[float, str]]:
    """Only a request that is close to what is not meant loses by it."""
    scored = [(_overlap(said, e), i) for i, e in enumerate(examples, 1)]
    worst, number = max(scored, default=(0.0, 0))
    return [(-_AGAINST * worst, f"not like example {number}")] if worst >= 0.5 else []


def _overlap(said: list[str], example: str) -> float:
    """Shared words over all words: how alike two requests are, 0 to 1."""
    mine, other = set(said), _example_words(example)
    return round(len(mine & other) / len(mine | other), 2) if mine and other else 0.0


@lru_cache(maxsize=4096)
def _example_words(example: str) -> frozenset[str]:
    return frozenset(words(example))


def _found(pattern: str, text: str) -> str:
    """Give what a pattern finds, for the reason; empty when it finds nothing."""
    match = _compiled(pattern)(text)
    return shorten(" ".join(match.group(0).split()), 60) or "..." if match else ""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Callable[[str], Any]:
    search: Callable[[str], Any] = re2.compile(pattern, RE2_OPTIONS).search
    return search
