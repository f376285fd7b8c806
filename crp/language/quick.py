"""Reads the texts that most templates have, many times faster than by building a tree.

It takes a part of what `syntax.py` takes, sees the same names in it, and gives up (None) on
everything else, also on every mistake: `syntax.py` then says what is wrong and where. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from crp.language.shapes import ANY, FILTERS, LOOP_SHAPE, NUMBER, TEXT, Reference, Shape, filtered
from crp.language.words import word_set

_TAG = re.compile(r"\{\{-?(.*?)-?\}\}|\{%[-+]?(.*?)[-+]?%\}", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+(?:\.[0-9]+)?)(?![\w.])"
    r"|(?P<string>'(?:[^'\\]|\\[nt])*'|\"(?:[^\"\\]|\\[nt])*\")|(?P<sign>[=!<>]=|[<>.\[\]()|,+-])|(?P<end>$))",
)
_SIMPLE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*")
_MOST_TOKENS = 28
_MOST_BLOCKS = 8
"""Bounds that keep every tree below the depth that `syntax.py` allows."""
_WORDS = word_set("and or not in is if else elif for true false none True False None")
_COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">=", "in"))


class _GiveUp(Exception):
    """This is a case for `syntax.py`."""


def quick(text: str, names: Mapping[str, Shape], condition: bool) -> tuple[Reference, ...] | None:
    """Give the names that a text uses when all is well and simple; else None."""
    scan = _Scan(text, names)
    try:
        if condition:
            scan.whole(0, len(text))
        else:
            scan.text()
    except _GiveUp:
        return None
    return scan.references()


class _Use:
    """One use of a name."""

    __slots__ = ("at", "guarded", "index", "name", "nots", "tested")

    def __init__(self, name: str, at: int, guarded: bool, tested: bool, nots: int) -> None:
        self.name, self.at, self.guarded, self.tested, self.nots = name, at, guarded, tested, nots
        self.index = ""


class _Block:
    """An `if` or a `for` that is open, and what to put back when it ends."""

    __slots__ = ("guards", "kind", "local")

    def __init__(self, kind: str, guards: frozenset[str], local: dict[str, Shape]) -> None:
        self.kind, self.guards, self.local = kind, guards, local


class _Scan:
    def __init__(self, text: str, names: Mapping[str, Shape]) -> None:
        self.source = text
        self.names = names
        self.uses: list[_Use] = []
        self.local: dict[str, Shape] = {}
        self.guards: frozenset[str] = frozenset()
        self.blocks: list[_Block] = []
        self.testing = False
        self.nots = 0
        self.last: _Use | None = None
        """The name that was just read, unless it is a loop's."""
        self.tokens: list[tuple[str, str, int]] = []
        self.next = 0

    def references(self) -> tuple[Reference, ...]:
        text = self.source
        found = []
        line, start = 1, 0
        for use in self.uses:  # in the order of the text
            if lines := text.count("\n", start, use.at):
                line += lines
                start = text.rindex("\n", 0, use.at) + 1
            column = use.at - start + 1
            found.append(Reference(use.name, use.index, use.guarded, use.tested, line, column))
        return tuple(found)

    # -- the text ---------------------------------------------------------------------------

    def text(self) -> None:
        text, tags = self.source, 0
        if text.count("{{") != text.count("}}") or text.count("{%") != text.count("%}"):
            raise _GiveUp  # what is never closed would be looked for again and again
        for tag in _TAG.finditer(text):
            tags += 1
            if tag.end(1) >= 0:
                self.whole(tag.start(1), tag.end(1))
            else:
                self._statement(tag.start(2), tag.end(2))
        if self.blocks or tags != text.count("{{") + text.count("{%") + text.count("{#"):
            raise _GiveUp

    def whole(self, start: int, end: int) -> None:
        """Read one expression and nothing else."""
        if simple := _SIMPLE.fullmatch(self.source, start, end):
            if simple[1] in _WORDS:
                raise _GiveUp
            self._name(simple[1], simple.start(1))
            return
        self._tokenize(start, end)
        self._expression()
        self._done()

    def _statement(self, start: int, end: int) -> None:
        self._tokenize(start, end)
        kind, word, _ = self._take()
        read = self._statements.get(word) if kind == "name" else None
        if read is None:
            raise _GiveUp
        read(self)
        self._done()

    def _if(self) -> None:
        self._open("if")
        self.guards = self.guards | self._test()

    def _elif(self) -> None:
        block = self._inside("if")
        self.guards = block.guards
        self.guards = self.guards | self._test()

    def _else(self) -> None:
        block = self._inside("if", "for")
        self.guards, self.local = block.guards, block.local
        block.kind = "else of " + block.kind

    def _for(self) -> None:
        kind, target, _ = self._take()
        if kind != "name" or target in _WORDS or target == "loop" or not self._at("in"):
            raise _GiveUp
        shape = self._expression()
        if shape.kind in ("text", "number", "record"):
            raise _GiveUp
        self._open("for")
        element = TEXT if shape.kind == "answers" else shape.of or ANY
        self.local = {**self.local, target: element, "loop": LOOP_SHAPE}
        if self._at("if"):
            self.guards = self.guards | self._test()

    def _end_if(self) -> None:
        self._close("if")

    def _end_for(self) -> None:
        self._close("for")

    _statements: Mapping[str, Callable[[_Scan], None]] = {
        "if": _if,
        "elif": _elif,
        "else": _else,
        "for": _for,
        "endif": _end_if,
        "endfor": _end_for,
    }

    def _open(self, kind: str) -> None:
        if len(self.blocks) >= _MOST_BLOCKS:
            raise _GiveUp
        self.blocks.append(_Block(kind, self.guards, self.local))

    def _inside(self, *kinds: str) -> _Block:
        if not self.blocks or self.blocks[-1].kind not in kinds:
            raise _GiveUp
        return self.blocks[-1]

    def _close(self, kind: str) -> None:
        block = self._inside(kind, "else of " + kind)
        self.guards, self.local = block.guards, block.local
        self.blocks.pop()

    def _test(self) -> frozenset[str]:
        """Read a condition; give the names whose being there it asks for."""
        first = len(self.uses)
        self.testing = True
        self._expression()
        self.testing = False
        return self._guard(first, len(self.uses), first)

    # -- tokens -----------------------------------------------------------------------------

    def _tokenize(self, start: int, end: int) -> None:
        tokens: list[tuple[str, str, int]] = []
        at = start
        while True:
            found = _TOKEN.match(self.source, at, end)
            if found is None or len(tokens) > _MOST_TOKENS:
                raise _GiveUp
            kind = found.lastgroup or ""
            tokens.append((kind, found[kind], found.start(kind)))
            if kind == "end":
                break
            at = found.end()
        self.tokens, self.next = tokens, 0

    def _take(self) -> tuple[str, str, int]:
        token = self.tokens[self.next]
        self.next += token[0] != "end"
        return token

    def _at(self, value: str) -> bool:
        """Take a sign or word if it comes next."""
        kind, found, _ = self.tokens[self.next]
        if found != value or kind not in ("name", "sign"):
            return False
        self.next += 1
        return True

    def _done(self) -> None:
        if self.tokens[self.next][0] != "end":
            raise _GiveUp

    # -- expressions ------------------------------------------------------------------------

    def _expression(self) -> Shape:
        shape = self._and()
        while self._at("or"):
            right = self._and()
            shape = shape if shape.kind == right.kind else ANY
        return shape

    def _and(self) -> Shape:
        first = len(self.uses)
        shape = self._not()
        while self._at("and"):
            middle = len(self.uses)
            right = self._not()
            self._guard(first, middle, middle)
            shape = shape if shape.kind == right.kind else ANY
        return shape

    def _not(self) -> Shape:
        if not self._at("not"):
            return self._comparison()
        self.nots += 1
        self._not()
        self.nots -= 1
        return NUMBER

    def _comparison(self) -> Shape:
        shape = self._sum()
        while True:
            value = self.tokens[self.next][1]
            if self.tokens[self.next][0] in ("name", "sign") and value in _COMPARISONS:
                self.next += 1
            elif self._at("not"):
                if not self._at("in"):
                    raise _GiveUp
            else:
                return shape
            self._sum()
            shape = NUMBER

    def _sum(self) -> Shape:
        shape = self._filtered()
        while self._at("+") or self._at("-"):
            right = self._filtered()
            if shape.kind not in ("number", "any") or right.kind not in ("number", "any"):
                raise _GiveUp
            shape = NUMBER
        return shape

    def _filtered(self) -> Shape:
        first = len(self.uses)
        shape = self._postfix()
        while self._at("|"):
            kind, name, _ = self._take()
            if kind != "name" or name not in FILTERS:
                raise _GiveUp
            if name == "default":
                self._guard(first, len(self.uses), first)
            shape = filtered(name, self._arguments(FILTERS[name]), shape) or self._give_up()
        return shape

    def _arguments(self, most: int) -> int:
        if not self._at("("):
            return 0
        count = 0
        while not self._at(")"):
            if count and not self._at(","):
                raise _GiveUp
            self._expression()
            count += 1
            if count > most:
                raise _GiveUp
        return count

    def _postfix(self) -> Shape:
        self.last = None
        shape = self._primary()
        last = self.last
        while True:
            if self._at("."):
                kind, name, _ = self._take()
                if kind != "name":
                    raise _GiveUp
                shape = self._field(shape, name)
            elif self._at("["):
                shape = self._entry(shape, last)
            else:
                return shape
            last = None

    def _entry(self, shape: Shape, base: _Use | None) -> Shape:
        kind, value, _ = self.tokens[self.next]
        if base is not None and kind == "name" and self.tokens[self.next + 1][1] == "]":
            base.index = value
        self._expression()
        if not self._at("]") or shape.kind in ("text", "number"):
            raise _GiveUp
        if shape.kind == "record" and kind in ("string", "number"):
            return self._field(shape, value.strip("'\""))
        return shape.of or ANY

    def _field(self, shape: Shape, name: str) -> Shape:
        if shape.kind == "any":
            return ANY
        return shape.fields.get(name) or self._give_up()

    def _primary(self) -> Shape:
        kind, value, at = self._take()
        if kind == "name":
            return self._constant(value) if value in _WORDS else self._name(value, at)
        if kind == "number":
            return NUMBER
        if kind == "string":
            return TEXT
        if value != "(":
            raise _GiveUp
        shape = self._expression()
        self.last = None
        return shape if self._at(")") else self._give_up()

    def _constant(self, word: str) -> Shape:
        if word.lower() in ("true", "false"):
            return NUMBER
        return TEXT if word.lower() == "none" else self._give_up()

    def _name(self, name: str, at: int) -> Shape:
        if name in self.local:
            return self.local[name]
        self.last = _Use(name, at, name in self.guards, self.testing, self.nots)
        self.uses.append(self.last)
        return self.names.get(name) or self._give_up()

    def _guard(self, first: int, last: int, start: int) -> frozenset[str]:
        """Mark uses from `start` on whose names are asked for between `first` and `last`."""
        asked = self.uses[first:last]
        found = frozenset(use.name for use in asked if use.nots == self.nots)
        for use in self.uses[start:]:
            use.guarded = use.guarded or use.name in found
        return found

    def _give_up(self) -> Shape:
        raise _GiveUp
