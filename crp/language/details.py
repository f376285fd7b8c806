"""What a text says in numbers and names, for the filters `numbers` and `missing`.

A tiny model can not compare two texts; code compares what can be compared. Pure and linear.
"""

from __future__ import annotations

from crp.language.words import names, numbers, stem, stems, words

MOST = 200
"""Entries that a filter gives at most."""


def numbers_in(text: str) -> list[str]:
    """Give the numbers of a text in their order, one spelling each: `1,200` is `1200`."""
    return numbers(text)[:MOST]


def missing(text: str, other: str) -> list[str]:
    """Give the numbers and names of a text that do not stand in the other, each once."""
    known = {*numbers(other), *words(other), *stems(other)}
    found = dict.fromkeys([*numbers(text), *names(text)])
    return [one for one in found if one not in known and stem(one.casefold()) not in known][:MOST]
