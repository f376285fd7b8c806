"""Files of an older format rewritten for this one, in place, with their comments.

A migration is one function that changes the tree of a file: add it to MIGRATIONS under the format
that it starts from. A file without `format:` is of format 0: it only has to say 1.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from crp.language.source import Node, Source

NEWEST = 1

Migration = Callable[[Any], None]
"""Changes a ruamel mapping in place."""


def _say_the_format(tree: Any) -> None:
    tree.insert(0, "format", 1)


MIGRATIONS: dict[int, Migration] = {0: _say_the_format}


def format_of(text: str, file: str = "template") -> int:
    """The format that a file speaks; raises TemplateError for what is not YAML."""
    root = Source(text, file).node()
    node: Node | None = root.entries["format"].value if "format" in root.entries else None
    return node.value if node and isinstance(node.value, int) else 0


def migrated(text: str, file: str = "template") -> str:
    """Give the text in the newest format; the same text when there is nothing to do."""
    found = format_of(text, file)
    steps = [MIGRATIONS[number] for number in range(found, NEWEST) if number in MIGRATIONS]
    if not steps:
        return text
    reader = _reader()
    tree = reader.load(text)
    for step in steps:
        step(tree)
    written = StringIO()
    reader.dump(tree, written)
    return written.getvalue()


def _reader() -> YAML:
    reader = YAML(typ="rt")
    reader.preserve_quotes = True
    reader.width = 100
    reader.indent(mapping=2, sequence=4, offset=2)
    return reader
