"""Texts and JSON on their way into DuckDB, which takes UTF-8 and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json, to_jsonable_python

INLINE = 4096
"""Characters of an output that stand in its row; a longer text lies whole in blobs."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def clean(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 can hold, by U+FFFD. The journal keeps them."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def sha256(text: str) -> str:
    """Give the content address of a text: the sha256 of its UTF-8 form."""
    return hashlib.sha256(clean(text).encode()).hexdigest()


def forgotten_name(identifier: str) -> str:
    """Give what a job or a trace is called when it is forgotten: its id has words of its task."""
    return name_of(sha256(identifier))


def name_of(digest: str) -> str:
    """Give the name of something forgotten by the sha256 of its id."""
    return f"forgotten-{digest[:16]}"


def as_json(value: Any) -> str | None:
    """Write a value, a model or several too, for a JSON column; None stays NULL."""
    if value is None:
        return None
    try:
        return to_json(value).decode()
    except ValueError:  # it has half a character
        return clean(_encode(to_jsonable_python(value)))


def utc(moment: datetime | None) -> datetime | None:
    """Give a time for a TIMESTAMP column: UTC without a zone. One without a zone is UTC."""
    if moment is None or moment.tzinfo is None:
        return moment
    if not moment.utcoffset():
        return moment.replace(tzinfo=None)
    return moment.astimezone(UTC).replace(tzinfo=None)


def from_unix(seconds: float) -> datetime | None:
    """Give the time of a Unix second, None when it is outside the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return None


class Inline:
    """A text as it stands in a row: its beginning, its length, and where the whole of it lies."""

    def __init__(self, text: str, blobs: dict[str, str]) -> None:
        self.text = clean(text)
        self.characters = len(self.text)
        self.sha256: str | None = None
        if self.characters > INLINE:
            self.sha256 = sha256(self.text)
            blobs.setdefault(self.sha256, self.text)
            self.text = self.text[:INLINE]
