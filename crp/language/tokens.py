"""Where the words of a text stand: jinja's trees know lines but not columns."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from jinja2 import Environment, TemplateSyntaxError


def options() -> dict[str, bool]:
    """How texts are read: a tag on a line of its own leaves no empty line."""
    return {"trim_blocks": True, "lstrip_blocks": True, "autoescape": False}


PARSER = Environment(**options())  # type: ignore[arg-type]  # parses only, never renders


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a text; line and column count from 1 in that text."""

    line: int
    column: int
    message: str
    code: str
    help: str = ""
    width: int = 1


@dataclass(slots=True)
class _Token:
    line: int
    column: int
    kind: str
    value: str
    used: bool = False


class Tokens:
    """Where the words of a text stand: jinja's trees know lines but not columns."""

    def __init__(self, source: str, shift: int) -> None:
        self.tokens: list[_Token] = []
        source = re.sub(r"\r\n?", "\n", source)
        at, line, start = 0, 1, 0
        try:
            for _, kind, value in PARSER.lex(source):
                # The lexer leaves out the white space that `-` strips.
                here = max(source.find(value, at), at)
                if lines := source.count("\n", at, here):
                    line, start = line + lines, source.rfind("\n", 0, here) + 1
                if kind not in ("data", "whitespace"):
                    column = here - start + 1 - (shift if line == 1 else 0)
                    self.tokens.append(_Token(line, column, kind, value))
                at = here + len(value)
                if lines := value.count("\n"):
                    line, start = line + lines, source.rfind("\n", 0, at) + 1
        except TemplateSyntaxError:
            pass  # the parser says it again, with its message
        self.waiting: dict[str, deque[_Token]] = {}
        for token in self.tokens:
            self.waiting.setdefault(token.value, deque()).append(token)

    def find(self, line: int, value: str, kind: str = "") -> tuple[int, int]:
        """Where the next token of this value stands, on this line or after it."""
        waiting = self.waiting.get(value, deque())
        for position, token in enumerate(waiting):
            if token.line >= line and (not kind or token.kind == kind):
                token.used = True
                del waiting[position]
                return token.line, token.column
        return line, 1

    def syntax_error(self, error: TemplateSyntaxError) -> Mistake:
        message = (error.message or "it can not be read").rstrip(".")
        if unclosed := re.search(r"block that needs to be closed is '(\w+)'", message):
            message = f"this {unclosed.group(1)} is never closed with end{unclosed.group(1)}"
        line = error.lineno
        got = re.search(r"(?:got|unexpected|tag|with name) '([^']+)'", message)
        on_line = [t for t in self.tokens if t.line == line]
        hit = next((t for t in reversed(on_line) if got and t.value == got.group(1)), None)
        hit = hit or next(iter(on_line), None)
        column, width = (hit.column, len(hit.value.strip())) if hit else (1, 1)
        message = _plainer(f"{message[0].lower()}{message[1:]}")
        return Mistake(line, column, message, "T001", width=width)


def _plainer(message: str) -> str:
    """Say without the parser's own words what stands in the wrong place."""
    end = re.compile("'?end of (?:print statement|statement block)'?")
    if found := re.fullmatch(rf"expected token {end.pattern}, got '(.+)'", message):
        return f"'{found.group(1)}' can not stand here"
    return "something is missing at the end" if end.search(message) else message
