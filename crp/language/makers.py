"""Makers of readers: of lists, of numbers in a range, of one word out of several, of names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from crp.language.reader import Part, Read, Reader, Want
from crp.language.source import Node


def listed(read: Read, most: int = 1_000) -> Read:
    """Make a reader of lists; a single value counts as a list of one."""

    def several(reader: Reader, node: Node) -> tuple[Any, ...] | None:
        if node.kind == "map":
            reader.error(node, "this must be a list", "F002")
            return None
        if len(node.items) > most:
            reader.error(node, f"at most {most:,} entries, not {len(node.items):,}", "F004")
            return None
        nodes = node.items if node.kind == "list" else (node,)
        values = [read(reader, item) for item in nodes]
        return tuple(v for v in values if v is not None)

    return several


def whole(low: int, high: int) -> Read:
    """Make a reader of whole numbers in a range."""

    def read(reader: Reader, node: Node) -> int | None:
        value = node.value
        if type(value) is not int:
            reader.error(node, "this must be a whole number", "F002")
            return None
        if not low <= value <= high:
            reader.error(node, f"this must be {low} to {high}, not {value}", "F004")
            return None
        return value

    return read


def number(low: float, high: float) -> Read:
    """Make a reader of numbers in a range."""

    def read(reader: Reader, node: Node) -> float | None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            reader.error(node, "this must be a number", "F002")
            return None
        if not low <= value <= high:
            reader.error(node, f"this must be {low:g} to {high:g}, not {value:g}", "F004")
            return None
        return value

    return read


def one_of(words: Collection[str]) -> Read:
    """Make a reader of one word out of several."""

    def read(reader: Reader, node: Node) -> str | None:
        word = reader.word(node)
        if word is None or word in words:
            return word
        message = f'"{word[:60]}" is not one of: {", ".join(words)}'
        reader.error(node, message, "F005", reader.suggest(word, words))
        return None

    return read


def named(want: Want) -> Read:
    """Make a reader of a name that must exist."""
    return lambda reader, node: reader.named(node, want)


def text(part: Part) -> Read:
    """Make a reader of texts in which names are filled in."""
    return lambda reader, node: reader.text(node, part)


def condition(part: Part) -> Read:
    """Make a reader of conditions."""
    return lambda reader, node: reader.condition(node, part)
