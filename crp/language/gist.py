"""A long text in parts, and the sentences that say most of it: what a summary is made of.

A small model that is asked for the point of a page invents one; code that chooses among the
sentences of the page can not. Pure, and linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from crp.language.facts import Passage, joined, passages
from crp.language.said import material
from crp.language.words import clean, content, numbers, stems, words
from crp.models import Task

PART_WORDS = 60
"""Words of a part at most, unless a paragraph has more or there would be too many parts."""
_SHORT = 6
"""Distinct words; shorter sentences are not taken for telling because their few words are."""
_LEAD = 1.25
"""The first sentence of a part mostly says what it is about."""
_HAS_NUMBER = 1.15
_OUTCOME = re.compile(
    r"\b(?:decided|voted|agreed|approved|rejected|concluded|found that|shows?|showed|results?|"
    r"therefore|because|must|most|main|important|first)\b",
    re.IGNORECASE,
)
_HAS_OUTCOME = 1.3
_LEANS = re.compile(r"(?:he|she|it|they|this|these|that|those|another|but|so|then|until)\b", re.I)
"""A sentence that begins so leans on the one before it."""
_IS_LEANING = 0.7


def long_text(task: Task, place: str) -> str:
    """Give the text that is to be split: the facts, or what the request brings along."""
    return clean(task.context if place == "context" else material(task.text)).strip()


@lru_cache(maxsize=8)
def parts(text: str, most: int = 50) -> dict[str, str]:
    """Split a text into named parts: its sections, each in pieces of about the same size.

    A part is called like the heading that it stands under, or `Part 2`. Where there would be more
    than `most`, parts are larger and headings do not divide them.
    """
    size, pieces = PART_WORDS, passages(text)
    found = _gathered(pieces, size, at_headings=True)
    while len(found) > max(1, most):
        size *= 2
        found = _gathered(pieces, size, at_headings=False)
    return _named(found)


def telling(found: Sequence[str], top: int) -> list[str]:
    """Choose the sentences whose words the others use most, in their order."""
    own = [set(content(stems(sentence))) for sentence in found]
    spread = Counter(word for each in own for word in each)
    scores = [_telling(own[i], spread, found[i], i == 0) for i in range(len(found))]
    best = sorted(range(len(found)), key=lambda i: (-scores[i], i))[:top]
    return [found[i] for i in sorted(best)]


def _telling(own: set[str], spread: Counter[str], sentence: str, is_first: bool) -> float:
    score = sum(spread[word] for word in own) / max(len(own), _SHORT)
    score *= _HAS_NUMBER if numbers(sentence) else 1.0
    score *= _HAS_OUTCOME if _OUTCOME.search(sentence) else 1.0
    score *= _IS_LEANING if _LEANS.match(sentence) else 1.0
    return score * (_LEAD if is_first else 1.0)


def _gathered(
    pieces: Sequence[Passage], size: int, *, at_headings: bool
) -> list[tuple[Passage, ...]]:
    found: list[tuple[Passage, ...]] = []
    room, heading = 0, ""
    for piece in pieces:
        length = len(words(piece.text))
        is_new = at_headings and piece.heading != heading
        if not found or length > room or is_new:
            found.append(())
            room, heading = size, piece.heading
        found[-1] += (piece,)
        room -= length
    return found


def _named(found: Sequence[Sequence[Passage]]) -> dict[str, str]:
    named: dict[str, str] = {}
    for number, pieces in enumerate(found, 1):
        name = pieces[0].heading.strip("# \t") or f"Part {number}"
        named[name if name not in named else f"{name} ({number})"] = joined(pieces)
    return named
