"""Which template a request goes to, with reasons that a person can read.

A score is a sum: 1.0 for the first keyword that stands in the request as a whole word or phrase
(0.25 for each further one), 1.0 for the first pattern (RE2), up to 1.0 for sharing words with an
example; what speaks against it is subtracted. Equal scores: higher priority first, then the name.
Below FLOOR nothing counts as matched.

The rules of a library are put into one index the first time it is asked: what a request costs then
grows with its own words, not with the number of templates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

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
_KEPT = 8
"""Libraries whose index is kept."""
_ALL_OPTIONS = re2.Options()
"""Of all patterns in one automaton: RE2_OPTIONS with more memory, that of one is not enough."""
_ALL_OPTIONS.log_errors = False
_ALL_OPTIONS.case_sensitive = False


def rank(task_text: str, templates: Sequence[Template]) -> list[Match]:
    """Rank templates by how well they fit a request, best first."""
    text = task_text[:_LONGEST].encode("utf-8", "replace").decode()  # RE2 takes no lone surrogates
    index = _index_of(templates)
    found = index.match(text, words(text))
    priority = index.priority
    return sorted(found, key=lambda m: (-m.score, -priority[m.template], m.template))


class _Phrase(NamedTuple):
    """A keyword, or a not_keyword, of one template."""

    template: int
    number: int
    text: str
    words: tuple[str, ...]


class _Example(NamedTuple):
    template: int
    number: int
    """From 1, as people count."""
    size: int
    """How many different words it has."""


class _Index:
    """The match rules of templates, found by the words of a request."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self.templates = tuple(templates)
        self.priority = {t.template: t.match.priority for t in templates}
        self.nothing = [Match(template=t.template, score=0.0) for t in templates]
        rules = [t.match for t in templates]
        self.keywords = _phrases([r.keywords for r in rules])
        self.not_keywords = _phrases([r.not_keywords for r in rules])
        self.examples = _Examples([r.examples for r in rules])
        self.not_examples = _Examples([r.not_examples for r in rules])
        self.patterns = _Patterns([r.patterns for r in rules])

    def match(self, text: str, said: list[str]) -> list[Match]:
        parts: dict[int, list[tuple[float, str]]] = defaultdict(list)
        _count(parts, "keyword", _standing(self.keywords, said))
        _count(parts, "pattern on", self.patterns.found(text))
        different = set(said)
        for template, (best, number) in self.examples.nearest(different):
            parts[template].append((best, f"example {number}"))
        for template, hits in _standing(self.not_keywords, said):
            parts[template] += [(-1.0, f'not with "{hit}"') for hit in hits]
        for template, (worst, number) in self.not_examples.nearest(different):
            if worst >= 0.5:  # only what is close to what is not meant loses by it
                parts[template].append((-_AGAINST * worst, f"not like example {number}"))
        found = list(self.nothing)
        for template, ours in parts.items():
            found[template] = _match(self.templates[template].template, ours)
        return found


def _match(name: str, parts: list[tuple[float, str]]) -> Match:
    score = round(sum(points for points, _ in parts), 3)
    reasons = tuple(f"{reason} {points:+.2f}" for points, reason in parts)
    return Match(template=name, score=score, reasons=reasons)


_indexes: list[_Index] = []
"""The newest last. A template is known by its identity: comparing texts would cost more."""


def _index_of(templates: Sequence[Template]) -> _Index:
    for index in _indexes:
        same = zip(index.templates, templates, strict=False)
        if len(index.templates) == len(templates) and all(a is b for a, b in same):
            return index
    made = _Index(templates)
    _indexes.append(made)
    del _indexes[:-_KEPT]
    return made


# -- keywords -------------------------------------------------------------------------------------

_Hits = Iterator[tuple[int, list[str]]]
"""For each template with any: what was found, in the order of its rules."""


def _phrases(rules: Sequence[Sequence[str]]) -> dict[str, list[_Phrase]]:
    """Phrases by their first word."""
    found: dict[str, list[_Phrase]] = defaultdict(list)
    for template, phrases in enumerate(rules):
        for number, phrase in enumerate(phrases):
            if wanted := tuple(words(phrase)):
                found[wanted[0]].append(_Phrase(template, number, phrase, wanted))
    return dict(found)


def _standing(phrases: dict[str, list[_Phrase]], said: list[str]) -> _Hits:
    """The phrases that stand in a request, word by word."""
    hits: dict[int, dict[int, str]] = defaultdict(dict)
    for place, word in enumerate(said):
        for phrase in phrases.get(word, ()):
            length = len(phrase.words)
            if length == 1 or tuple(said[place : place + length]) == phrase.words:
                hits[phrase.template][phrase.number] = phrase.text
    for template, numbered in hits.items():
        yield template, [numbered[number] for number in sorted(numbered)]


def _count(parts: dict[int, list[tuple[float, str]]], what: str, found: _Hits) -> None:
    points = [1.0] + [_MORE] * _MOST_MORE
    for template, hits in found:
        parts[template] += [(p, f'{what} "{hit}"') for p, hit in zip(points, hits, strict=False)]


# -- examples -------------------------------------------------------------------------------------


class _Examples:
    """Examples by the words in them."""

    def __init__(self, rules: Sequence[Sequence[str]]) -> None:
        self.all: list[_Example] = []
        self.by_word: dict[str, list[int]] = defaultdict(list)
        for template, examples in enumerate(rules):
            for number, example in enumerate(examples, 1):
                different = set(words(example))
                for word in different:
                    self.by_word[word].append(len(self.all))
                self.all.append(_Example(template, number, len(different)))

    def nearest(self, said: set[str]) -> Iterator[tuple[int, tuple[float, int]]]:
        """For each template the example that shares most words: shared over all, 0 to 1."""
        shared = Counter(chain.from_iterable(self.by_word.get(word, ()) for word in said))
        best: dict[int, tuple[float, int]] = {}
        many, nothing = len(said), (0.0, 0)
        known = self.all
        for place, count in shared.most_common():
            template, number, size = known[place]
            alike, before = count / (many + size - count), best.get(template, nothing)
            if alike + 0.01 > before[0]:  # may still win when it is rounded
                best[template] = max(before, (round(alike, 2), number))
        return ((template, found) for template, found in best.items() if found[0] > 0)


# -- patterns -------------------------------------------------------------------------------------


class _Patterns:
    """All patterns in one automaton: a request is read once, however many there are."""

    def __init__(self, rules: Sequence[Sequence[str]]) -> None:
        self.all = [(t, pattern) for t, patterns in enumerate(rules) for pattern in patterns]
        self.set = re2.Set.SearchSet(_ALL_OPTIONS)
        for _, pattern in self.all:
            self.set.Add(pattern)
        self.canary = self.set.Add("")
        self.set.Compile()

    def found(self, text: str) -> _Hits:
        hits: dict[int, list[str]] = defaultdict(list)
        for place in self._candidates(text):
            template, pattern = self.all[place]
            if found := _found(pattern, text):
                hits[template].append(found)
        yield from hits.items()

    def _candidates(self, text: str) -> list[int]:
        """The patterns that are found. The automaton says nothing when its memory is used up; the
        empty pattern, which is always found, tells that from a request that fits none."""
        places = set(self.set.Match(text) or ())
        if self.canary in places:
            return sorted(places - {self.canary})
        return list(range(len(self.all)))


def _found(pattern: str, text: str) -> str:
    """Give what a pattern finds, for the reason; empty when it finds nothing."""
    match = _compiled(pattern)(text)
    return shorten(" ".join(match.group(0).split()), 60) or "..." if match else ""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Callable[[str], Any]:
    search: Callable[[str], Any] = re2.compile(pattern, RE2_OPTIONS).search
    return search
