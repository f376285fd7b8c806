"""The library as a file: read and written in the reference implementation's `to_dict` format.

A file is one JSON object with `traces`, a JSON list of traces, or JSON lines, one trace a line; the
data that `to_dict` of an engine gives is the first of these. Pure: texts in, texts out.

What must stay true: an entry that is not a whole trace is named with its number and left out, and
costs no other entry; what was written reads back the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from crp.errors import UsageError
from crp.models import ReasoningTrace


class Numbered(NamedTuple):
    """A trace with its place in the file."""

    place: str
    """`entry 3`, or `line 3` of JSON lines."""
    trace: ReasoningTrace


class Contents(NamedTuple):
    """What a file holds."""

    traces: tuple[Numbered, ...]
    bad: tuple[str, ...]
    """The entries that are no traces, each with its place and why."""


def read(text: str) -> Contents:
    """Read a file's text. UsageError when it is no library at all."""
    traces: list[Numbered] = []
    bad: list[str] = []
    for place, entry in _entries(text.removeprefix("\ufeff")):
        try:
            traces.append(Numbered(place, _trace(entry)))
        except ValueError as error:
            bad.append(f"{place}: {error}")
    return Contents(tuple(traces), tuple(bad))


def write(traces: Iterable[ReasoningTrace]) -> str:
    """Give the text of a library file."""
    data = {"traces": [trace.to_dict() for trace in traces]}
    return json.dumps(data, ensure_ascii=True, indent=1, allow_nan=False) + "\n"


def _entries(text: str) -> Iterator[tuple[str, Any]]:
    """Each entry with its place; a line that is not JSON is given as the error that it makes."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield from _lines(text, error)
        return
    for number, entry in enumerate(_listed(whole), 1):
        yield f"entry {number}", entry


def _listed(whole: Any) -> list[Any]:
    if isinstance(whole, dict) and isinstance(whole.get("traces"), list):
        return list(whole["traces"])
    if isinstance(whole, list):
        return whole
    if isinstance(whole, dict) and "task_summary" in whole:
        return [whole]  # JSON lines with one line
    raise UsageError('this is no library: it is a JSON list of traces, or {"traces": [...]}')


def _lines(text: str, error: Exception) -> Iterator[tuple[str, Any]]:
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    read = [(f"line {n}", _line(line)) for n, line in lines]
    if not any(isinstance(entry, dict) for _, entry in read):
        raise UsageError(f"this is no library: it is not JSON: {error}") from None
    yield from read


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return error


def _trace(entry: Any) -> ReasoningTrace:
    """Make a trace of an entry; ValueError in words for people."""
    if isinstance(entry, Exception):
        raise ValueError(f"not JSON: {entry}")
    if not isinstance(entry, Mapping):
        raise ValueError(f"not an object but a {type(entry).__name__}")
    try:
        trace = ReasoningTrace.from_dict(entry)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{name}: {first['msg']}") from None
    if not math.isfinite(trace.created_at):
        raise ValueError("created_at: not a time")
    for name in ("trace_id", "task_summary", "steps"):
        if not getattr(trace, name):
            raise ValueError(f"{name}: empty, so it can not be an example")
    return trace
