"""What kind of value stands behind a name that a text may use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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


def suggest(word: str, known: Iterable[str]) -> str:
    """Give `did you mean "x"?` when something known is spelled like the word."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""
