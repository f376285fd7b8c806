"""The journal: what the store knows, in the order in which it learned it.

Stored: segments `000000000001.jsonl`, named by the sequence number of their first entry; one
entry a line, ASCII JSON, `{"crc":"...","seq":1,"at":"...","kind":"...","body":...}`. The checksum
is the CRC-32 of everything after it, newline not included.
An entry is identified by its sequence number, which counts from 1 over all segments.
What must stay true: an entry that `append` returned is on disk (fsync) and is never changed; a
line that is not whole is never taken for an entry; one damaged line costs no other line.

The journal knows no records: what a kind means is said in `facts`. It is not thread-safe; its
owner is the store, which has one lock.
"""

from __future__ import annotations

import json
import logging
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from crp.errors import StoreError, StoreUnavailable

SEGMENT_BYTES = 32 * 1024 * 1024
"""A new segment is begun when the last one is larger."""

_MARK = b'{"crc":"'
_LINE = re.compile(rb'\{"crc":"([0-9a-f]{8})",("seq":(\d+),.*)', re.DOTALL)
_log = logging.getLogger(__name__)


class Position(NamedTuple):
    """Where a line begins: the segment's file name and the byte in it."""

    segment: str
    offset: int


class Stamp(NamedTuple):
    """What the journal gives an entry."""

    sequence: int
    at: datetime


class Entry(NamedTuple):
    """One thing that the store learned."""

    sequence: int
    at: datetime
    kind: str
    body: Any


class Damage(NamedTuple):
    """A place in the journal that can not be read."""

    position: Position
    size: int
    reason: str

    def __str__(self) -> str:
        return f"journal {self.position.segment}, byte {self.position.offset}: {self.reason}"


class Journal:
    """Append entries that survive a crash, and read them again in order."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self._segment_bytes = segment_bytes
        self._damage: dict[Position, Damage] = {}
        self._fd: int | None = None
        self.last = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._open_last()
        except OSError as error:
            raise StoreError(f"can not use the journal {directory}: {error.strerror}") from error

    @property
    def damage(self) -> tuple[Damage, ...]:
        """Every damaged place that reading has met so far."""
        return tuple(self._damage.values())

    @property
    def first(self) -> int:
        """The sequence number that the oldest segment begins with."""
        return _first_of(self._segments()[0])

    def append(self, facts: Sequence[tuple[str, str]]) -> list[Stamp]:
        """Keep facts as (kind, encoded body), all or none of them, with one fsync for all.

        StoreUnavailable when they can not be written (the disk is full): none was kept.
        """
        at = datetime.now(UTC)
        numbers = range(self.last + 1, self.last + 1 + len(facts))
        lines = [_line(n, at, *fact) for n, fact in zip(numbers, facts, strict=True)]
        self._write(b"".join(lines))
        self.last += len(facts)
        return [Stamp(number, at) for number in numbers]

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Give the entries with a sequence number above `after`, oldest first."""
        expected, damaged = after + 1, False
        for path in self._segments_from(after + 1):
            for offset, piece in self._pieces(path):
                if not piece:
                    damaged = True
                    continue
                number, entry = _parse(piece, after)
                if number > expected and not damaged:
                    self._report(path, offset, 0, f"entries {expected} to {number - 1} are gone")
                expected, damaged = max(expected, number + 1), False
                if entry is not None:
                    yield entry

    def skip_to(self, sequence: int) -> None:
        """Make the next entry's number higher than `sequence`, in a segment of its own."""
        if sequence > self.last:
            self.last = sequence
            empty = self._path if self._size == 0 else None
            self._begin_segment()
            if empty:
                empty.unlink()  # its name promises entries that are not there

    def close(self) -> None:
        """Close the segment that is written to."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    # -- writing --------------------------------------------------------------------------

    def _open_last(self) -> None:
        segments = self._segments()
        if not segments:
            return self._begin_segment()
        path = segments[-1]
        self._use(path, path.stat().st_size)
        self._mend_tail(path)
        self.last = _first_of(path) - 1
        for _, piece in self._pieces(path):
            self.last = max(self.last, _number_of(piece) if piece else 0)

    def _mend_tail(self, path: Path) -> None:
        """Cut off a last line that a kill has torn; one that lacks only its end is whole."""
        start = _whole_size(path)
        with path.open("rb") as file:
            file.seek(start)
            tail = file.read()
        whole = next((part for part in (tail, tail[:-1]) if _is_whole(part)), b"")
        self._size = start + len(whole)
        self._cut_back()
        if whole:
            self._write_whole(b"\n")

    def _begin_segment(self) -> None:
        path = self.directory / f"{self.last + 1:012d}.jsonl"
        self._use(path, path.stat().st_size if path.exists() else 0)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # the file's name must survive a power cut too
        finally:
            os.close(directory)

    def _use(self, path: Path, size: int) -> None:
        self.close()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._path, self._size = path, size
        self._cut_back()

    def _write(self, data: bytes) -> None:
        try:
            if self._size > self._segment_bytes:
                self._begin_segment()
            self._cut_back()  # what a failed write could not remove at its time
            self._write_whole(data)
        except OSError as error:
            self._cut_back_if_possible()
            raise StoreUnavailable(
                f"can not write the journal {self._path}: {error.strerror};"
                " nothing of this was kept, it may be tried again"
            ) from error

    def _write_whole(self, data: bytes) -> None:
        assert self._fd is not None, "the journal is closed"
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        os.fsync(self._fd)
        self._size += len(data)

    def _cut_back(self) -> None:
        assert self._fd is not None, "the journal is closed"
        if os.fstat(self._fd).st_size != self._size:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)

    def _cut_back_if_possible(self) -> None:
        try:
            self._cut_back()
        except OSError as error:
            _log.warning("the next write cuts the half-written line off: %s", error)

    # -- reading --------------------------------------------------------------------------

    def _segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.jsonl"))

    def _segments_from(self, sequence: int) -> list[Path]:
        segments = self._segments()
        begun = [p for p in segments if _first_of(p) <= sequence]
        return segments[max(len(begun) - 1, 0) :]

    def _pieces(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Entries as (offset, bytes); a damaged place is reported and has no bytes."""
        offset = 0
        with path.open("rb") as file:
            for line in file:
                yield from self._whole_parts(path, offset, line)
                offset += len(line)

    def _whole_parts(self, path: Path, offset: int, line: bytes) -> Iterator[tuple[int, bytes]]:
        if _is_whole(line):
            yield offset, line
            return
        # A flipped newline joins two lines: the mark of the second one finds it again.
        for start, part in _split_at_marks(line):
            at = offset + start
            if _is_whole(part):
                yield at, part
            elif _is_whole(part[:-1]):
                self._report(path, at + len(part) - 1, 1, "the end of a line, nothing is lost")
                yield at, part[:-1]
            else:
                self._report(path, at, len(part), "does not match its checksum")
                yield at, b""

    def _report(self, path: Path, offset: int, size: int, reason: str) -> None:
        position = Position(path.name, offset)
        if position not in self._damage:
            self._damage[position] = Damage(position, size, reason)
            _log.warning("%s", self._damage[position])


def encode(kind: str, body: Any) -> str:
    """Write a body for `append`; StoreError when it is not JSON (NaN, infinity)."""
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise StoreError(f"this {kind} can not be kept: {error}") from error


def _line(sequence: int, at: datetime, kind: str, body: str) -> bytes:
    head = f'"seq":{sequence},"at":"{at.isoformat()}","kind":{json.dumps(kind)}'
    rest = f'{head},"body":{body}}}'.encode("ascii")
    return b'%s%08x",%s\n' % (_MARK, zlib.crc32(rest), rest)


def _parse(piece: bytes, after: int) -> tuple[int, Entry | None]:
    number = _number_of(piece)
    if number <= after:
        return number, None
    data = json.loads(piece)
    at = datetime.fromisoformat(data["at"])
    return number, Entry(number, at, data["kind"], data["body"])


def _is_whole(piece: bytes) -> bool:
    found = _LINE.fullmatch(piece.removesuffix(b"\n"))
    return found is not None and int(found[1], 16) == zlib.crc32(found[2])


def _number_of(piece: bytes) -> int:
    found = _LINE.match(piece)
    assert found is not None, "only whole pieces have a number"
    return int(found[3])


def _split_at_marks(line: bytes) -> list[tuple[int, bytes]]:
    """The line cut where an entry may begin, each part with its offset in the line."""
    starts = sorted({0, *(m.start() for m in re.finditer(re.escape(_MARK), line))})
    return [(a, line[a:b]) for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]


def _first_of(path: Path) -> int:
    return int(path.stem)


def _whole_size(path: Path) -> int:
    """The size without a torn last line: a kill in the middle of a write leaves one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while size > 0:
            start = max(0, size - 65536)
            file.seek(start)
            newline = file.read(size - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            size = start
    return 0
