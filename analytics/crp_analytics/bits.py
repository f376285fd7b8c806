"""Numbers of many rows at once, as bit planes: plane i holds bit i of every row's number.

A bitmap is an `int` in which bit r belongs to row r, so that one `&` works on all rows. Adding,
comparing and choosing the largest are exact and take a few such operations a plane, whatever the
rows hold (O'Neil and Quass, "Improved query performance with variant indexes", 1997).
Pure: no state, no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

FEW = 50
"""Rows that are quicker taken out of a bitmap one by one than found in its text."""

_SET = re.compile("1")
_DIGITS = bytes.maketrans(b"\x00\x01", b"01")


def total(bitmaps: Iterable[int]) -> list[int]:
    """Count for each row in how many of the bitmaps it is."""
    planes: list[int] = []
    for carry in bitmaps:
        for place, plane in enumerate(planes):
            planes[place] = plane ^ carry
            carry &= plane
            if not carry:
                break
        else:
            planes.append(carry)
    return planes


def plus(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Add two numbers of each row."""
    planes, carry = [], 0
    for a, b in zip_longest(first, second, fillvalue=0):
        differ = a ^ b
        planes.append(differ ^ carry)
        carry = a & b | differ & carry
    return [*planes, carry]


def same(number: int, everything: int) -> list[int]:
    """Give each row the same number; `everything` is the bitmap of all rows."""
    return [everything if number >> place & 1 else 0 for place in range(number.bit_length())]


def at_least(first: Sequence[int], second: Sequence[int], everything: int) -> int:
    """Give the rows whose first number is not smaller than their second."""
    found = everything
    for a, b in zip_longest(first, second, fillvalue=0):  # a higher place decides over a lower
        differ = a ^ b
        found ^= found & differ
        found |= a & differ
    return found


def largest(planes: Iterable[int], among: int, count: int) -> tuple[int, int]:
    """Choose the rows with the largest numbers: those that are surely among the first `count`,
    and those that share the last place; together at least `count`, which is 1 or more, when there
    are so many.

    `planes` begin with the highest.
    """
    sure, tied = 0, among
    for plane in planes:
        high = tied & plane
        several = high.bit_count()
        if several > count:
            tied = high
        else:
            count -= several
            sure |= high
            tied ^= high
            if not count:
                return sure, 0
    return sure, tied


def value(planes: Sequence[int], row: int) -> int:
    """Read one row's number."""
    return sum((plane >> row & 1) << place for place, plane in enumerate(planes))


def rows(bitmap: int) -> list[int]:
    """List the rows of a bitmap."""
    if bitmap.bit_count() <= FEW:
        return list(_highest_first(bitmap))
    text = f"{bitmap:b}"
    last = len(text) - 1
    return [last - found.start() for found in _SET.finditer(text)]


def _highest_first(bitmap: int) -> Iterator[int]:
    while bitmap:
        row = bitmap.bit_length() - 1
        yield row
        bitmap ^= 1 << row


def of_flags(flags: bytes) -> int:
    """Make a bitmap of one byte a row, 0 or 1."""
    return int(flags[::-1].translate(_DIGITS), 2) if flags else 0


def of_rows(numbers: Iterable[int], count: int) -> int:
    """Make a bitmap of row numbers below `count`."""
    data = bytearray(count + 7 >> 3)
    for row in numbers:
        data[row >> 3] |= 1 << (row & 7)
    return int.from_bytes(data, "little")


def put(data: bytearray, row: int, on: bool = True) -> None:
    """Change one row of a bitmap that is kept as bytes and grows when it must."""
    missing = (row >> 3) + 1 - len(data)
    if missing > 0:
        data.extend(bytes(missing))
    if on:
        data[row >> 3] |= 1 << (row & 7)
    else:
        data[row >> 3] &= ~(1 << (row & 7))
