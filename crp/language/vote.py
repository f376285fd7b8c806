"""Which of several answers to one question is said most often. Pure.

Self-consistency (Wang et al. 2022, arXiv:2203.11171): sample several answers, take the majority.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from pydantic import JsonValue

from crp.language.show import line
from crp.language.words import clean, plain_number

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MARKS = ".,;:!?\"'`“”‘’*_()[]{}$€£"
"""Not `C++` or `-5`."""
_ARTICLES = frozenset({"a", "an", "the"})


def elect(values: Sequence[JsonValue], field: str = "") -> int:
    """Give the place of the answer that wins: the first of those that say what most say.

    `field` is what is voted on where the answers have fields; empty: the whole answer. An answer
    that says nothing does not vote, unless none says anything.
    """
    ballots = [said(v.get(field) if field and isinstance(v, dict) else v) for v in values]
    votes = Counter(ballot for ballot in ballots if ballot)
    return max(range(len(ballots)), key=lambda n: (votes[ballots[n]], -n))


def said(value: JsonValue) -> str:
    """Give what an answer says, however it is written: `The Fir.` and `fir` are the same.

    Case, punctuation and articles do not count; `1,200.0` is 1200; the order of fields and of the
    entries of a list says nothing.
    """
    if isinstance(value, dict):
        value = sorted(f"{key}={said(entry)}" for key, entry in value.items())  # type: ignore[assignment]
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return json.dumps(sorted(map(said, value)), ensure_ascii=False)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = format(value, ".12g")
    text = clean(line(value)).casefold()
    text = _NUMBER.sub(lambda found: plain_number(found.group()), text)
    words = (word.lstrip(_MARKS).rstrip(_MARKS + "-") for word in text.split())
    return " ".join(word for word in words if word and word not in _ARTICLES) or text.strip()
