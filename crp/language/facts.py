"""Facts: splitting a long context into passages and choosing the ones that a question needs.

Code chooses by word overlap because it was measured to be the best thing for a tiny model: it
picked the right one of six passages 39 times of 40, the model 15 (shared/bench.md). Pure, and
linear in the length of the context.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from crp.language.words import content, sentences, stems

MOST_CHARS = 1500
"""A longer paragraph is split at sentence ends."""

_HEADING = re.compile(r"#{1,6}[ \t]+(\S.*)")
_ENTRY = re.compile(r"[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)][ \t])")
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BLANKS = b" \t"
_HIGH = bytes(range(128, 256))


class Passage(NamedTuple):
    """One piece of the context that can be given without the others."""

    text: str
    heading: str = ""
    """The heading line that it stands under, as written."""
    place: int = 0
    """Position in the context."""
    tight: bool = False
    """It is one line of a list: no empty line stands between it and the one before."""

    @property
    def whole(self) -> str:
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def tokens(text: str) -> int:
    """Estimate how many tokens a text has, rather too many than too few.

    ASCII letters count 1 in 3.6, a blank a fifth, digits and punctuation 1 each, and every byte
    of anything else three quarters. English has about four letters a token; tokenizers of small
    models split numbers into digits, and byte-level BPE falls back to bytes for what it knows
    badly. A wrong guess is not fatal: a prompt that the server refuses is built again, smaller.
    """
    data = text.encode("utf-8", "replace")
    ascii_only = data if text.isascii() else data.translate(None, _HIGH)
    no_letters = ascii_only.translate(None, _LETTERS)
    marks = len(no_letters.translate(None, _BLANKS))
    letters, blanks = len(ascii_only) - len(no_letters), len(no_letters) - marks
    other = len(data) - len(ascii_only)
    return math.ceil(letters / 3.6 + blanks * 0.2 + marks + other * 0.75)


@lru_cache(maxsize=4)
def passages(context: str) -> tuple[Passage, ...]:
    """Split a context at its headings, paragraphs and list lines; huge paragraphs at sentences."""
    found: list[Passage] = []
    heading = ""
    block: list[str] = []

    def close() -> None:
        for text, tight in _pieces(block):
            found.append(Passage(text=text, heading=heading, place=len(found), tight=tight))
        block.clear()

    for line in context.split("\n"):
        if _HEADING.match(line):
            close()
            heading = line.strip()
        elif line.strip():
            block.append(line.rstrip())
        elif block:
            close()
    close()
    return tuple(found)


def _pieces(block: list[str]) -> Iterable[tuple[str, bool]]:
    entries = [bool(_ENTRY.match(line)) for line in block]
    if sum(entries) >= 2:
        yield from _list_lines(block, entries)
    elif block:
        text = "\n".join(block)
        yield from ((piece, False) for piece in _split(text))


def _list_lines(block: list[str], entries: list[bool]) -> Iterable[tuple[str, bool]]:
    # A line that does not begin an entry belongs to the one before it.
    group: list[str] = []
    first = True
    for line, is_entry in zip(block, entries, strict=True):
        if is_entry and group:
            yield "\n".join(group), not first
            group, first = [], False
        group.append(line)
    yield "\n".join(group), not first


def _split(text: str) -> Iterable[str]:
    if len(text) <= MOST_CHARS:
        return [text]
    pieces: list[str] = []
    current: list[str] = []
    size = 0
    for sentence in sentences(text):
        for start in range(0, len(sentence), MOST_CHARS):
            part = sentence[start : start + MOST_CHARS]
            if current and size + len(part) > MOST_CHARS:
                pieces.append(" ".join(current))
                current, size = [], 0
            current.append(part)
            size += len(part) + 1
    return [*pieces, " ".join(current)]


def select(passages: Sequence[Passage], query: str, budget_tokens: int) -> tuple[str, bool]:
    """Take the passages that share most with the query, in their own order, into a budget.

    Returns the text and whether anything was left out. A passage is never cut, except when the
    best one alone is over the budget. A shared word counts more the fewer passages have it (the
    inverse document frequency of BM25, Robertson and Zaragoza 2009).
    """
    costs = [tokens(passage.text) + 2 for passage in passages]
    heads = {passage.heading: tokens(passage.heading) + 1 for passage in passages}
    if sum(costs) + sum(heads.values()) <= budget_tokens:
        return joined(passages), False
    chosen: list[Passage] = []
    left = budget_tokens
    for position in _ranked(passages, query):
        passage = passages[position]
        cost = costs[position] + heads.get(passage.heading, 0)
        if cost <= left:
            left -= cost
            heads[passage.heading] = 0
            chosen.append(passage)
        elif not chosen:
            return cut(passage.whole, budget_tokens), True
    return joined(sorted(chosen, key=lambda passage: passage.place)), True


def _ranked(passages: Sequence[Passage], query: str) -> list[int]:
    asked = set(content(stems(query[:20_000])))
    shared = [asked & own for own in _stems(tuple(passages))]
    spread = Counter(word for found in shared for word in found)
    weight = {w: math.log(1 + (len(passages) - n + 0.5) / (n + 0.5)) for w, n in spread.items()}
    scores = [sum(sorted(weight[word] for word in found)) for found in shared]
    return sorted(range(len(passages)), key=lambda i: (-scores[i], i))


@lru_cache(maxsize=4)
def _stems(passages: tuple[Passage, ...]) -> tuple[frozenset[str], ...]:
    """The words of each passage: the calls of a job search the same facts again and again."""
    return tuple(frozenset(stems(passage.whole)) for passage in passages)


def about(passages: Sequence[Passage], query: str) -> tuple[Passage, ...]:
    """Give the passages that speak of something: those with all of its words.

    Where none has all of them, those with the most; where none has any, nothing.
    """
    wanted = set(content(stems(query[:20_000]))) or set(stems(query[:20_000]))
    if not wanted:
        return ()
    shared = [len(wanted & own) for own in _stems(tuple(passages))]
    best = max(shared, default=0)
    return tuple(p for p, n in zip(passages, shared, strict=True) if n == best > 0)


def joined(passages: Sequence[Passage]) -> str:
    """Write passages one after the other, each heading once."""
    parts: list[str] = []
    heading = ""
    for passage in passages:
        if passage.heading != heading:
            heading = passage.heading
            parts.append(f"{chr(10) * 2 if parts else ''}{heading}\n" if heading else "\n\n")
        elif parts:
            parts.append("\n" if passage.tight else "\n\n")
        parts.append(passage.text)
    return "".join(parts).strip("\n")


def cut(text: str, budget_tokens: int) -> str:
    """Keep the beginning of a text that fits a budget, ending at a sentence where one ends."""
    if tokens(text) <= budget_tokens:
        return text
    low, high = 0, min(len(text), max(0, budget_tokens) * 6)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens(text[:middle]) <= budget_tokens else (low, middle - 1)
    head = text[:low]
    ends = [head.rfind(mark) for mark in (". ", ".\n", "! ", "? ", "\n", "。")]
    best = max(ends) + 1
    return head[: best if best > low // 2 else max(head.rfind(" "), 0) or low].rstrip()
