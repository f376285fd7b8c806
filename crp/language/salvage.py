"""JSON out of what a model wrote around, inside and instead of it.

Pure and linear: a fixed number of passes over at most `LIMIT` characters. The nesting is counted
before anything is parsed, so no input can exhaust the stack. `NaN` and infinite numbers become
null, texts inside are cleaned.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple

from pydantic import JsonValue

from crp.language.words import clean

LIMIT = 200_000
"""Characters that are searched: far more than a model's answer has."""
MAX_DEPTH = 24
STARTS = 6
"""How many opening brackets are tried before giving up."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)
_SINGLE = re.compile(r"'([^'\\\n]*(?:\\.[^'\\\n]*)*)'(?=\s*[,:}\]])")
_STRING = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)(?=\s*:)")
_CLOSING = {"{": "}", "[": "]"}


class Found(NamedTuple):
    value: JsonValue
    whole: bool
    """False: the text ended inside the value; what was missing at its end has been closed."""


def find(text: str) -> Found | None:
    """Find the first object or list in a text, mended where it is nearly JSON."""
    text = text[:LIMIT]
    position = 0
    for _ in range(STARTS):
        opening = re.compile(r"[{\[]").search(text, position)
        if opening is None:
            return None
        body, closers, end = _span(text, opening.start())
        if body is not None:
            found = _load(body, closers)
            if found is not None:
                return found
        position = max(end, opening.end())
    return None


def _span(text: str, start: int) -> tuple[str | None, str, int]:
    """Give the value that opens at `start`, what is missing to close it, and where it ends.

    The value is None when it is nested too deeply.
    """
    stack: list[str] = []
    for token in _TOKEN.finditer(text, start):
        mark = token.group()
        if mark in _CLOSING:
            stack.append(_CLOSING[mark])
            if len(stack) > MAX_DEPTH:
                return None, "", len(text)
        elif stack and mark == stack[-1]:
            stack.pop()
            if not stack:
                return text[start : token.end()], "", token.end()
        elif mark[0] == '"' and not _STRING.fullmatch(mark):
            return text[start:], '"' + "".join(reversed(stack)), start + 1
    return text[start:], "".join(reversed(stack)), start + 1


def _load(body: str, closers: str) -> Found | None:
    if not closers:
        value = _parse(body) or _parse(_mended(body))
        return Found(value[0], True) if value else None
    # Cut off: close it as it stands, or else go back to the last complete entry.
    for attempt in (body, _without_last(body)):
        closed = attempt.rstrip().rstrip("\\").rstrip(",: \n") + _missing(attempt)
        value = _parse(closed) or _parse(_mended(closed))
        if value:
            return Found(value[0], False)
    return None


def _missing(body: str) -> str:
    return _span(body, 0)[1]


def _without_last(body: str) -> str:
    outside = _STRING.sub(lambda m: " " * len(m.group()), body)
    cut = max(outside.rfind(","), outside.rfind("{") + 1, outside.rfind("[") + 1)
    return body[:cut]


def _parse(text: str) -> tuple[JsonValue] | None:
    try:
        value = json.loads(
            text,
            strict=False,
            parse_constant=lambda _: None,
            parse_float=_finite,
            parse_int=lambda digits: int(digits) if len(digits) < 19 else _finite(digits),
        )
    except (ValueError, RecursionError):
        return None
    return (_cleaned(value),) if isinstance(value, dict | list) else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _cleaned(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(entry) for entry in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(entry) for key, entry in value.items()}
    return value


def _mended(text: str) -> str:
    """Write JSON the strict way: double quotes, quoted keys, no comma before a bracket."""
    if '"' not in text:
        text = text.replace("“", '"').replace("”", '"')
    parts = _STRING.split(text)
    parts[::2] = (_SINGLE.sub(lambda m: json.dumps(m.group(1)), part) for part in parts[::2])
    parts = _STRING.split("".join(parts))
    parts[::2] = (_outside(part) for part in parts[::2])
    return re.sub(r",(\s*[}\]])", r"\1", "".join(parts))


def _outside(part: str) -> str:
    part = _BARE_KEY.sub(r'\1"\2"', part)
    for python, plain in (("True", "true"), ("False", "false"), ("None", "null")):
        part = re.sub(rf"\b{python}\b", plain, part)
    return part
