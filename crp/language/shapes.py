"""What a text may use: values by their kind, filters, and how a use of a name is told."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

LOOP = ("index", "first", "last", "length")
"""What a loop knows of itself; `index` counts from 1."""

Kind = Literal["text", "number", "list", "record", "answers", "any"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of value stands behind a name."""

    kind: Kind = "any"
    of: Shape | None = None
    """What a list's entries, or one item's answer of a fan-out, look like."""
    fields: Mapping[str, Shape] = field(default_factory=dict)
    label: str = ""
    """How messages call it: `step "verdict"`."""


ANY = Shape()
TEXT = Shape("text")
NUMBER = Shape("number")
TEXTS = Shape("list", TEXT)
LOOP_SHAPE = Shape("record", fields=dict.fromkeys(LOOP, NUMBER), label='"loop"')


FILTERS: dict[str, int] = {
    "join": 1,
    "length": 0,
    "default": 1,
    "upper": 0,
    "lower": 0,
    "trim": 0,
    "first": 0,
    "last": 0,
    "bullets": 0,
    "numbered": 0,
    "json": 0,
    "words": 1,
    "quote": 0,
    "numbers": 0,
    "missing": 1,
    "value": 1,
}
"""Each filter with the most values it takes. `words` counts; `words(20)` gives the first 20.
`numbers` are those of a text; `a | missing(b)` is what a has and b has not, in numbers and names;
`text | value("price")` is what the text gives for a field."""


_NEED_LISTS = ("join", "bullets", "numbered", "first", "last")


def filtered(name: str, values: int, base: Shape) -> Shape | None:
    """Say what a filter with so many values gives; None when it needs a list and gets none."""
    if name in _NEED_LISTS and base.kind in ("text", "number"):
        return None
    if name in ("first", "last"):
        return base.of or ANY
    if name in ("numbers", "missing"):
        return TEXTS
    if name == "default":
        return base
    if name == "length" or (name == "words" and not values):
        return NUMBER
    return TEXT


@dataclass(slots=True)
class Reference:
    """One use of a name that a text does not make itself. Not to be changed."""

    name: str
    index: str = ""
    """`item` in `profile[item]`."""
    guarded: bool = False
    """It stands under `if` of itself, or has a `default`: the text can do without it."""
    tested: bool = False
    """It is only asked about in an `if`; its value is not put into the text."""
    line: int = 1
    column: int = 1


_LONGEST, _MOST = 60, 300
"""Letters of a word and number of words that are looked at for one that is spelled like another."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Give `did you mean "x"?` when something known is spelled like the word."""
    if len(word) > _LONGEST:
        return ""
    near = difflib.get_close_matches(word, list(islice(known, _MOST)), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""
