"""The words of prompt texts and conditions with their places, read so that half a text is enough.

The parser of the language (`crp/language/syntax.py`) knows more, but only of texts that are whole;
an editor asks while one is typed. Nothing here says that a text is wrong. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from crp.language.shapes import ANY, LOOP_SHAPE, TEXT, Shape

_OPEN = re.compile(r"\{(?P<sign>[{%])[-+]?")
_CLOSE = re.compile(r"[-+]?[}%]\}")
_WORD = re.compile(
    r"""(?P<string>"[^"\n]*"?|'[^'\n]*'?)
    |(?P<field>\.\s*[A-Za-z_]\w*)
    |(?P<filter>\|\s*[A-Za-z_]\w*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>\d[\w.]*)""",
    re.VERBOSE,
)
_FOR = re.compile(r"\s*for\s+(?P<name>\w+)\s+in\s(?P<list>.*?)(?:\sif\s.*)?$", re.DOTALL)
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\s*\.\s*\w+|\s*\[[^\[\]]*\])*\s*$")
_LINK = re.compile(r"\.\s*(?P<field>\w+)|\[\s*(?P<index>[^\[\]]*?)\s*\]")
_TYPED = re.compile(r"[A-Za-z_]?\w*$")

TAGS = ("for", "endfor", "if", "elif", "else", "endif")
_SYNTAX = {*TAGS, "in", "and", "or", "not", "is", "true", "false", "none", "True", "False", "None"}

Locals = Mapping[str, str]
"""The names that loops make, each with the expression that its loop goes over."""


class Word(NamedTuple):
    """A name in a text, from one offset to another."""

    start: int
    end: int
    text: str
    kind: Literal["name", "local", "field"]
    before: str = ""
    """Of a field: the expression in front of its dot."""


class Typing(NamedTuple):
    """What is being typed at a place in a text."""

    kind: Literal["name", "field", "filter", "tag"]
    typed: str
    before: str
    """Of a field: the expression in front of its dot."""
    locals: Locals


class _Code(NamedTuple):
    """What stands between braces."""

    start: int
    end: int
    block: bool


def words(text: str, *, condition: bool = False) -> Iterator[Word]:
    """Give every name that a text uses, in its order."""
    loops: list[tuple[str, str]] = []
    for code in _codes(text, condition):
        body = text[code.start : code.end]
        loop = _FOR.match(body) if code.block else None
        inner = {name for name, _ in loops} | ({"loop"} if loops else set())
        for word in _words_of(body, inner):
            if loop and word.text == loop["name"] and not _in(word, loop, "list"):
                word = word._replace(kind="local")
            yield word._replace(start=word.start + code.start, end=word.end + code.start)
        _follow(loops, body, loop)


def typing(text: str, at: int, *, condition: bool = False) -> Typing | None:
    """Say what is being typed at an offset; None outside of braces and inside quotes."""
    loops: list[tuple[str, str]] = []
    for code in _codes(text, condition):
        body = text[code.start : code.end]
        if code.start <= at <= code.end:
            return _typed(body[: at - code.start], code.block, dict(loops))
        _follow(loops, body, _FOR.match(body) if code.block else None)
    return None


def shape_of(expression: str, names: Mapping[str, Shape], local: Locals) -> Shape:
    """Say what kind of value a name with fields and entries behind it has."""
    head = re.match(r"\s*([A-Za-z_]\w*)", expression)
    if head is None or "|" in expression:
        return ANY
    shape = _named(head[1], names, local)
    for link in _LINK.finditer(expression, head.end()):
        index = link["index"] or ""
        field = link["field"] or (index[1:-1] if index[:1] in ("'", '"') else "")
        shape = shape.fields.get(field, ANY) if field else shape.of or ANY
    return shape


def _named(name: str, names: Mapping[str, Shape], local: Locals) -> Shape:
    if name == "loop" and local:
        return LOOP_SHAPE
    if name not in local:
        return names.get(name, ANY)
    outer = {n: over for n, over in local.items() if n != name}
    over = shape_of(local[name], names, outer)
    return TEXT if over.kind == "answers" else over.of or ANY


# -- inside -------------------------------------------------------------------------------


def _codes(text: str, condition: bool) -> Iterator[_Code]:
    """Give what stands between braces; what is not closed ends with its line."""
    if condition:
        yield _Code(0, len(text), False)
        return
    at = 0
    while found := _OPEN.search(text, at):
        closed = _CLOSE.search(text, found.end())
        again = _OPEN.search(text, found.end())
        if closed and not (again and again.start() < closed.start()):
            end, at = closed.start(), closed.end()
        else:
            line_end = text.find("\n", found.end())
            end = at = len(text) if line_end < 0 else line_end
        yield _Code(found.end(), end, found["sign"] == "%")


def _words_of(body: str, local: set[str]) -> Iterator[Word]:
    for found in _WORD.finditer(body):
        if found["field"]:
            name = found["field"].lstrip(". \n\t")
            before = _chain(body[: found.start()])
            yield Word(found.end() - len(name), found.end(), name, "field", before)
        elif (name := found["name"]) and name not in _SYNTAX:
            yield Word(*found.span(), name, "local" if name in local else "name")


def _in(word: Word, found: re.Match[str], group: str) -> bool:
    return found.start(group) <= word.start < found.end(group)


def _follow(loops: list[tuple[str, str]], body: str, loop: re.Match[str] | None) -> None:
    if loop:
        loops.append((loop["name"], loop["list"].strip()))
    elif loops and body.strip() == "endfor":
        loops.pop()


def _typed(before: str, block: bool, local: Locals) -> Typing | None:
    typed = _TYPED.search(before)
    word = typed[0] if typed else ""
    rest = before[: len(before) - len(word)].rstrip()
    if rest.count('"') % 2 or rest.count("'") % 2:
        return None
    if rest.endswith("."):
        return Typing("field", word, _chain(rest[:-1]), local)
    if rest.endswith("|"):
        return Typing("filter", word, "", local)
    return Typing("tag" if block and not rest else "name", word, "", local)


def _chain(before: str) -> str:
    """Give the name with its fields and entries that a text ends with."""
    found = _CHAIN.search(before)
    return found[0].strip() if found else ""
