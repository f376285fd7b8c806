"""Making texts smaller so that a prompt fits the model's window. Pure.

What is cut says so with an ellipsis, and everything is cut by the same share: the last of several
steps loses no more than the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import JsonValue

from crp.language.facts import cut, passages, select, tokens

SMALL = 24
"""Tokens; a text of this size is left alone."""
GAP = "\n[…]\n"


def head_and_tail(text: str, budget: int) -> str:
    """Keep the beginning and the end of a text: requests stand at one of them."""
    if tokens(text) <= budget:
        return text
    room = max(2, budget - tokens(GAP))
    head = cut(text, room * 3 // 5)
    return head + GAP + _tail(text[len(head) :], room - tokens(head))


def _tail(text: str, budget: int) -> str:
    low, high = 0, min(len(text), max(0, budget) * 6)
    while low < high:  # the longest end that fits
        middle = (low + high + 1) // 2
        fits = tokens(text[len(text) - middle :]) <= budget
        low, high = (middle, high) if fits else (low, middle - 1)
    tail = text[len(text) - low :]
    return tail.split(" ", 1)[-1].lstrip() if low < len(text) and " " in tail[:40] else tail


def scaled(
    names: Mapping[str, JsonValue], share: float, only: Collection[str], query: str
) -> dict[str, JsonValue]:
    """Cut the values of some names to a share of their size; `context` by relevance."""
    result = dict(names)
    for name in only:
        value = names.get(name)
        if name == "context" and isinstance(value, str):
            result[name] = select(passages(value), query, int(tokens(value) * share))[0]
        elif value is not None:
            result[name] = _scaled(value, share)
    return result


def _scaled(value: JsonValue, share: float) -> JsonValue:
    if isinstance(value, str):
        size = tokens(value)
        if size <= SMALL:
            return value
        return cut(value, max(SMALL, int(size * share))) + " …"
    if isinstance(value, dict):
        return {key: _scaled(entry, share) for key, entry in value.items()}
    if isinstance(value, list):
        if all(isinstance(entry, str) and tokens(entry) > SMALL for entry in value):
            return [_scaled(entry, share) for entry in value]
        return value[: max(1, round(len(value) * share))]
    return value
