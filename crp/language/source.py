"""YAML text to nodes with positions; refuses what a template does not need.

Built from the parser's *events*, not by `yaml.load`: nothing is constructed before it is allowed.
Refused are nesting over 24 levels, aliases, anchors, tags, second documents, more than 256 KB or
20,000 values, equal keys and anything that is not UTF-8. Scalars follow YAML 1.2: `no` is text,
`010` is ten, `1:30` is text; the text of a number is kept, so that `version: 1.10` stays `1.10`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import yaml

from crp.errors import TemplateError
from crp.models import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_VALUES = 20_000

Value = str | int | float | bool | None

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_INT = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
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
    "could not find expected ':'": "every line of a block is `name: value`",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file with its place. Lines and columns are 1-based."""

    kind: Literal["scalar", "list", "map"]
    line: int
    column: int
    end_line: int
    end_column: int
    value: Value = None
    """Of a scalar, by the rules of YAML 1.2."""
    raw: str = ""
    """The text of a scalar, before it was read as a number or a word."""
    style: str = ""
    """How a scalar is written: plain is '', otherwise one of ' " | >."""
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """How many columns a caret line under it spans."""
        if self.line != self.end_line or self.kind != "scalar" or self.style in ("|", ">"):
            return 1
        return max(1, self.end_column - self.column)

    def first_key(self) -> Node:
        """Where a mapping as a whole is spoken of."""
        return next((entry.key for entry in self.entries.values()), self)

    @property
    def empty(self) -> bool:
        return self.kind == "scalar" and self.value is None


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value."""

    key: Node
    value: Node


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
            message=message,
            code=code,
            help=help,
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
        if bad := _FORBIDDEN.search(clean):
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
        self.events: Iterator[yaml.Event] = yaml.parse(source.text, Loader=_LOADER)
        self.values = 0

    def document(self) -> Node:
        next(self.events)  # the stream's start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            self.source.refuse(1, 1, "the file is empty", "Y011")
        root = self.node(next(self.events), 1)
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.refuse(after, "a second document begins here", "Y008", "one template, one file")
        return root

    def node(self, event: yaml.Event, depth: int) -> Node:
        self._admit(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, depth)
        return self._map(event, depth)

    def _list(self, start: yaml.Event, depth: int) -> Node:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return Node("list", *_span(start, event), items=items)

    def _map(self, start: yaml.Event, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            if key.kind != "scalar":
                self.refuse(event, "a key must be a single word or text", "Y012")
            if first := entries.get(key.raw):
                where = f"line {first.key.line}"
                self.refuse(event, f'"{key.raw}" stands here twice: first in {where}', "Y009")
            entries[key.raw] = Entry(key, self.node(next(self.events), depth + 1))
        return Node("map", *_span(start, event), entries=entries)

    def _admit(self, event: yaml.Event, depth: int) -> None:
        self.values += 1
        if isinstance(event, yaml.AliasEvent):
            self.refuse(event, f"aliases (*{event.anchor}) are not part of the language", "Y005")
        if getattr(event, "anchor", None):
            self.refuse(event, "anchors (&name) are not part of the language", "Y006")
        if getattr(event, "tag", None) is not None:
            self.refuse(event, "tags (!name) are not part of the language", "Y007")
        if depth > MAX_DEPTH:
            self.refuse(event, f"nested deeper than {MAX_DEPTH} levels", "Y003")
        if self.values > MAX_VALUES:
            self.refuse(event, f"more than {MAX_VALUES:,} values", "Y004")

    def refuse(self, event: yaml.Event, message: str, code: str, help: str = "") -> NoReturn:
        line, column, *_ = _span(event, event)
        self.source.refuse(line, column, message, code, help)


def _span(start: yaml.Event, end: yaml.Event) -> tuple[int, int, int, int]:
    first, last = start.start_mark, end.end_mark
    assert first is not None  # only events made by hand have no marks
    assert last is not None
    return first.line + 1, first.column + 1, last.line + 1, last.column + 1


def _scalar(event: yaml.ScalarEvent) -> Node:
    style = event.style or ""
    value = _typed(event.value) if style == "" else event.value
    return Node("scalar", *_span(event, event), value=value, raw=event.value, style=style)


def _typed(raw: str) -> Value:
    """Read a plain scalar by the core schema of YAML 1.2. Huge numbers stay text."""
    if raw in _WORDS:
        return _WORDS[raw]
    if _INT.fullmatch(raw):
        return int(raw, 0) if raw[:2] in ("0o", "0x") else int(raw)
    return float(raw) if _FLOAT.fullmatch(raw) else raw


def _place(before: str) -> tuple[int, int]:
    """Line and column of what follows a text."""
    lines = (before + ".").splitlines()
    return len(lines), len(lines[-1])
