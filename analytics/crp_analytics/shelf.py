"""A shelf: the library traces of one task type, found by their words.

A trace is a row, numbered in the order of the journal. A word that many rows have is kept as a
bitmap, any other as a list of rows; so is each model class. A search adds up the bitmaps of the
task's words, which counts the shared words of all rows at once, and takes the best from the counts:
exact, without looking at a single trace that is not among them. No files, no database.
"""

from __future__ import annotations

import heapq
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from crp_analytics import bits

DENSE_ROWS = 64
"""A word of fewer rows stays a list."""

DENSE_SHARE = 64
"""A word that at least one row in so many has becomes a bitmap."""

MASKS = 8
"""Quality thresholds that are remembered."""

RETIRED = float("-inf")
"""The quality of what may not be found."""

Posting: TypeAlias = bytes | bytearray
"""Rows: listed in `bytes`, of which one is smaller than any other object, or in a bitmap."""

pack = struct.Struct("I").pack
ROW = len(pack(0))


class Hit(NamedTuple):
    """A row that was found, with all that ranks it but its trace's id."""

    sequence: int
    same_class: bool
    shared: int
    whole: int
    quality: float
    created: float

    @property
    def rank(self) -> tuple[bool, int, int, float, float]:
        """Same class, more shared words, fewer in all (which is Jaccard), quality, newer."""
        return not self.same_class, -self.shared, self.whole, -self.quality, -self.created


def best(hits: Sequence[Hit], count: int) -> list[Hit]:
    """Give the first `count`, best first, and those that are as good as the last of them."""
    first = heapq.nsmallest(count, hits, key=lambda hit: hit.rank)
    if len(first) == len(hits) or not first:
        return first
    last = first[-1].rank
    ties = [hit for hit in hits if hit.rank == last]
    return [hit for hit in first if hit.rank != last] + ties


class Shelf:
    """Rows that are added, retired, brought back and searched."""

    __slots__ = ("_masks", "classes", "created", "postings", "quality", "sequences", "sizes")

    def __init__(self) -> None:
        self.sequences = array("q")
        self.quality = array("d")
        self.created = array("d")
        self.sizes: list[bytearray] = []
        """How many words each row has, as bit planes."""
        self.classes: dict[str, bytearray] = {}
        """The rows of each model class, as bitmaps."""
        self.postings: dict[int, Posting] = {}
        """The rows of each word."""
        self._masks: dict[float, bytearray] = {}

    def __len__(self) -> int:
        return len(self.sequences)

    def add(
        self,
        sequence: int,
        words: Sequence[int],
        model_class: str,
        quality: float,
        created: float,
    ) -> None:
        """Put a trace on the shelf; its sequence must be above all that are there."""
        row = len(self)
        self.sequences.append(sequence)
        self.quality.append(RETIRED)
        self.created.append(created)
        for place in range(len(words).bit_length()):
            if len(words) >> place & 1:
                self._size_plane(place, row)
        bits.put(self.classes.setdefault(model_class, bytearray()), row)
        self._post(words, row)
        self._rate(row, quality)

    def change(self, sequence: int, quality: float) -> None:
        """Give a trace another quality, or RETIRED."""
        row = bisect_left(self.sequences, sequence)
        if row < len(self) and self.sequences[row] == sequence:
            self._rate(row, quality)

    @property
    def active(self) -> int:
        """The number of rows that are not retired."""
        return len(self) - self.quality.count(RETIRED)

    def search(
        self, words: Iterable[int], size: int, model_class: str, least: float, count: int
    ) -> tuple[list[Hit], int]:
        """Give the best rows for a task of `size` words, all ties with the last included, and
        how many rows resemble the task. Rows of the task's model class come first.

        A row resembles it when 9 * shared >= whole, and so 10 * shared >= the sizes of both.
        """
        found = (self.postings.get(word) for word in words)
        shared = bits.total(_bitmap(rows) for rows in found if rows is not None)
        if not shared:
            return [], 0
        everything = (1 << len(self)) - 1
        sizes = [int.from_bytes(plane, "little") for plane in self.sizes]
        tenfold = bits.plus([0, *shared], [0, 0, 0, *shared])
        both = bits.plus(sizes, bits.same(size, everything))
        alike = bits.at_least(tenfold, both, everything) & self._mask(least)
        if not alike:
            return [], 0
        same_class = int.from_bytes(self.classes.get(model_class, b""), "little")
        fewest = [everything ^ plane for plane in reversed(sizes)]
        sure, tied = bits.largest([same_class, *reversed(shared), *fewest], alike, count)

        def counts(row: int) -> tuple[bool, int, int]:
            common = bits.value(shared, row)
            return bool(same_class >> row & 1), common, bits.value(sizes, row) + size - common

        hits = [self._hit(row, *counts(row)) for row in bits.rows(sure)]
        if ties := bits.rows(tied):
            alike_counts = counts(ties[0])
            hits += [self._hit(row, *alike_counts) for row in ties]
        return best(hits, count), alike.bit_count()

    def _hit(self, row: int, same_class: bool, shared: int, whole: int) -> Hit:
        quality, created = self.quality[row], self.created[row]
        return Hit(self.sequences[row], same_class, shared, whole, quality, created)

    def _size_plane(self, place: int, row: int) -> None:
        while len(self.sizes) <= place:
            self.sizes.append(bytearray())
        bits.put(self.sizes[place], row)

    def _post(self, words: Iterable[int], row: int) -> None:
        """Note the row with its words: the dearest part of adding one, and so without helpers."""
        postings, listed, place, bit = self.postings, pack(row), row >> 3, 1 << (row & 7)
        few = ROW * max(DENSE_ROWS, row // DENSE_SHARE + 1)
        for word in words:
            rows = postings.get(word, b"")
            if isinstance(rows, bytes):
                rows += listed
                postings[word] = rows if len(rows) < few else _bytes(_listed(rows))
            elif place < len(rows):
                rows[place] |= bit
            else:
                bits.put(rows, row)

    def _rate(self, row: int, quality: float) -> None:
        self.quality[row] = quality
        for least, mask in self._masks.items():
            bits.put(mask, row, quality >= least)

    def _mask(self, least: float) -> int:
        """The rows of enough quality."""
        mask = self._masks.get(least)
        if mask is None:
            if len(self._masks) >= MASKS:
                self._masks.clear()
            enough: Callable[[float], bool] = least.__le__
            mask = _bytes(bits.of_flags(bytes(map(enough, self.quality))))
            self._masks[least] = mask
        return int.from_bytes(mask, "little")


def _bitmap(rows: Posting) -> int:
    return int.from_bytes(rows, "little") if isinstance(rows, bytearray) else _listed(rows)


def _listed(rows: bytes) -> int:
    """Make a bitmap of a list."""
    numbers = memoryview(rows).cast("I")
    return 1 << numbers[0] if len(numbers) == 1 else bits.of_rows(numbers, numbers[-1] + 1)


def _bytes(bitmap: int) -> bytearray:
    return bytearray(bitmap.to_bytes(bitmap.bit_length() + 7 >> 3, "little"))
