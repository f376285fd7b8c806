"""Taking a key out of what a server says: servers and proxies like to repeat a request. Pure."""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Callable
from typing import Any

from crp.models import Completion

GONE = "***"
SHORTEST = 4
"""Characters; a shorter key is none."""
SHORTEST_IN_ANSWERS = 16
"""Local servers take any word as a key, and an answer may use that word."""
_BEGIN, _BEGIN_ENCODED = 8, 12
"""By so much of its beginning a key is known: a message may have been cut in the middle of it."""
_ENCODED = frozenset(string.ascii_letters + string.digits + "+/=_-%")


def from_error(text: str, key: str) -> str:
    """Take a key out of an error message, also where its end was cut off."""
    if len(key) < SHORTEST:
        return text
    text = re.sub(re.escape(key[:_BEGIN]) + r"\S*", GONE, text)
    return _without_encoded(text, key)


def from_answer(completion: Completion, key: str) -> Completion:
    """Take a key out of everything in an answer."""
    if len(key) < SHORTEST_IN_ANSWERS:
        return completion

    def without(text: str) -> str:
        return _without_encoded(text.replace(key, GONE), key)

    parts = {name: getattr(completion, name) for name in ("text", "finish_reason", "model")}
    parts["metadata"] = completion.metadata
    cleaned = {name: _mapped(value, without) for name, value in parts.items()}
    return completion if cleaned == parts else completion.model_copy(update=cleaned)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(str(k)): _mapped(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(entry, change) for entry in value]
    return value


def _without_encoded(text: str, key: str) -> str:
    """Take out the base64 words that a key is part of, wherever it begins in them."""
    for form in _encoded(key):
        while (found := text.find(form)) >= 0:
            start, end = found, found + len(form)
            while start and text[start - 1] in _ENCODED:
                start -= 1
            while end < len(text) and text[end] in _ENCODED:
                end += 1
            text = text[:start] + GONE + text[end:]
    return text


def _encoded(key: str) -> list[str]:
    """The beginning of a key in base64, at each of the three places in a word of four."""
    forms = []
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + key.encode()).decode()
        # What stands before it decides the first characters of the word.
        forms.append(encoded[4 if offset else 0 :].rstrip("=")[:_BEGIN_ENCODED])
    plain = [form for form in forms if len(form) == _BEGIN_ENCODED]
    return [*plain, *(form.replace("+", "-").replace("/", "_") for form in plain)]
