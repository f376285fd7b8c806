"""The file of the retrieval index, `retrieval.index` in the store's folder: never the truth.

Stored: a line `CRC HEADER` (CRC-32 and JSON: format, byte order, journal position, what the tables
held then, the size of every part), the arrays of every shelf as they are in memory, and the CRC-32
of those. It is written beside and renamed, so a reader never sees a half. Whatever is wrong with it
(damaged, of another version, of other tables) costs a rebuild from the tables and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import zlib
from array import array
from collections.abc import Iterator
from itertools import accumulate
from math import isclose
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import duckdb
from duckdb import DuckDBPyConnection

from crp_analytics.index import Index
from crp_analytics.shelf import Shelf

FORMAT = 2
"""Also to be raised when `words` gives other words."""

NAME = "retrieval.index"

WORTH_SAVING = 5_000
"""Traces from which loading is quicker than reading the tables, and changes after which the file
is written again while the store is used."""

_log = logging.getLogger(__name__)


class Damaged(Exception):
    """The file can not be used."""


class KeptIndex:
    """The index of one store: loaded when it is needed first, then kept up to date."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / NAME if directory else None
        self._index: Index | None = None

    def now(self, connection: DuckDBPyConnection) -> Index:
        """Give the index as the tables are now."""
        if self._index is None:
            self._index = self._opened(connection)
        else:
            self._index.follow(connection)
        if self._index.changes >= WORTH_SAVING:
            self.save(connection)
        return self._index

    def save(self, connection: DuckDBPyConnection) -> None:
        """Write the file, when there is something to write; failing is no error."""
        index = self._index
        if self._path is None or index is None or not index.changes or len(index) < WORTH_SAVING:
            return
        try:
            write(index, self._path, _content(connection, index.position))
        except (OSError, duckdb.Error) as error:
            _log.warning("the retrieval index was not saved: %s", error)

    def drop(self) -> None:
        """Forget everything, the file too: it is made again from the tables when needed."""
        self._index = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._unlink_unfinished()

    def _unlink_unfinished(self) -> None:
        """What an owner that was killed while it saved has left, whole or not."""
        if self._path is not None:
            for left in self._path.parent.glob(f"{NAME}.*new"):
                left.unlink(missing_ok=True)

    def _opened(self, connection: DuckDBPyConnection) -> Index:
        self._unlink_unfinished()
        if self._path is not None and self._path.exists():
            try:
                return _checked(*read(self._path), connection)
            except Damaged as error:
                _log.warning("the retrieval index is made again from the tables: %s", error)
        index = Index()
        index.follow(connection)
        return index


def _checked(index: Index, content: list[int], connection: DuckDBPyConnection) -> Index:
    """Top up what was read. Damaged when it is not then what the tables are."""
    position = index.position
    if content != _content(connection, position):
        raise Damaged("it belongs to other tables")
    index.follow(connection)
    if index.position < position:
        raise Damaged("it knows more than the tables")
    active, quality = connection.execute(ACTIVE).fetchall()[0]
    if index.active != active or not isclose(index.quality, quality, rel_tol=1e-9):
        raise Damaged("it does not know all that is in the library")
    return index


def _content(connection: DuckDBPyConnection, position: int) -> list[int]:
    """What identifies the tables up to a place in the journal: how many traces, and which."""
    return list(connection.execute(CONTENT, [position]).fetchall()[0])


CONTENT = """
SELECT count(*), coalesce(bit_xor(hash(trace_id, journal_sequence)), 0)
FROM traces WHERE journal_sequence <= ?
"""

ACTIVE = """
SELECT count(*), coalesce(fsum(quality_score), 0)
FROM traces WHERE status = 'active' AND word_count > 0
"""


# -- writing --------------------------------------------------------------------------------------


class Sizes(NamedTuple):
    """How much of everything a shelf has, in the order of the file."""

    task_type: str
    classes: list[str]
    rows: int
    planes: int
    bitmaps: int
    lists: int
    listed: int


def write(index: Index, path: Path, content: list[int]) -> None:
    """Write an index, all or nothing."""
    names = "\n".join(index.vocabulary).encode("utf-8", "surrogatepass")
    header = {
        "format": FORMAT,
        "byteorder": sys.byteorder,
        "position": index.position,
        "content": content,
        "names": len(names),
        "shelves": [_sizes(kind, shelf) for kind, shelf in index.shelves.items()],
    }
    line = json.dumps(header, separators=(",", ":")).encode()
    beside = path.with_name(f"{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(b"%08x %s\n" % (zlib.crc32(line), line))
            crc = _put(file, names, 0)
            for shelf in index.shelves.values():
                for part in _parts(shelf):
                    crc = _put(file, part, crc)
            file.write(b"%08x" % crc)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    index.changes = 0


def _put(file: BinaryIO, part: bytes, crc: int) -> int:
    file.write(part)
    return zlib.crc32(part, crc)


def _sizes(task_type: str, shelf: Shelf) -> Sizes:
    lists = [rows for rows in shelf.postings.values() if isinstance(rows, bytes)]
    return Sizes(
        task_type,
        list(shelf.classes),
        rows=len(shelf),
        planes=len(shelf.sizes),
        bitmaps=len(shelf.postings) - len(lists),
        lists=len(lists),
        listed=sum(map(len, lists)),
    )


def _parts(shelf: Shelf) -> Iterator[bytes]:
    for column in (shelf.sequences, shelf.quality, shelf.created):
        yield column.tobytes()
    width = _width(len(shelf))
    dense = {word: rows for word, rows in shelf.postings.items() if isinstance(rows, bytearray)}
    yield array("I", dense).tobytes()
    for bitmap in (*shelf.sizes, *shelf.classes.values(), *dense.values()):
        yield bytes(bitmap).ljust(width, b"\0")
    sparse = {word: rows for word, rows in shelf.postings.items() if isinstance(rows, bytes)}
    yield array("I", sparse).tobytes()
    yield array("I", map(len, sparse.values())).tobytes()
    yield b"".join(sparse.values())


def _width(rows: int) -> int:
    return rows + 7 >> 3


# -- reading --------------------------------------------------------------------------------------


def read(path: Path) -> tuple[Index, list[int]]:
    """Read an index and what its tables held. Damaged when it is not what was written."""
    try:
        with path.open("rb") as file:
            header = _header(file)
            parts = _Parts(file)
            index = Index()
            index.position = header["position"]
            names = parts.take(header["names"]).decode("utf-8", "surrogatepass")
            index.vocabulary = {
                name: n for n, name in enumerate(names.split("\n") if names else ())
            }
            numbers = list(index.vocabulary.values())
            for given in header["shelves"]:
                sizes = Sizes(*given)
                index.shelves[sizes.task_type] = _shelf(parts, sizes, numbers)
            if file.read(9) != b"%08x" % parts.crc:
                raise Damaged("it does not match its checksum")
            return index, header["content"]
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from error
    except (IndexError, ValueError) as error:
        raise Damaged("it does not match its checksum") from error


def _header(file: BinaryIO) -> dict[str, Any]:
    crc, _, line = file.readline().rstrip(b"\n").partition(b" ")
    if crc != b"%08x" % zlib.crc32(line):
        raise Damaged("its header does not match its checksum")
    header: dict[str, Any] = json.loads(line)
    if (header["format"], header["byteorder"]) != (FORMAT, sys.byteorder):
        raise Damaged("it is of another version")
    return header


class _Parts:
    """The parts of the file, one after the other, with the checksum of what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.crc = 0

    def take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise Damaged("its end is missing")
        self.crc = zlib.crc32(data, self.crc)
        return data

    def column(self, kind: str, count: int) -> array[Any]:
        column: array[Any] = array(kind)
        column.frombytes(self.take(count * column.itemsize))
        return column


def _shelf(parts: _Parts, sizes: Sizes, numbers: list[int]) -> Shelf:
    """Read a shelf; `numbers` are the words' own objects, so that no word has two."""
    shelf, width = Shelf(), _width(sizes.rows)
    shelf.sequences = parts.column("q", sizes.rows)
    shelf.quality = parts.column("d", sizes.rows)
    shelf.created = parts.column("d", sizes.rows)
    dense = parts.column("I", sizes.bitmaps)
    shelf.sizes = [bytearray(parts.take(width)) for _ in range(sizes.planes)]
    shelf.classes = {name: bytearray(parts.take(width)) for name in sizes.classes}
    for word in dense:
        shelf.postings[numbers[word]] = bytearray(parts.take(width))
    words = parts.column("I", sizes.lists)
    ends = accumulate(parts.column("I", sizes.lists))
    listed = parts.take(sizes.listed)
    begin = 0
    for word, end in zip(words, ends, strict=True):
        shelf.postings[numbers[word]] = listed[begin:end]
        begin = end
    return shelf
