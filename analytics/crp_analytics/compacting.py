"""Compacting the journal: small segments become one, what it has twice stands in it once.

Touches the closed segments of a store that nobody owns; the last one, which is written to, stays,
and so does a damaged one: somebody may still mend it. What must stay true: every entry keeps its
number, and the tables that are made from the journal are the same before and after; a kill at any
moment leaves each entry in one file or, for a while, in two, which reading takes for one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path

from crp.models import Wire
from crp_analytics import rebuilding, segments
from crp_analytics.entries import Piece, line_of
from crp_analytics.facts import ForgottenFact, JobFact, RetrievalFact
from crp_analytics.journal import SEGMENT_BYTES, encode

ONCE = frozenset({JobFact.kind, RetrievalFact.kind})
"""Kinds whose repetition says nothing: the tables take the first."""

NOTHING = encode(ForgottenFact.kind, ForgottenFact(rows={}))


class Compacted(Wire):
    """What there was and what there is."""

    segments_before: int
    segments_after: int
    bytes_before: int
    bytes_after: int
    repeated: int
    """Entries that said again what another had said: their number is all that is left of them."""


def compact(directory: Path, most: int = SEGMENT_BYTES) -> Compacted:
    """Compact the journal of a store; done again, it changes nothing.

    StoreError when somebody owns the store.
    """
    with rebuilding.owned(directory) as journal:
        folder = journal.directory
        before = _sizes(folder)
        pass_through = _Once()
        for group in _groups(before, most):
            _merge(group, pass_through)
        after = _sizes(folder)
    return Compacted(
        segments_before=len(before),
        segments_after=len(after),
        bytes_before=sum(before.values()),
        bytes_after=sum(after.values()),
        repeated=pass_through.repeated,
    )


class _Once:
    """Lets every entry through once, whatever file it stands in, and what it says once."""

    def __init__(self) -> None:
        self.repeated = 0
        self._last = 0
        self._seen: set[bytes] = set()

    def __call__(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, bytes]]:
        for piece in pieces:
            if piece.sequence > self._last:  # after a kill, an entry may stand in two files
                self._last = piece.sequence
                yield piece.sequence, self._line(piece)

    def _line(self, piece: Piece) -> bytes:
        kind, body = _kind_and_body(piece.line)
        digest = sha256(body).digest()
        if kind not in ONCE or digest not in self._seen:
            self._seen.add(digest)
            return piece.line + b"\n"
        self.repeated += 1
        entry = piece.entry()
        return line_of(entry.sequence, entry.at, ForgottenFact.kind, NOTHING)


def _groups(sizes: dict[Path, int], most: int) -> Iterator[list[Path]]:
    """Neighbours that fit into one segment together."""
    group: list[Path] = []
    for path, size in list(sizes.items())[:-1]:
        whole = not any(piece.damage for piece in segments.pieces(path))
        if group and (not whole or sum(map(sizes.__getitem__, group)) + size > most):
            yield group
            group = []
        if whole:
            group.append(path)
    if group:
        yield group


def _merge(group: list[Path], once: _Once) -> None:
    """Write a group into the file of its first one, when that changes something."""
    lines = list(once(chain.from_iterable(map(segments.pieces, group))))
    size = sum(len(line) for _, line in lines)
    if len(group) == 1 and size == group[0].stat().st_size:
        return
    if lines:
        segments.replace(group[0], lines, size)
    for path in group[1:] if lines else group:
        path.unlink()
    segments.sync(group[0].parent)


def _kind_and_body(line: bytes) -> tuple[str, bytes]:
    """Read a whole line no further than to its body."""
    head, _, body = line.partition(b',"body":')
    return str(json.loads(head + b"}")["kind"]), body


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in segments.segments(folder)}
