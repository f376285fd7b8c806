"""The names of one template file: where each is made, every place where it is used, what is seen.

It works on a file that is broken, since that is what an editor has most of the time: a line that
can not be read is left out, and of everything else as much is understood as there is. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from crp.authoring.expressions import words
from crp.errors import TemplateError
from crp.language.draft import ANSWER, Draft
from crp.language.extends import merged
from crp.language.load import drafted, shared_snippets
from crp.language.reader import NameUse, Reader, TextUse
from crp.language.shapes import Shape
from crp.language.source import Node, Source
from crp.language.visible import Names

Kind = Literal["input", "list", "step", "snippet"]
SECTIONS: dict[str, Kind] = {
    "inputs": "input",
    "extract": "list",
    "steps": "step",
    "snippets": "snippet",
}
_MOST_BROKEN = 40
"""Lines that are left out before a file counts as unreadable."""
_BRACES_FIRST = re.compile(r"[:-]\s+\{[{%]")
"""A text that begins with braces and has no quotes: YAML takes it for a mapping."""

_NAMES_IN_CHECKS = ("covers", "grounded_in", "keeps", "agrees_with")
_KEY = re.compile(r"(\s*(?:-\s+)*[\w-]+:)\s+(\S.*)$")


class Place(NamedTuple):
    """Where a word stands: line and column count from 1, columns in characters."""

    line: int
    column: int
    width: int

    def holds(self, line: int, column: int) -> bool:
        return line == self.line and self.column <= column <= self.column + self.width


@dataclass(frozen=True)
class Definition:
    """What makes a name."""

    name: str
    kind: Kind
    place: Place
    node: Node
    """Its value: the fields of a step, the text of a snippet."""


class Mention(NamedTuple):
    """One place where a name is used, its definition among them."""

    name: str
    kind: Literal["defined", "snippet"]
    place: Place


@dataclass
class Outline:
    """What was understood of a file."""

    text: str
    reader: Reader
    draft: Draft
    left_out: int = 0
    """The first line that could not be read; 0 when all of it could."""
    definitions: dict[str, Definition] = field(default_factory=dict)
    """Inputs, lists and steps by name."""
    snippets: dict[str, Definition] = field(default_factory=dict)
    mentions: list[Mention] = field(default_factory=list)

    def at(self, line: int, column: int) -> Mention | None:
        """Give the name that stands at a place."""
        return next((m for m in self.mentions if m.place.holds(line, column)), None)

    def definition(self, mention: Mention) -> Definition | None:
        among = self.snippets if mention.kind == "snippet" else self.definitions
        return among.get(mention.name)

    def places(self, mention: Mention) -> list[Place]:
        """Give every place of the same name, in the order of the file."""
        same = {m.place for m in self.mentions if m[:2] == mention[:2]}
        return sorted(same)

    def owner(self, line: int) -> str:
        """Say in whose texts a line stands: a step's id, `answer`, or empty."""
        starts = [(d.place.line, d.name) for d in self.definitions.values() if d.kind == "step"]
        entries = self.draft.root.entries
        starts += [(e.key.line, ANSWER if k == "synthesize" else "") for k, e in entries.items()]
        before = sorted(start for start in starts if start[0] <= line)
        return before[-1][1] if before else ""

    def text_at(self, line: int) -> TextUse | None:
        """Give the text that a line belongs to."""
        uses = (u for u in self.reader.texts if not u.node.inherited)
        return next((u for u in uses if u.node.line <= line <= _last_line(u.node)), None)

    def visible(self, use: TextUse) -> Mapping[str, Shape]:
        """Give the names that a text sees."""
        return Names(self.draft).of(use)


def outline(
    text: str, *, base: str = "", snippets: str = "", cursor_line: int = 0
) -> Outline | None:
    """Understand a file as far as possible; None when it is no mapping at all.

    `base` is the text of the template that it extends. Where the file can not be read, the line of
    the cursor is the first that is left out.
    """
    found = _readable(text, cursor_line)
    if found is None or found[1].kind != "map":
        return None
    source, root, left_out = found
    reader = Reader(source)
    if snippets:
        reader.snippets.update(_shared(snippets))
    draft = drafted(reader, _with_base(reader, root, base))
    made = Outline(text, reader, draft, left_out)
    made.definitions, made.snippets = _definitions(root)
    made.mentions = sorted({*_mentions(made, root)}, key=lambda m: m.place)
    return made


# -- reading what can be read -------------------------------------------------------------


def _readable(text: str, cursor_line: int) -> tuple[Source, Node, int] | None:
    """Read a file without the lines that make it unreadable; the others keep their places."""
    lines = text.split("\n")
    left_out = 0
    for _ in range(_MOST_BROKEN):
        try:
            source = Source("\n".join(lines), "")
            return source, source.node(), left_out
        except TemplateError as error:
            culprit = _culprit(lines, error.problems[0].line, cursor_line)
            if culprit is None:
                return None
            lines[culprit] = _emptied(lines[culprit])
            left_out = left_out or culprit + 1
    return None


def _culprit(lines: list[str], line: int, cursor_line: int) -> int | None:
    """Say which line to leave out: the cursor's, else the one that the reader stopped at.

    A text in braces without quotes is noticed in the line after it.
    """
    if 0 < cursor_line <= len(lines) and lines[cursor_line - 1].strip():
        return cursor_line - 1
    before = [at for at in range(min(line, len(lines)) - 1, -1, -1) if lines[at].strip()]
    braces = (at for at in before[:4] if _BRACES_FIRST.search(lines[at]))
    return next(braces, before[0] if before else None)


def _emptied(line: str) -> str:
    """Keep the key, so that its name is known; the second time leave all of it out."""
    found = _KEY.match(line)
    return f'{found[1]} ""' if found and found[2] != '""' else ""


def _shared(snippets: str) -> Mapping[str, str]:
    try:
        return shared_snippets(snippets)
    except TemplateError:
        return {}


def _with_base(reader: Reader, root: Node, base: str) -> Node:
    if not base or "extends" not in root.entries:
        return root
    try:
        under = Source(base, "").node()
    except TemplateError:
        return root
    return merged(reader, root, under) if under.kind == "map" else root


# -- definitions --------------------------------------------------------------------------


def _definitions(root: Node) -> tuple[dict[str, Definition], dict[str, Definition]]:
    made: dict[str, Definition] = {}
    snippets: dict[str, Definition] = {}
    for section, kind in SECTIONS.items():
        if section not in root.entries:
            continue
        for name, (key, value) in root.entries[section].value.entries.items():
            into = snippets if kind == "snippet" else made
            into.setdefault(name, Definition(name, kind, _place_of(key), value))
    return made, snippets


def _place_of(node: Node) -> Place:
    quote = 1 if node.style in ("'", '"') else 0
    return Place(node.line, node.column + quote, len(node.raw))


# -- mentions -----------------------------------------------------------------------------


def _mentions(made: Outline, root: Node) -> Iterator[Mention]:
    for definition in made.definitions.values():
        yield Mention(definition.name, "defined", definition.place)
    for definition in made.snippets.values():
        yield Mention(definition.name, "snippet", definition.place)
    lines = _Lines(made.reader.source.lines)
    for use in made.reader.texts:
        if not use.node.inherited:
            yield from _in_text(made, use, lines)
    for named in made.reader.names:
        if not named.node.inherited and named.name in made.definitions:
            yield from _in_name(named, lines)
    yield from _in_tests(made, root, lines)


def _in_text(made: Outline, use: TextUse, lines: _Lines) -> Iterator[Mention]:
    start, text = lines.written(use.node)
    step = made.draft.steps.get(use.owner) if use.part == "expr" else None
    fields = {f.name for f in step.output.fields} if step else set()
    for word in words(text, condition=use.condition):
        if word.text in fields and word.kind == "name":
            continue  # in a condition over the answer its fields come first
        place = lines.place(start + word.start, len(word.text))
        if word.kind == "name" and word.text in made.definitions:
            yield Mention(word.text, "defined", place)
        elif word.kind == "field" and word.before == "snippets":
            yield Mention(word.text, "snippet", place)


def _in_name(named: NameUse, lines: _Lines) -> Iterator[Mention]:
    """Find the name of a list or step in a value such as `one of {{ items }}`."""
    start, text = lines.written(named.node)
    for found in re.finditer(rf"\b{re.escape(named.name)}\b", text):
        yield Mention(named.name, "defined", lines.place(start + found.start(), len(named.name)))


def _in_tests(made: Outline, root: Node, lines: _Lines) -> Iterator[Mention]:
    """Tests speak of lists, steps and inputs by name: in keys, and in `ran`."""
    tests = root.entries["tests"].value.entries if "tests" in root.entries else {}
    for _, test in tests.values():
        parts = {name: entry.value for name, entry in test.entries.items()}
        expect = parts.get("expect")
        keys = [parts.get("inputs"), parts.get("recorded"), expect]
        if expect is not None:
            keys += [e.value for name, e in expect.entries.items() if name == "attempts"]
            ran = expect.entries.get("ran")
            for node in (*ran.value.items, ran.value) if ran else ():
                yield from _as_mention(made, node)
            answer = expect.entries.get("answer")
            for check in answer.value.items if answer else ():
                yield from _in_check(made, check, lines)
        for mapping in keys:
            for key, _ in mapping.entries.values() if mapping else ():
                yield from _as_mention(made, key)


def _in_check(made: Outline, check: Node, lines: _Lines) -> Iterator[Mention]:
    """Checks of a test's answer: names as values, and texts."""
    for word, (_, value) in check.entries.items():
        for node in (*value.items, value):
            if word in _NAMES_IN_CHECKS:
                yield from _as_mention(made, node)
            elif node.kind == "scalar":
                use = TextUse(node, "", "", word in ("expr", "when"), "check", "")
                yield from _in_text(made, use, lines)


def _as_mention(made: Outline, node: Node) -> Iterator[Mention]:
    if node.kind == "scalar" and node.raw in made.definitions:
        yield Mention(node.raw, "defined", _place_of(node))


class _Lines:
    """A file as one text, with the way from lines and columns to offsets and back."""

    def __init__(self, lines: list[str]) -> None:
        self.text = "\n".join(lines)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        return min(self.starts[min(line, len(self.starts)) - 1] + column - 1, len(self.text))

    def place(self, offset: int, width: int) -> Place:
        line = bisect_right(self.starts, offset)
        return Place(line, offset - self.starts[line - 1] + 1, width)

    def written(self, node: Node) -> tuple[int, str]:
        """Give a value as it is written, without its quotes or the sign of its block."""
        start = self.offset(node.line, node.column)
        end = self.offset(node.end_line, node.end_column)
        if node.style in ("|", ">"):
            start = self.offset(node.line + 1, 1)
        elif node.style:
            start, end = start + 1, end - 1
        # An escaped quote is not the end of a string; the places stay.
        escaped = {"'": "''", '"': '\\"'}.get(node.style, "\0")
        return start, self.text[start:end].replace(escaped, "' " if node.style == "'" else '" ')


def _last_line(node: Node) -> int:
    """A block ends where the next line begins."""
    return node.end_line - 1 if node.style in ("|", ">") and node.end_column == 1 else node.end_line
