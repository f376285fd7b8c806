"""Takes off the loop that a small model falls into when it does not know how to stop. Pure.

A 135M model often says everything once, well, and then says it again until its limit. What was
said again adds nothing and hides what is good; the untouched answer is kept beside it.
"""

from __future__ import annotations

import re

from crp.language.words import words

_UNIT = re.compile(r"[^\n.!?]*(?:[.!?](?!\s)[^\n.!?]*)*[.!?]*[ \t]*\n*")
_MARK = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*•])\s+")
FEWEST = 2
"""Units said again before it counts as a loop."""


def without_loop(text: str) -> str:
    """Cut a text that ends in lines or sentences it has said before, behind what was new."""
    units = [m for m in _UNIT.finditer(text) if m.group()]
    keys = [" ".join(words(_MARK.sub("", m.group()))) for m in units]
    first: dict[str, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    end = len(units)
    while end and _said_before(keys, first, end - 1):
        end -= 1
    said_again = sum(bool(key) for key in keys[end:])
    if said_again < FEWEST or not any(keys[:end]):
        return text
    return text[: units[end - 1].end()].rstrip()


def _said_before(keys: list[str], first: dict[str, int], place: int) -> bool:
    key = keys[place]
    if not key or first[key] < place:
        return True
    # The last unit may be cut off in the middle.
    return place == len(keys) - 1 and any(other.startswith(key) for other in keys[:place])
