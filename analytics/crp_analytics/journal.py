"""The journal: what the store knows, in the order in which it learned it.

Stored: segments `000000000001.jsonl`, named by the sequence number of their first entry; one
entry a line, with a checksum (see `entries`); in `damaged/`, copies of what could not be read.
An entry is identified by its sequence number, which counts from 1 over all segments.
What must stay true: an entry that `append` returned is on disk (fsync); nothing changes it but
`rewrite`, which keeps its number and time; a line that is not whole is never taken for an entry;
one damaged line costs no other line.

The journal knows no records: what a kind means is said in `facts`. It is not thread-safe; its
owner is the store, which has one lock.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json, to_jsonable_python

from crp.errors import StoreError, StoreUnavailable
from crp_analytics import segments
from crp_analytics.entries import Entry, Piece, is_whole, line_of

__all__ = ["Damage", "Entry", "Journal", "Position", "encode"]

SEGMENT_BYTES = 32 * 1024 * 1024
"""A new segment is begun when the last one is larger."""

_sync = getattr(os, "fdatasync", os.fsync)
"""Puts the content on disk and as much about the file as is needed to read it again."""

_log = logging.getLogger(__name__)

Change = Callable[[Piece], tuple[str, str] | None]
"""Gives the new kind and encoded body of a whole line's entry, or None when it stays."""


class Position(NamedTuple):
    """Where a line begins: the segment's file name and the byte in it."""

    segment: str
    offset: int


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
            for left in directory.glob(f"*{segments.UNFINISHED}"):
                left.unlink()
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
        return segments.first_of(segments.segments(self.directory)[0])

    def append(self, facts: Sequence[tuple[str, str]], at: datetime | None = None) -> None:
        """Keep facts as (kind, encoded body), all or none of them, with one fsync for all.

        StoreUnavailable when they can not be written (the disk is full): none was kept.
        """
        at = at or datetime.now(UTC)
        numbers = range(self.last + 1, self.last + 1 + len(facts))
        lines = [line_of(n, at, *fact) for n, fact in zip(numbers, facts, strict=True)]
        self._write(b"".join(lines))
        self.last += len(facts)

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Give the entries with a sequence number above `after`, oldest first."""
        expected, damaged = after + 1, False
        for path in self._segments_from(after + 1):
            for piece in self._pieces(path):
                if piece.damage:
                    damaged = damaged or len(piece.line) > 1
                    continue
                number = piece.sequence
                if number < expected:  # before `after`, or twice after a kill in a rewrite
                    continue
                if number > expected and not damaged:
                    gone = f"entries {expected} to {number - 1} are gone"
                    self._report(path, piece._replace(damage=gone, line=b""))
                expected, damaged = number + 1, False
                yield piece.entry()

    def skip_to(self, sequence: int) -> None:
        """Make the next entry's number higher than `sequence`, in a segment of its own."""
        if sequence > self.last:
            self.last = sequence
            empty = self._path if self._size == 0 else None
            self._begin_segment()
            if empty:
                empty.unlink()  # its name promises entries that are not there

    def rewrite(self, change: Change, drop: Callable[[bytes], bool]) -> int:
        """Write the segments anew in which something changes; give how many entries did.

        Numbers and times stay. A written segment holds no place that can not be read: those stay
        in `damaged/`, unless `drop` says of their bytes that they must go.
        """
        count = 0
        for path in segments.segments(self.directory):
            touched = sum(_touches(piece, change, drop) for piece in self._pieces(path))
            if touched:
                whole = (piece for piece in self._pieces(path) if not piece.damage)
                self._replace(path, ((p.sequence, _changed(p, change)) for p in whole))
                count += touched
        for kept in segments.kept_aside(self.directory):
            if drop(kept.read_bytes()):
                kept.unlink()
        return count

    def fill(self, numbers: Iterable[int], line: Callable[[int], bytes]) -> int:
        """Put in the lines of entries that the journal does not have; give how many."""
        paths = segments.segments(self.directory)
        known = {p.sequence for path in paths for p in self._pieces(path) if not p.damage}
        wanted = sorted(set(numbers) - known)
        firsts = [segments.first_of(path) for path in paths]
        for place, group in groupby(wanted, lambda n: bisect_right(firsts, n) - 1):
            mine = list(group)
            path = paths[place] if place >= 0 else segments.path_of(self.directory, mine[0])
            old = self._pieces(path) if place >= 0 else iter(())
            there = ((p.sequence, p.line + b"\n") for p in old if not p.damage)
            self._replace(path, heapq.merge(there, ((n, line(n)) for n in mine), key=_number))
        return len(wanted)

    def close(self) -> None:
        """Close the segment that is written to."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    # -- writing --------------------------------------------------------------------------

    def _open_last(self) -> None:
        found = segments.segments(self.directory)
        if not found:
            return self._begin_segment()
        path = found[-1]
        self._use(path, path.stat().st_size)
        self._mend_tail(path)
        self.last = max(self.last, segments.first_of(path) - 1)
        for piece in self._pieces(path):
            self.last = max(self.last, 0 if piece.damage else piece.sequence)

    def _mend_tail(self, path: Path) -> None:
        """Cut off a last line that a kill has torn; one that lacks only its end is whole."""
        start = segments.whole_size(path)
        with path.open("rb") as file:
            file.seek(start)
            tail = file.read()
        whole = next((part for part in (tail, tail[:-1]) if is_whole(part)), b"")
        if torn := tail[len(whole) :]:
            self._keep_aside(path, Piece(start + len(whole), torn))
            _log.warning(
                "journal %s, byte %d: %d bytes of an unfinished write are cut off",
                *(path.name, start + len(whole), len(torn)),
            )
        self._size = start + len(whole)
        self._cut_back()
        if whole:
            self._write_whole(b"\n")

    def _begin_segment(self) -> None:
        path = segments.path_of(self.directory, self.last + 1)
        self._use(path, path.stat().st_size if path.exists() else 0)
        segments.sync(self.directory)  # the file's name must survive a power cut too

    def _replace(self, path: Path, lines: Iterable[tuple[int, bytes]]) -> None:
        segments.replace(path, lines, self._segment_bytes)
        self._damage = {p: d for p, d in self._damage.items() if p.segment != path.name}
        self._open_last()

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
        _sync(self._fd)
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

    def _segments_from(self, sequence: int) -> list[Path]:
        found = segments.segments(self.directory)
        begun = [path for path in found if segments.first_of(path) <= sequence]
        return found[max(len(begun) - 1, 0) :]

    def _pieces(self, path: Path) -> Iterator[Piece]:
        """The lines of a segment; a damaged place is reported and kept aside."""
        for piece in segments.pieces(path):
            if piece.damage:
                self._report(path, piece)
                self._keep_aside(path, piece)
            yield piece

    def _keep_aside(self, path: Path, piece: Piece) -> None:
        with contextlib.suppress(OSError):  # no room for a copy is no reason not to read on
            segments.keep_aside(self.directory, path.name, piece.offset, piece.line)

    def _report(self, path: Path, piece: Piece) -> None:
        position = Position(path.name, piece.offset)
        if position not in self._damage:
            self._damage[position] = Damage(position, len(piece.line), piece.damage)
            _log.warning("%s", self._damage[position])


def encode(kind: str, body: Any) -> str:
    """Write a body, a model or data, for `append`; StoreError for what JSON has not, such as NaN.

    It is ASCII: half a character, which UTF-8 has not, is kept too.
    """
    with contextlib.suppress(ValueError):  # it has half a character
        text = to_json(body, ensure_ascii=True).decode("ascii")
        if not ("NaN" in text or "Infinity" in text):
            return text
    try:  # slower, and exact
        return json.dumps(to_jsonable_python(body), allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise StoreError(f"this {kind} can not be kept: {error}") from error


def _touches(piece: Piece, change: Change, drop: Callable[[bytes], bool]) -> bool:
    return drop(piece.line) if piece.damage else change(piece) is not None


def _changed(piece: Piece, change: Change) -> bytes:
    new = change(piece)
    if new is None:
        return piece.line + b"\n"
    entry = piece.entry()
    return line_of(entry.sequence, entry.at, *new)


def _number(numbered: tuple[int, bytes]) -> int:
    return numbered[0]
