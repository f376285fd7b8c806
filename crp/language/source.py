"""YAML text to nodes with positions; refuses what a template does not need.

Built from the parser's *events*, not by `yaml.load`: nothing is constructed before it is allowed.
Refused are nesting over 24 levels, aliases, anchors, tags, second documents, more than 256 KB or
20,000 values, equal keys and anything that is not UTF-8. Scalars follow YAML 1.2: `no` is text,
`010` is ten, `1:30` is text; the text of a number is kept, so that `version: 1.10` stays `1.10`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from crp.errors import TemplateError
from crp.models import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_VALUES = 20_000

Value = str | int | float | bool | None

_PARSER: Any = vars(yaml.cyaml)["CParser"] if yaml.__with_libyaml__ else yaml.SafeLoader
"""Only its events are used."""
_ASCII = bytes((9, 10, 13, *range(0x20, 0x7F)))
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_INT = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,3})?")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_WORDS: dict[str, Value] = {
    **dict.fromkeys(_NULLS, None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_HELP = {
    "found character that cannot start any token": "put texts that begin with this sign in quotes; "
    "indent with spaces, not with tabs",
    "mapping values are not allowed in this context": "put a text with a colon in quotes; "
    "a word that has fields below it needs a value: `no_echo: yes`",
    "mapping values are not allowed here": "put a text with a colon in quotes; "
    "a word that has fields below it needs a value: `no_echo: yes`",
    "found unexpected end of stream": "a text in quotes, or a bracket, is never closed",
    "could not find expected ':'": "every line of a block is `name: value`",
}


class Entry(NamedTuple):
    """One key of a mapping with its value."""

    key: Node
    value: Node


class _None(dict[str, Entry]):
    """No entries, for all scalars and lists: a dict of their own for each would cost time."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # it never changes


@dataclass(slots=True)
class Node:
    """One value of the file with its place. Lines and columns are 1-based. Not to be changed."""

    kind: Literal["scalar", "list", "map"]
    line: int
    column: int
    end_line: int
    end_column: int
    raw: str = ""
    """The text of a scalar, before it is read as a number or a word."""
    style: str = ""
    """How a scalar is written: plain is '', otherwise one of ' " | >."""
    items: Sequence[Node] = ()
    entries: Mapping[str, Entry] = _None()
    inherited: bool = False
    """It stands in the template that this one extends; the place is that of `extends`."""

    @property
    def value(self) -> Value:
        """What a scalar is by the rules of YAML 1.2; None for lists and mappings."""
        if self.kind != "scalar":
            return None
        return self.raw if self.style else _typed(self.raw)

    @property
    def width(self) -> int:
        """How many columns a caret line under it spans."""
        one_line = self.line == self.end_line and self.style not in ("|", ">")
        if self.inherited or (one_line and self.kind == "scalar"):
            return max(1, self.end_column - self.column)
        return 1

    @property
    def empty(self) -> bool:
        """Whether nothing is written here, or null."""
        return self.kind == "scalar" and self.raw in _NULLS and not self.style

    def first_key(self) -> Node:
        """Where a mapping as a whole is spoken of."""
        return next((entry.key for entry in self.entries.values()), self)


class Source:
    """The text of one file: gives lines and makes problems that show them."""

    def __init__(self, text: str | bytes, file: str) -> None:
        self.file = file
        self.lines: list[str] = []
        self.text = self._checked(text)
        self.lines = self.text.splitlines()

    def problem(
        self,
        line: int,
        column: int,
        message: str,
        code: str,
        *,
        help: str = "",
        width: int = 1,
        severity: Literal["error", "warning"] = "error",
    ) -> Problem:
        """Make a problem at a place, with the line it is on."""
        shown = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        # A tab would shift the caret, a control character could write to the terminal.
        shown = "" if len(shown) > 400 else _FORBIDDEN.sub("?", shown.replace("\t", " "))
        return Problem(
            file=self.file,
            line=line,
            column=column,
            severity=severity,
            message=_one_line(message),
            code=code,
            help=_one_line(help),
            source_line=shown,
            width=max(1, min(width, len(shown) - column + 1)) if shown else 1,
        )

    def refuse(self, line: int, column: int, message: str, code: str, help: str = "") -> NoReturn:
        raise TemplateError([self.problem(line, column, message, code, help=help)])

    def node(self) -> Node:
        """Build the document's nodes."""
        try:
            return _Builder(self).document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            what = error.problem or error.context or "this is not YAML"
            self.refuse(line, column, what, "Y010", _HELP.get(what, ""))
        except yaml.YAMLError as error:
            self.refuse(1, 1, str(error).splitlines()[0], "Y010")

    def _checked(self, text: str | bytes) -> str:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if len(data) > MAX_BYTES:
            self.refuse(1, 1, f"the file is larger than {MAX_BYTES // 1024} KB", "Y002")
        try:
            clean = data.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8", "replace")
            self.refuse(*_place(before), "this is not UTF-8 text", "Y001", "save the file as UTF-8")
        suspect = not clean.isascii() or data.translate(None, _ASCII)
        if suspect and (bad := _FORBIDDEN.search(clean)):
            self.lines = clean.splitlines()
            sign = f"U+{ord(bad.group()):04X}"
            self.refuse(*_place(clean[: bad.start()]), f"a control character ({sign})", "Y013")
        return clean


def read(text: str | bytes, file: str) -> Node:
    """Read a YAML document into nodes, or raise TemplateError with the first mistake."""
    return Source(text, file).node()


class _Builder:
    """Makes nodes from events, counting as it goes. Recursion is bounded by MAX_DEPTH."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.next: Callable[[], Any] = _PARSER(source.text).get_event
        self.values = 0

    def document(self) -> Node:
        self.next()  # the stream's start
        start = self.next()
        if isinstance(start, StreamEndEvent):
            self.source.refuse(1, 1, "the file is empty", "Y011")
        root = self.node(self.next(), 1)
        self.next()  # the document's end
        after = self.next()
        if not isinstance(after, StreamEndEvent):
            self.refuse(after, "a second document begins here", "Y008", "one template, one file")
        return root

    def node(self, event: Any, depth: int) -> Node:
        self.values += 1
        kind = type(event)
        if kind is ScalarEvent and event.anchor is None and event.tag is None:
            if self.values > MAX_VALUES or depth > MAX_DEPTH:
                self._refuse(event, depth)
            start, end = event.start_mark, event.end_mark
            return Node(
                "scalar",
                start.line + 1,
                start.column + 1,
                end.line + 1,
                end.column + 1,
                event.value,
                event.style or "",
            )
        if kind is AliasEvent or event.anchor is not None or event.tag is not None:
            self._refuse(event, depth)
        if self.values > MAX_VALUES or depth > MAX_DEPTH:
            self._refuse(event, depth)
        return self._list(event, depth) if kind is SequenceStartEvent else self._map(event, depth)

    def _list(self, start: Any, depth: int) -> Node:
        items = []
        following, node = self.next, self.node
        while type(event := following()) is not SequenceEndEvent:
            items.append(node(event, depth + 1))
        return Node("list", *_span(start, event), items=items)

    def _map(self, start: Any, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        following, node = self.next, self.node
        while type(event := following()) is not MappingEndEvent:
            key = node(event, depth + 1)
            if key.kind != "scalar":
                self.refuse(event, "a key must be a single word or text", "Y012")
            if first := entries.get(key.raw):
                where = f"line {first.key.line}"
                self.refuse(event, f'"{key.raw[:60]}" stands here twice: first in {where}', "Y009")
            entries[key.raw] = Entry(key, node(following(), depth + 1))
        return Node("map", *_span(start, event), entries=entries)

    def _refuse(self, event: Any, depth: int) -> NoReturn:
        if isinstance(event, AliasEvent):
            self.refuse(event, f"aliases (*{event.anchor}) are not part of the language", "Y005")
        if event.anchor is not None:
            self.refuse(event, "anchors (&name) are not part of the language", "Y006")
        if event.tag is not None:
            self.refuse(event, "tags (!name) are not part of the language", "Y007")
        if depth > MAX_DEPTH:
            self.refuse(event, f"nested deeper than {MAX_DEPTH} levels", "Y003")
        self.refuse(event, f"more than {MAX_VALUES:,} values", "Y004")

    def refuse(self, event: Any, message: str, code: str, help: str = "") -> NoReturn:
        line, column, *_ = _span(event, event)
        self.source.refuse(line, column, message, code, help)


def _span(start: Any, end: Any) -> tuple[int, int, int, int]:
    first, last = start.start_mark, end.end_mark
    return first.line + 1, first.column + 1, last.line + 1, last.column + 1


def _typed(raw: str) -> Value:
    """Read a plain scalar by the core schema of YAML 1.2. Huge numbers stay text."""
    if raw in _WORDS:
        return _WORDS[raw]
    if _INT.fullmatch(raw):
        return int(raw, 0) if raw[:2] in ("0o", "0x") else int(raw)
    return float(raw) if _FLOAT.fullmatch(raw) else raw


def _one_line(text: str) -> str:
    """Write what quotes a file so that a terminal and a list of problems can show it."""
    return _FORBIDDEN.sub("?", " ".join(text.split()))


def _place(before: str) -> tuple[int, int]:
    """Line and column of what follows a text."""
    lines = (before + ".").splitlines()
    return len(lines), len(lines[-1])
