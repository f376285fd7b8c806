"""How an entry of the journal is written as a line, and found again in bytes that may be damaged.

A line is ASCII JSON, `{"crc":"...","seq":1,"at":"...","kind":"...","body":...}` and a newline. The
checksum is the CRC-32 of everything after it, newline not included. Pure: touches no file.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

_MARK = b'{"crc":"'
_LINE = re.compile(rb'\{"crc":"([0-9a-f]{8})",("seq":(\d+),.*)', re.DOTALL)
_PARTS = re.compile(
    rb'"seq":(\d+),"at":"([^"]+)","kind":("(?:[^"\\]|\\.)*"),"body":(.*)\}', re.DOTALL
)


class Entry(NamedTuple):
    """One thing that the store learned."""

    sequence: int
    at: datetime
    kind: str
    text: bytes
    """The body, in JSON."""

    @property
    def body(self) -> Any:
        """The body, read."""
        return json.loads(self.text)


class Piece(NamedTuple):
    """A part of a segment: a whole line, or a place that can not be read."""

    offset: int
    line: bytes
    """Without its newline."""
    damage: str = ""
    """Why it can not be read; empty for a whole line."""

    @property
    def sequence(self) -> int:
        """The number of a whole line's entry."""
        found = _LINE.match(self.line)
        assert found is not None, "only whole pieces have a number"
        return int(found[3])

    def entry(self) -> Entry:
        """Read a whole line."""
        found = _PARTS.search(self.line)
        assert found is not None, "only whole pieces have an entry"
        sequence, at, kind, body = found.groups()
        return Entry(int(sequence), datetime.fromisoformat(at.decode()), json.loads(kind), body)


def line_of(sequence: int, at: datetime, kind: str, body: str) -> bytes:
    """Write an entry whose body is JSON already."""
    head = f'"seq":{sequence},"at":"{at.isoformat()}","kind":{json.dumps(kind)}'
    rest = f'{head},"body":{body}}}'.encode("ascii")
    return b'%s%08x",%s\n' % (_MARK, zlib.crc32(rest), rest)


def is_whole(line: bytes) -> bool:
    """Whether a line, with or without its newline, is what was written."""
    found = _LINE.fullmatch(line.removesuffix(b"\n"))
    return found is not None and int(found[1], 16) == zlib.crc32(found[2])


def pieces_of(offset: int, line: bytes) -> Iterator[Piece]:
    """Give what is in a line of a file; a flipped newline has joined two, and both are found."""
    if is_whole(line):
        yield Piece(offset, line.removesuffix(b"\n"))
        return
    for start, part in _split_at_marks(line):
        at = offset + start
        if is_whole(part):
            yield Piece(at, part.removesuffix(b"\n"))
        elif is_whole(part[:-1]):
            yield Piece(at + len(part) - 1, part[-1:], "the end of a line, nothing is lost")
            yield Piece(at, part[:-1])
        else:
            yield Piece(at, part, "does not match its checksum")


def _split_at_marks(line: bytes) -> list[tuple[int, bytes]]:
    """The line cut where an entry may begin, each part with its offset in the line."""
    starts = sorted({0, *(m.start() for m in re.finditer(re.escape(_MARK), line))})
    return [(a, line[a:b]) for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]
