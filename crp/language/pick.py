"""`pick:` choose passages or entries by code: by the words they share, or by a stated rule.

A 135M model picked the right one of six passages 15 times of 40, shared words 39 times
(shared/bench.md, section 2). Pure, deterministic, linear but for the sorting.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language import gist, text
from crp.language.facts import Passage, passages
from crp.language.said import each_sentence
from crp.language.scalars import number
from crp.language.schema import Pick
from crp.language.show import line, show
from crp.language.words import content, sentences, stems, word_set
from crp.models import Problem

MOST = 20_000
"""Entries that are ranked at most, the first ones."""
_NOTHING = word_set("n/a none unknown null - – — ? unclear")
"""What stands where a value is missing."""
_ENDING = re.compile(r"(?:ing|ed|e)$")
_MARKER = re.compile(r"^[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)][ \t])[ \t]*")


class Picked(NamedTuple):
    """What was chosen, the best first."""

    entries: list[str]
    shared: bool = True
    """False: no passage has a word of what was looked for, so the first ones were taken."""


class _Entry(NamedTuple):
    text: str
    """What the step gives."""
    words: str
    """What is searched for words."""
    value: JsonValue
    """`entry`, as the expressions see it."""
    heading: str = ""
    """The heading that a passage stands under."""


def picked(pick: Pick, about: str, names: Mapping[str, JsonValue]) -> Picked:
    """Choose the entries that fit best; about nothing, the sentences that say most of the text.

    Raises TemplateError when there is nothing to choose from.
    """
    source = names.get("context" if pick.source == "facts" else pick.source)
    alone = pick.source == "sentences"
    entries = (list(_sentences(show(source))) if alone else _entries(source))[:MOST]
    if not entries:
        raise _empty(f'there is nothing in "{pick.source}" to pick from')
    if pick.where:
        entries = [e for e in entries if text.holds(pick.where, {**names, "entry": e.value})]
    if not entries:
        raise _empty(f'no entry of "{pick.source}" meets: {pick.where}')
    if pick.by:
        values = [text.value(pick.by, {**names, "entry": e.value}) for e in entries]
        order = _by_value(values, highest=pick.order == "highest")
        return Picked([entries[n].text for n in order[: pick.top]])
    if not about.strip():
        return Picked(gist.telling([e.text for e in entries], pick.top))
    scores = overlap([e.words for e in entries], about)
    order = _sorted(scores, highest=pick.order == "highest")
    if isinstance(source, str) and any(scores) and pick.order == "highest":
        # A passage about something else is no help.
        order = _titled(entries, order, about) or order
        order = [n for n in order if scores[n] > 0]
    if alone:
        order = sorted(order[: pick.top])
    shared = any(scores) or not isinstance(source, str)
    return Picked([entries[n].text for n in order[: pick.top]], shared)


def _titled(entries: Sequence[_Entry], order: Sequence[int], about: str) -> list[int]:
    """Give the entries under a heading that says nothing but what is looked for: `Sales`."""
    asked = set(map(_root, stems(about)))
    headings = [set(map(_root, content(stems(entry.heading)))) for entry in entries]
    return [n for n in order if headings[n] and headings[n] <= asked]


def overlap(entries: Sequence[str], about: str) -> list[float]:
    """Score texts by the words that they share with another one.

    A shared word counts more the fewer entries have it (the inverse document frequency of BM25,
    Robertson and Zaragoza 2009).
    """
    found = stems(about[:MOST])
    asked = set(map(_root, content(found) or found))
    own = [set(map(_root, stems(entry))) for entry in entries]
    shared = [asked & words for words in own]
    spread = Counter(word for words in shared for word in words)
    count = len(entries)
    weight = {w: math.log(1 + (count - n + 0.5) / (n + 0.5)) for w, n in spread.items()}
    return [sum(sorted(weight[word] for word in words)) for words in shared]


def _root(word: str) -> str:
    """Take off what English verbs end in: `opened` and `opening` are about `open`."""
    ending = _ENDING.search(word)
    return word[: ending.start()] if ending and ending.start() >= 3 else word


def _entries(source: JsonValue) -> list[_Entry]:
    if isinstance(source, dict):  # the answers of a fan-out, or the sheet: its items
        found = ((key, f"{key}\n{show(value)}", key) for key, value in source.items())
        return [_Entry(*parts) for parts in found]
    if isinstance(source, list):
        shown = ((value if isinstance(value, str) else line(value), value) for value in source)
        return [_Entry(said, said, value) for said, value in shown if said.strip()]
    return list(_parts(show(source)))


def _parts(source: str) -> Iterable[_Entry]:
    """Split a text into its passages; one without any is split into its sentences."""
    found = passages(source)
    if len(found) == 1:
        yield from (_Entry(said, said, said) for said in sentences(source))
        return
    for passage in found:
        said = _said(passage)
        yield _Entry(said, said, said, passage.heading)


def _sentences(source: str) -> Iterable[_Entry]:
    """Split a text into its sentences; each is also about what its heading says."""
    for passage in passages(source):
        for said in each_sentence(passage.text):
            yield _Entry(said, f"{passage.heading} {said}", said, passage.heading)


def _said(passage: Passage) -> str:
    """Write a passage so that it can stand alone: `Aero 13: weight: 1.2 kg`."""
    heading, body = passage.heading.strip("# "), _MARKER.sub("", passage.text)
    if "\n" in passage.text:
        body = passage.text
    return f"{heading}{chr(10) if chr(10) in body else ': '}{body}" if heading else body


def _by_value(values: Sequence[JsonValue], *, highest: bool) -> list[int]:
    """Sort by numbers where all values have one, else as texts; what is missing comes last."""
    there = [n for n, value in enumerate(values) if not _is_missing(value)]
    counted = {n: _counted(values[n]) for n in there}
    missing = [n for n in range(len(values)) if n not in counted]
    if any(value is None for value in counted.values()):
        said = {n: line(values[n]).casefold() for n in there}
        return [*sorted(there, key=said.__getitem__, reverse=highest), *missing]
    scores = {n: value or 0.0 for n, value in counted.items()}
    return [*sorted(there, key=scores.__getitem__, reverse=highest), *missing]


def _is_missing(value: JsonValue) -> bool:
    return value is None or line(value).strip().casefold() in ("", *_NOTHING)


def _counted(value: JsonValue) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    return number(value[:500]) if isinstance(value, str) else None


def _sorted(scores: Sequence[float], *, highest: bool) -> list[int]:
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=highest)


def _empty(message: str) -> TemplateError:
    return TemplateError([Problem(file="template", line=1, column=1, message=message, code="T011")])
