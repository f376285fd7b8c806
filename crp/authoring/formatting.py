"""One canonical order of keys and one spacing; every line of a file survives, comments too.

Works on lines, not on parsed values: a key moves with the comments that stand directly above it.
What comes out must read to the same values, or the file is left as it was.
"""

from __future__ import annotations

from typing import Any

from crp.language.source import Node, Source

_HEAD = (
    *("format", "template", "extends", "title", "description", "version", "license", "tags"),
    *("references", "changelog", "note"),
)
_TOP = (
    *_HEAD,
    *("match", "complexity", "inputs", "extract", "steps", "synthesize", "probe"),
    *("approve", "scaffolds"),
    *("on_fail", "quality", "few_shot", "limits", "snippets", "tests"),
)
_STEP = (
    *("title", "note", "for_each", "as", "order", "when", "needs", "fresh", "facts", "system"),
    *("prompt", "render", "calculate", "pick", "use", "output", "scaffold", "few_shot", "model"),
    *("max_tokens", "temperature", "samples", "vote", "checks", "scaffolds", "on_fail", "repeat"),
)
_LIST = (
    *("find", "from", "ask", "model", "min_capability", "min", "max", "must_appear", "otherwise"),
    *("examples", "note"),
)
_LEVELS = ("light", "medium", "heavy")
_MATCH = ("keywords", "patterns", "not_keywords", "examples", "not_examples", "priority")

_ORDERS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): _TOP,
    ("match",): _MATCH,
    ("complexity",): ("base", "add"),
    ("inputs", "*"): ("type", "help", "default", "choice", "required"),
    ("extract", "*"): _LIST,
    ("steps", "*"): _STEP,
    ("steps", "*", "scaffolds"): _LEVELS,
    ("steps", "*", "pick"): ("from", "about", "by", "order", "where", "top"),
    ("steps", "*", "use"): ("template", "task", "inputs"),
    ("steps", "*", "repeat"): ("until", "max", "critique"),
    ("steps", "*", "repeat", "critique"): _STEP,
    ("synthesize",): _STEP,
    ("scaffolds",): _LEVELS,
    ("quality",): ("store_above", "score"),
    ("few_shot",): ("traces", "min_quality", "max_tokens"),
    ("limits",): ("calls", "items", "tokens"),
    ("tests", "*"): ("task", "context", "inputs", "expect", "recorded"),
}
_SPACED = ((), ("steps",))
"""Whose entries have an empty line between them where they are long."""


def formatted(text: str, file: str = "template") -> str:
    """Give the text in canonical form; as it is when that would change what it says.

    Raises TemplateError for what is not YAML of the language.
    """
    root = Source(text, file).node()
    for strip in (True, False):  # spaces at a line's end may belong to a text
        lines = [
            line.rstrip() if strip else line for line in text.removeprefix("\ufeff").split("\n")
        ]
        made = _whole(lines, root)
        if said(Source(made, file).node()) == said(root):
            return made
    return text


def said(node: Node) -> Any:
    """What a node says, without its place; keys in any order."""
    if node.kind == "map":
        return {name: said(entry.value) for name, entry in node.entries.items()}
    if node.kind == "list":
        return [said(item) for item in node.items]
    return node.value, node.raw


def _whole(lines: list[str], root: Node) -> str:
    first = _begin(lines, root.first_key().line - 1, 0)
    if first and not _is_comment(lines[0]):
        return "\n".join(lines)  # such as a `---`: nothing to put in order
    while first < len(lines) and lines[first].startswith("# yaml-language-server"):
        first += 1
    head = _without_ends(lines[:first])
    body = _without_ends(_arranged(lines, root, (), first, len(lines)))
    gap = [""] if head and not head[-1].startswith("# yaml-language-server") else []
    return "\n".join(_single([*head, *gap, *body])) + "\n"


def _arranged(
    lines: list[str], node: Node, path: tuple[str, ...], start: int, end: int
) -> list[str]:
    """The lines of a mapping in their order; those of anything else as they are."""
    if not _is_block(lines, node):
        return lines[start:end]
    names = list(node.entries)
    begins = [start]
    for name in names[1:]:
        begins.append(_begin(lines, node.entries[name].key.line - 1, begins[-1] + 1))
    chunks = {
        name: _chunk(lines, node, name, path, begin, stop)
        for name, begin, stop in zip(names, begins, [*begins[1:], end], strict=True)
    }
    order = _order(path, names)
    if path in _SPACED:
        return _spaced([(name, _without_ends(chunks[name])) for name in order], path)
    if order != names:
        return [line for name in order for line in _without_ends(chunks[name])]
    return [line for name in order for line in chunks[name]]


def _chunk(
    lines: list[str], node: Node, name: str, path: tuple[str, ...], start: int, end: int
) -> list[str]:
    """The lines of one entry, with its own entries in order."""
    entry = node.entries[name]
    below = entry.key.line  # the line after the key's
    inner = (
        (*path, "*")
        if path in (("steps",), ("extract",), ("inputs",), ("tests",))
        else (
            *path,
            name,
        )
    )
    if entry.value.kind != "map" or entry.value.first_key().line - 1 < below:
        return lines[start:end]
    return [*lines[start:below], *_arranged(lines, entry.value, inner, below, end)]


def _order(path: tuple[str, ...], names: list[str]) -> list[str]:
    wanted = _ORDERS.get(path, ())
    places = {name: place for place, name in enumerate(wanted)}
    return sorted(names, key=lambda name: places.get(name, len(places))) if wanted else names


def _is_block(lines: list[str], node: Node) -> bool:
    """Whether every key of a mapping begins a line of its own."""
    keys = [entry.key for entry in node.entries.values()]
    return node.kind == "map" and all(
        not lines[key.line - 1][: key.column - 1].strip() for key in keys
    )


def _begin(lines: list[str], key: int, least: int) -> int:
    """The first line of an entry: the comments directly above its key, indented like it."""
    indent = _indent(lines[key])
    begin = key
    while begin > least and _is_comment(lines[begin - 1]) and _indent(lines[begin - 1]) <= indent:
        begin -= 1
    return begin


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_comment(line: str) -> bool:
    return line.lstrip(" ").startswith("#")


def _without_ends(lines: list[str]) -> list[str]:
    """Without the empty lines at both ends."""
    filled = [place for place, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _spaced(chunks: list[tuple[str, list[str]]], path: tuple[str, ...]) -> list[str]:
    """With one empty line between entries of which one is long."""
    found: list[str] = []
    long_before = False
    for name, chunk in chunks:
        long = sum(not _is_comment(line) for line in chunk) > 1
        head = not path and name in _HEAD
        if found and (long or long_before) and not head:
            found.append("")
        found += chunk
        long_before = long
    return found


def _single(lines: list[str]) -> list[str]:
    """Never two empty lines in a row."""
    return [
        line
        for place, line in enumerate(lines)
        if line.strip() or not place or lines[place - 1].strip()
    ]
