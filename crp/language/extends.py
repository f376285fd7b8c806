"""`extends:` a template laid over another one, node by node, before anything is read.

Mappings are merged by key, lists and texts replace, `null` removes. What comes from the other
template stands, for messages, where `extends:` stands in this one. One level only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from crp.language.reader import Reader
from crp.language.source import Entry, Node

NOT_INHERITED = ("template", "version", "changelog", "tests", "match", "extends")
_ONE_OF = (
    {"prompt", "render", "calculate", "pick", "use"},
    {"fields", "table", "choice", "schema"},
)
"""Keys of which a mapping has one: a new one takes the place of the old."""
_SHORT = {
    ("steps", "*"): "prompt",
    ("synthesize",): "prompt",
    ("extract", "*"): "ask",
    ("inputs", "*"): "help",
    ("complexity",): "base",
    ("few_shot",): "traces",
    ("quality",): "score",
}
"""What a short form is short for, where fields are laid over it."""
_NAME = re.compile(r"^extends:[ \t]*([\"']?)([a-z][a-z0-9-]*)\1[ \t]*(?:#.*)?\r?$", re.MULTILINE)


def extended(text: str) -> str:
    """Give the name in a template's `extends:` without loading it; empty when there is none."""
    found = _NAME.search(text.removeprefix("\ufeff"))
    return found.group(2) if found else ""


def merged(reader: Reader, root: Node, base: Node) -> Node:
    """Lay a template over the one that it extends."""
    merge = _Merge(reader, root.entries["extends"].value)
    kept = {k: merge.moved(e) for k, e in base.entries.items() if k not in NOT_INHERITED}
    under = replace(root, entries=kept)
    return merge.over(under, root, ())


@dataclass(frozen=True)
class _Merge:
    reader: Reader
    place: Node
    """The value of `extends`."""

    def moved(self, entry: Entry) -> Entry:
        """Give a key and its value the place of `extends`."""
        return Entry(self._there(entry.key), self._there(entry.value))

    def _there(self, node: Node) -> Node:
        return Node(
            node.kind,
            self.place.line,
            self.place.column,
            self.place.end_line,
            self.place.end_column,
            node.raw,
            node.style,
            [self._there(item) for item in node.items],
            {key: self.moved(entry) for key, entry in node.entries.items()},
            inherited=True,
        )

    def over(self, base: Node, child: Node, path: tuple[str, ...]) -> Node:
        base = self._long(base, child, path)
        if base.kind != "map" or child.kind != "map":
            return child
        entries = dict(base.entries)
        for one_of in _ONE_OF:
            if one_of & child.entries.keys():
                gone = one_of - child.entries.keys()
                entries = {key: e for key, e in entries.items() if key not in gone}
        for key, entry in child.entries.items():
            old = entries.get(key)
            if entry.value.empty:
                self._remove(entries, key, entry, base.entries)
            elif old is None:
                entries[key] = entry
            else:
                entries[key] = Entry(entry.key, self.over(old.value, entry.value, (*path, key)))
        return replace(child, entries=entries)

    def _remove(
        self, entries: dict[str, Entry], key: str, entry: Entry, base: Mapping[str, Entry]
    ) -> None:
        if key not in base:
            message = f'"{self.place.raw}" has no "{key[:60]}" here that null could remove'
            self.reader.error(entry.key, message, "R003", self.reader.suggest(key, base))
        entries.pop(key, None)

    def _long(self, base: Node, child: Node, path: tuple[str, ...]) -> Node:
        """Make a short form a long one where the child has fields to lay over it."""
        word = _SHORT.get(path) or _SHORT.get((*path[:-1], "*")) if path else None
        if word is None or child.kind != "map" or base.kind == "map":
            return base
        key = replace(self.place, raw=word, inherited=True)
        return replace(base, kind="map", items=(), entries={word: Entry(key, base)})
