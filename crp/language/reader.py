"""Typed access to the nodes of a template: what is wrong becomes a problem, reading goes on.

A reader collects every problem instead of stopping at the first, and remembers each text and each
name with its place, so that `lint.py` can check them once all names are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import re2

from crp.language.shapes import suggest
from crp.language.source import Node, Source
from crp.language.tokens import Mistake
from crp.models import Problem

Read = Callable[[Node], Any]

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Of steps, lists and inputs: they are used in texts."""
TEMPLATE_NAME = re.compile(r"[a-z][a-z0-9-]*")
RANGE = re.compile(r"\s*(\d{1,9})\s*(?:\+|-\s*(\d{1,9})|)\s*")

RE2_OPTIONS = re2.Options()
RE2_OPTIONS.log_errors = False
RE2_OPTIONS.case_sensitive = False


@dataclass(frozen=True, slots=True)
class TextUse:
    """A text or condition, where it stands and whose names it sees."""

    node: Node
    text: str
    owner: str
    """A step's id, `answer`, or empty for what is known before the plan is made."""
    condition: bool = False
    part: Literal["text", "check", "help"] = "text"
    """`text` makes the order of the steps, `help` (scaffolds) too."""
    hidden: str = ""
    """The list that is just being made, and can not be used yet."""


@dataclass(frozen=True, slots=True)
class NameUse:
    """A name that must be that of a list, a step, or something to compare with."""

    node: Node
    name: str
    owner: str
    want: Literal["list", "step", "source"]


class Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.texts: list[TextUse] = []
        self.names: list[NameUse] = []
        self.owner = ""
        self.hidden = ""
        self.snippets: dict[str, str] = {}

    # -- problems ---------------------------------------------------------------------------

    def error(self, node: Node, message: str, code: str, help: str = "") -> None:
        """Report a mistake at a node."""
        self.problems.append(
            self.source.problem(node.line, node.column, message, code, help=help, width=node.width)
        )

    def warn(self, node: Node, message: str, code: str, help: str = "") -> None:
        """Report what is probably not meant, at a node."""
        self.problems.append(
            self.source.problem(
                node.line,
                node.column,
                message,
                code,
                help=help,
                width=node.width,
                severity="warning",
            )
        )

    def inside(
        self, use: TextUse, mistake: Mistake, severity: Literal["error", "warning"] = "error"
    ) -> None:
        """Report a mistake in a text at its place in the file."""
        line, column = self._place(use, mistake.line, mistake.column, mistake.width)
        found = (line, column) != (use.node.line, use.node.column)
        self.problems.append(
            self.source.problem(
                line,
                column,
                mistake.message,
                mistake.code,
                help=mistake.help,
                width=mistake.width if found else 1,
                severity=severity,
            )
        )

    def _place(self, use: TextUse, line: int, column: int, width: int) -> tuple[int, int]:
        """Find the same word again in the file: folding and quoting move what YAML gives."""
        lines = use.text.split("\n")
        start = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
        word = use.text[start : start + width]
        node = use.node
        if not word.strip():
            return node.line, node.column
        nth = len(re.findall(f"(?={re.escape(word)})", use.text[: start + width - 1]))
        first = node.line + (1 if node.style in ("|", ">") else 0)
        for number in range(first, node.end_line + 1):
            shown = self.source.lines[number - 1] if number <= len(self.source.lines) else ""
            at = node.column - 1 if number == node.line else 0
            while (at := shown.find(word, at)) >= 0:
                if nth == 0:
                    return number, at + 1
                nth, at = nth - 1, at + 1
        return node.line, node.column

    # -- single values --------------------------------------------------------------------------

    def word(self, node: Node) -> str | None:
        """Read a short text of one line."""
        if not self._is_text(node):
            return None
        return " ".join(node.raw.split())

    def plain(self, node: Node) -> str | None:
        """Read a text in which nothing is filled in."""
        if not self._is_text(node):
            return None
        self._comment(node)
        return node.raw.strip()

    def text(self, node: Node, part: Literal["text", "check", "help"] = "text") -> str | None:
        """Read a text in which `{{ names }}` are filled in."""
        text = self.plain(node)
        if text is None:
            return None
        text = self._with_snippets(node, text)
        self.texts.append(TextUse(node, text, self.owner, part=part, hidden=self.hidden))
        return text

    def condition(self, node: Node) -> str | None:
        text = self.word(node)
        if text is not None:
            self.texts.append(TextUse(node, text, self.owner, condition=True))
        return text

    def yes_no(self, node: Node) -> bool | None:
        words = {"yes": True, "no": False, "true": True, "false": False}
        if node.kind == "scalar" and node.raw.lower() in words:
            return words[node.raw.lower()]
        self.error(node, "this must be yes or no", "F002")
        return None

    def whole(self, low: int, high: int) -> Read:
        """Make a reader of whole numbers in a range."""

        def read(node: Node) -> int | None:
            value = node.value
            if type(value) is not int:
                self.error(node, "this must be a whole number", "F002")
                return None
            if not low <= value <= high:
                self.error(node, f"this must be {low} to {high}, not {value}", "F004")
                return None
            return value

        return read

    def number(self, low: float, high: float) -> Read:
        """Make a reader of numbers in a range."""

        def read(node: Node) -> float | None:
            value = node.value
            if isinstance(value, bool) or not isinstance(value, int | float):
                self.error(node, "this must be a number", "F002")
                return None
            if not low <= value <= high:
                self.error(node, f"this must be {low:g} to {high:g}, not {value:g}", "F004")
                return None
            return value

        return read

    def one_of(self, words: Collection[str]) -> Read:
        """Make a reader of one word out of several."""

        def read(node: Node) -> str | None:
            word = self.word(node)
            if word is None or word in words:
                return word
            help = suggest(word, words)
            self.error(node, f'"{word}" is not one of: {", ".join(words)}', "F005", help)
            return None

        return read

    def name(self, node: Node) -> str | None:
        return self._named(node, NAME, "a-z, 0-9 and _")

    def template_name(self, node: Node) -> str | None:
        return self._named(node, TEMPLATE_NAME, "a-z, 0-9 and -")

    def pattern(self, node: Node) -> str | None:
        """Read a regular expression of RE2."""
        text = self.plain(node)
        if text is None:
            return None
        try:
            re2.compile(text, RE2_OPTIONS)
        except (re2.error, UnicodeError) as error:
            why = error.args[0] if error.args else ""
            why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
            self.error(node, f"this is not a regular expression (RE2): {why}", "F012")
            return None
        return text

    def range(self, node: Node) -> str | None:
        """Read `40-120`, `40+` or one number, as it is written."""
        if node.kind == "scalar" and (found := RANGE.fullmatch(node.raw)):
            low, high = found.groups()
            if high is None or int(low) <= int(high):
                return "".join(node.raw.split())
        self.error(node, "this must be a range such as 40-120", "F011")
        return None

    # -- several values -------------------------------------------------------------------------

    def listed(self, read: Read) -> Read:
        """Make a reader of lists; a single value counts as a list of one."""

        def several(node: Node) -> tuple[Any, ...] | None:
            if node.kind == "map":
                self.error(node, "this must be a list", "F002")
                return None
            nodes = node.items if node.kind == "list" else [node]
            values = [read(item) for item in nodes]
            return tuple(v for v in values if v is not None)

        return several

    def fields(
        self, node: Node, what: str, known: Mapping[str, Read], later: Collection[str] = ()
    ) -> dict[str, Any] | None:
        """Read the fields of a mapping; None when it is not one.

        A key that is not known is one problem, with the nearest name that is.
        """
        if node.kind != "map":
            self.error(node, f"{what} must be fields: `name: value`", "F002")
            return None
        values: dict[str, Any] = {}
        for key, entry in node.entries.items():
            if key in known:
                value = known[key](entry.value)
                if value is not None:
                    values[key] = value
            elif key in later:
                self.later(entry.key, key)
            else:
                self.unknown(entry.key, key, what, known)
        return values

    def later(self, node: Node, word: str) -> None:
        message = f'"{word}" belongs to the language, but this version does not run it yet'
        self.error(node, message, "F007")

    def unknown(self, node: Node, word: str, what: str, known: Iterable[str]) -> None:
        known = list(known)
        help = suggest(word, known) or f"there are: {', '.join(known)}"
        self.error(node, f'{what} has no "{word}"', "F001", help)

    def named(self, node: Node, name: str, want: Literal["list", "step", "source"]) -> str:
        """Remember a name that must exist."""
        self.names.append(NameUse(node, name, self.owner, want))
        return name

    # -- inside ---------------------------------------------------------------------------------

    def _named(self, node: Node, pattern: re.Pattern[str], signs: str) -> str | None:
        word = node.raw if node.kind == "scalar" else ""
        if pattern.fullmatch(word) and len(word) <= 60:
            return word
        shown = f' "{word}"' if 0 < len(word) <= 60 else ""
        self.error(node, f"the name{shown} must begin with a-z and have only {signs}", "F008")
        return None

    def _is_text(self, node: Node) -> bool:
        if node.kind != "scalar":
            self.error(node, "this must be a text", "F002")
        elif node.empty or not node.raw.strip():
            self.error(node, "a text is missing here", "F002")
        else:
            return True
        return False

    def _comment(self, node: Node) -> None:
        """Warn of a # that cuts an unquoted text: the model would never see the rest."""
        if node.style or node.end_line > len(self.source.lines):
            return
        rest = self.source.lines[node.end_line - 1][node.end_column - 1 :]
        if found := re.match(r"\s+#", rest):
            column = node.end_column + found.end() - 1
            message = "text after # is a comment and is NOT sent to the model"
            self.problems.append(
                self.source.problem(
                    node.end_line,
                    column,
                    message,
                    "W101",
                    help="put the text in quotes, or write it below after |",
                    severity="warning",
                )
            )

    def _with_snippets(self, node: Node, text: str) -> str:
        def put(found: re.Match[str]) -> str:
            name = found.group(1)
            if name not in self.snippets:
                help = suggest(name, self.snippets)
                self.error(node, f'there is no snippet "{name}"', "R001", help)
            return self.snippets.get(name, "")

        return re.sub(r"\{\{-?\s*snippets\.(\w+)\s*-?\}\}", put, text)
