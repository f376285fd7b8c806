"""Typed access to the nodes of a template: what is wrong becomes a problem, reading goes on.

A reader collects every problem instead of stopping at the first, and remembers each text and each
name with its place, so that `resolve.py` can check them once all names are known. What reads a
value is a function of the reader and a node, so that the fields of a thing are a table: `known`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import re2

from crp.language.shapes import suggest
from crp.language.source import Node, Source
from crp.language.syntax import MAX_TEXT
from crp.language.tokens import Mistake
from crp.models import Problem

Read = Callable[["Reader", Node], Any]

MAX_PROBLEMS = 100
"""Nobody reads more at once."""

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Of steps, lists and inputs: they are used in texts."""
TEMPLATE_NAME = re.compile(r"[a-z][a-z0-9-]*")
RANGE = re.compile(r"\s*(\d{1,9})\s*(?:\+|-\s*(\d{1,9})|)\s*")
_SNIPPET = re.compile(r"\{\{-?\s*snippets\.(\w+)\s*-?\}\}")
_COMMENT = re.compile(r"\s+#")
_YES_NO = {"yes": True, "no": False, "true": True, "false": False}

MAX_PATTERN = 1_000
"""Characters of one regular expression."""
MAX_PATTERNS = 200
"""Regular expressions of one template: each takes memory, and up to some milliseconds to read."""

RE2_OPTIONS = re2.Options()
RE2_OPTIONS.log_errors = False
RE2_OPTIONS.case_sensitive = False
RE2_OPTIONS.max_mem = 1 << 20

Part = Literal["text", "help", "check", "when", "entry", "critique", "until", "expr"]
"""What of a step a text is: that decides which names it sees. `text` is the step's own, `help` a
scaffold, `check` a value to compare with, `expr` a condition over the answer, `entry` one over the
entries of a pick."""
Want = Literal["list", "step", "source", "pool"]
_WANTED = {
    "list": "list",
    "step": "step",
    "source": "step, list or input",
    "pool": "list, input or step",
}


class TextUse(NamedTuple):
    """A text or condition, where it stands and whose names it sees."""

    node: Node
    text: str
    owner: str
    """A step's id, `answer`, or empty for what is known before the plan is made."""
    condition: bool
    part: Part
    hidden: str
    """The list that is just being made, and can not be used yet."""


class NameUse(NamedTuple):
    """A name that must be that of a list, a step, or something to compare with."""

    node: Node
    name: str
    owner: str
    want: Want

    @property
    def wanted(self) -> str:
        return _WANTED[self.want]


class Reader:
    """Reads the values of one file, and keeps what is wrong with them."""

    def __init__(self, source: Source, *, doubts: bool = True) -> None:
        self.source = source
        self.doubts = doubts
        """Whether warnings are wanted."""
        self.problems: list[Problem] = []
        self.texts: list[TextUse] = []
        self.help_texts: list[TextUse] = []
        """Scaffolds, also those in which nothing is filled in."""
        self.names: list[NameUse] = []
        self.owner = ""
        self.hidden = ""
        self.snippets: dict[str, str] = {}
        self.patterns = 0

    # -- problems ---------------------------------------------------------------------------

    def error(self, node: Node, message: str, code: str, help: str = "") -> None:
        """Report a mistake at a node."""
        if not self.full:
            place = (node.line, node.column)
            self.problems.append(
                self.source.problem(*place, message, code, help=help, width=node.width)
            )

    @property
    def full(self) -> bool:
        """Whether enough was said: the rest waits until this is mended."""
        return len(self.problems) >= MAX_PROBLEMS

    def suggest(self, word: str, known: Iterable[str]) -> str:
        """Give `did you mean "x"?` when something known is spelled like the word."""
        return "" if self.full else suggest(word, known)

    def warn(self, node: Node, message: str, code: str, help: str = "") -> None:
        """Report what is probably not meant, at a node; what is inherited was said at its home."""
        if self.doubts and not node.inherited and not self.full:
            self.error(node, message, code, help)
            self.problems.append(self.problems.pop().model_copy(update={"severity": "warning"}))

    def inside(
        self, use: TextUse, mistake: Mistake, severity: Literal["error", "warning"] = "error"
    ) -> None:
        """Report a mistake in a text at its place in the file."""
        node = use.node
        if self.full or (node.inherited and severity == "warning"):
            return
        found = self._place(use, mistake.line, mistake.column, mistake.width)
        line, column = found or (node.line, node.column)
        self.problems.append(
            self.source.problem(
                line,
                column,
                mistake.message,
                mistake.code,
                help=mistake.help,
                width=mistake.width if found else node.width if node.inherited else 1,
                severity=severity,
            )
        )

    def _place(self, use: TextUse, line: int, column: int, width: int) -> tuple[int, int] | None:
        """Find the same word again in the file: folding and quoting move what YAML gives."""
        lines = use.text.split("\n")
        start = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
        word = use.text[start : start + width]
        node = use.node
        if node.inherited or not word.strip():
            return None
        nth = len(re.findall(f"(?={re.escape(word)})", use.text[: start + width - 1]))
        first = node.line + (1 if node.style in ("|", ">") else 0)
        for number in range(first, node.end_line + 1):
            shown = self.source.lines[number - 1] if number <= len(self.source.lines) else ""
            at = node.column - 1 if number == node.line else 0
            while (at := shown.find(word, at)) >= 0:
                if nth == 0:
                    return number, at + 1
                nth, at = nth - 1, at + 1
        return None

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
        if self.doubts and not node.style:
            self._comment(node)
        return node.raw.strip()

    def text(self, node: Node, part: Part = "text") -> str | None:
        """Read a text in which `{{ names }}` are filled in."""
        text = self.plain(node)
        if text is None:
            return None
        if "{" in text or len(text) > MAX_TEXT:
            text = self._with_snippets(node, text) if "snippets." in text else text
            self.texts.append(TextUse(node, text, self.owner, False, part, self.hidden))
        if part == "help" and self.doubts:
            self.help_texts.append(TextUse(node, text, self.owner, False, part, self.hidden))
        return text

    def condition(self, node: Node, part: Part = "text") -> str | None:
        text = self.word(node)
        if text is not None:
            self.texts.append(TextUse(node, text, self.owner, True, part, self.hidden))
        return text

    def yes_no(self, node: Node) -> bool | None:
        if node.kind == "scalar" and node.raw.lower() in _YES_NO:
            return _YES_NO[node.raw.lower()]
        self.error(node, "this must be yes or no", "F002")
        return None

    def name(self, node: Node) -> str | None:
        return self._named(node, NAME, "a-z, 0-9 and _")

    def template_name(self, node: Node) -> str | None:
        return self._named(node, TEMPLATE_NAME, "a-z, 0-9 and -")

    def pattern(self, node: Node) -> str | None:
        """Read a regular expression of RE2."""
        text = self.plain(node)
        if text is None:
            return None
        self.patterns += 1
        if len(text) > MAX_PATTERN:
            message = f"a regular expression has at most {MAX_PATTERN:,} characters"
            self.error(node, message, "F004")
        elif self.patterns > MAX_PATTERNS:
            self.error(node, f"more than {MAX_PATTERNS} regular expressions", "F004")
        elif why := _unreadable(text):
            self.error(node, f"this is not a regular expression (RE2): {why}", "F012")
        else:
            return text
        return None

    def range(self, node: Node) -> str | None:
        """Read `40-120`, `40+` or one number, as it is written."""
        if node.kind == "scalar" and (found := RANGE.fullmatch(node.raw)):
            low, high = found.groups()
            if high is None or int(low) <= int(high):
                return "".join(node.raw.split())
        self.error(node, "this must be a range such as 40-120", "F011")
        return None

    # -- several values -------------------------------------------------------------------------

    def fields(self, node: Node, what: str, known: Mapping[str, Read]) -> dict[str, Any] | None:
        """Read the fields of a mapping; None when it is not one.

        A key that is not known is one problem, with the nearest name that is.
        """
        if node.kind != "map":
            self.error(node, f"{what} must be fields: `name: value`", "F002")
            return None
        values: dict[str, Any] = {}
        for key, entry in node.entries.items():
            read = known.get(key)
            if read is None:
                self.unknown(entry.key, key, what, known)
            elif (value := read(self, entry.value)) is not None:
                values[key] = value
        return values

    def unknown(self, node: Node, word: str, what: str, known: Iterable[str]) -> None:
        known = list(known)
        help = self.suggest(word, known) or f"there are: {', '.join(known)}"
        self.error(node, f'{what} has no "{word[:60]}"', "F001", help)

    def named(self, node: Node, want: Want) -> str | None:
        """Read a name that must exist, and remember it."""
        word = self.word(node)
        if word is not None:
            self.names.append(NameUse(node, word, self.owner, want))
        return word

    # -- inside ---------------------------------------------------------------------------------

    def _named(self, node: Node, pattern: re.Pattern[str], signs: str) -> str | None:
        word = node.raw if node.kind == "scalar" else ""
        if pattern.fullmatch(word) and len(word) <= 60:
            return word
        shown = f' "{word}"' if 0 < len(word) <= 60 else ""
        self.error(node, f"the name{shown} must begin with a-z and have only {signs}", "F008")
        return None

    def _is_text(self, node: Node) -> bool:
        if node.raw and not node.raw.isspace() and not node.empty:
            return True
        what = "a text is missing here" if node.kind == "scalar" else "this must be a text"
        self.error(node, what, "F002")
        return False

    def _comment(self, node: Node) -> None:
        """Warn of a # that cuts an unquoted text: the model would never see the rest."""
        if node.inherited or node.end_line > len(self.source.lines):
            return
        shown = self.source.lines[node.end_line - 1]
        if found := _COMMENT.match(shown, node.end_column - 1):
            message = "text after # is a comment and is NOT sent to the model"
            help = "put the text in quotes, or write it below after |"
            place = (node.end_line, found.end())
            self.problems.append(
                self.source.problem(*place, message, "W101", help=help, severity="warning")
            )

    def _with_snippets(self, node: Node, text: str) -> str:
        left = MAX_TEXT

        def put(found: re.Match[str]) -> str:
            nonlocal left
            name = found.group(1)
            if name not in self.snippets:
                help = self.suggest(name, self.snippets)
                self.error(node, f'there is no snippet "{name}"', "R001", help)
            left -= len(self.snippets.get(name, ""))
            # What is too long is refused later; here it must not fill the memory.
            return self.snippets.get(name, "") if left > -MAX_TEXT else ""

        return _SNIPPET.sub(put, text)


def _unreadable(pattern: str) -> str:
    """Say what is wrong with a regular expression; empty for a good one."""
    try:
        re2.compile(pattern, RE2_OPTIONS)
    except (re2.error, UnicodeError) as error:
        why = error.args[0] if error.args else ""
        return why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
    return ""
