"""What may stand in a prompt text or a condition: the tree is walked against a short list.

Allowed are names, attributes and items of the engine's own data, `for`, `if`, comparisons, `+ -`,
`and or not in`, and the filters below. Anything else is refused with line and column. The same
walk says which names a text refers to, and whether it can do without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from crp.language.shapes import ANY, LOOP_SHAPE, NUMBER, TEXT, Shape, suggest
from crp.language.tokens import PARSER, Mistake, Tokens

MAX_TEXT = 20_000
"""Characters of one text in a template."""
MAX_MISTAKES = 20
"""Of one text; the others wait until these are mended."""
MAX_DEPTH = 40
"""Levels of the tree of one text."""

FILTERS: dict[str, int] = {
    "join": 1,
    "length": 0,
    "default": 1,
    "upper": 0,
    "lower": 0,
    "trim": 0,
    "first": 0,
    "last": 0,
    "bullets": 0,
    "numbered": 0,
    "json": 0,
    "words": 1,
    "quote": 0,
}
"""Each filter with the most values it takes. `words` counts; `words(20)` gives the first 20."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a name that the text does not make itself."""

    name: str
    index: str = ""
    """`item` in `profile[item]`."""
    guarded: bool = False
    """It stands under `if` of itself, or has a `default`: the text can do without it."""
    tested: bool = False
    """It is only asked about in an `if`; its value is not put into the text."""
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text that was walked: what is wrong with it, or what it is made of."""

    tree: nodes.Template | None
    mistakes: tuple[Mistake, ...]
    references: tuple[Reference, ...]
    weights: tuple[int, ...]
    """Nodes of the tree by how many loops they stand in."""


@lru_cache(maxsize=2048)
def parse(text: str, condition: bool = False) -> Parsed:
    """Parse a text without knowing its names."""
    return _walked(text, None, condition)


def check(
    text: str, names: Mapping[str, Shape] | None = None, *, condition: bool = False
) -> list[Mistake]:
    """Find what is wrong with a text; without `names`, any name is taken."""
    return list(_walked(text, names, condition).mistakes)


def references(text: str, *, condition: bool = False) -> tuple[Reference, ...]:
    """List every use of a name, in the order of the text; empty when it can not be parsed."""
    return parse(text, condition).references


def prints(text: str, name: str) -> bool:
    """Say whether a text puts a value in, and does not only ask whether it is there."""
    return any(r.name == name and not r.tested for r in references(text))


def wrapped(condition: str) -> str:
    """A condition as a text, so that both are read by the same parser."""
    return "{{ " + condition + " }}"


def _walked(text: str, names: Mapping[str, Shape] | None, condition: bool) -> Parsed:
    source, shift = (wrapped(text), 3) if condition else (text, 0)
    if len(source) > MAX_TEXT:
        return _broken(Mistake(1, 1, f"a text of more than {MAX_TEXT:,} characters", "T007"))
    tokens = Tokens(source, shift)
    try:
        tree = PARSER.parse(source)
        walk = _Walk(tokens, names)
        walk.text(tree)
    except TemplateSyntaxError as error:
        return _broken(tokens.syntax_error(error))
    except (RecursionError, ValueError, OverflowError, MemoryError):
        return _broken(Mistake(1, 1, "this text is nested too deeply", "T007"))
    if condition and not _is_one_expression(tree) and not walk.mistakes:
        walk.mistakes.append(Mistake(1, 1, "a condition is one expression, without braces", "T001"))
    return Parsed(
        tree, tuple(walk.mistakes[:MAX_MISTAKES]), tuple(walk.references), tuple(walk.weights)
    )


def _broken(mistake: Mistake) -> Parsed:
    return Parsed(None, (mistake,), (), ())


def _is_one_expression(tree: nodes.Template) -> bool:
    body = tree.body
    return (
        len(body) == 1
        and isinstance(body[0], nodes.Output)
        and len(body[0].nodes) == 1
        and not isinstance(body[0].nodes[0], nodes.TemplateData)
    )


_REFUSED: dict[type[nodes.Node], tuple[str, str]] = {
    nodes.Call: ("calls", "("),
    nodes.Mul: ("*", "*"),
    nodes.Div: ("/", "/"),
    nodes.FloorDiv: ("//", "//"),
    nodes.Mod: ("%", "%"),
    nodes.Pow: ("**", "**"),
    nodes.Concat: ("~", "~"),
    nodes.Assign: ("set", "set"),
    nodes.AssignBlock: ("set", "set"),
    nodes.Macro: ("macro", "macro"),
    nodes.CallBlock: ("call", "call"),
    nodes.FilterBlock: ("filter", "filter"),
    nodes.With: ("with", "with"),
    nodes.Block: ("block", "block"),
    nodes.Include: ("include", "include"),
    nodes.Import: ("import", "import"),
    nodes.FromImport: ("from", "from"),
    nodes.Extends: ("extends", "extends"),
    nodes.Test: ("is", "is"),
    nodes.CondExpr: ("an if inside {{ }}", "if"),
    nodes.Slice: ("a slice", ":"),
    nodes.List: ("a list written out", "["),
    nodes.Tuple: ("several values in one place", ","),
    nodes.Dict: ("a mapping written out", "{"),
}


class _Walk:
    """Visits a tree in the order of the text."""

    def __init__(self, tokens: Tokens, names: Mapping[str, Shape] | None) -> None:
        self.tokens = tokens
        self.names = names
        self.mistakes: list[Mistake] = []
        self.references: list[Reference] = []
        self.weights: list[int] = []
        self.local: dict[str, Shape] = {}
        self.guards: frozenset[str] = frozenset()
        self.depth = 0
        self.loops = 0
        self.testing = False
        self.visits: dict[type[nodes.Node], Callable[[Any], Shape]] = {
            nodes.Name: self._name,
            nodes.Getattr: self._attribute,
            nodes.Getitem: self._item,
            nodes.Filter: self._filter,
            nodes.Compare: self._compare,
            nodes.And: self._both,
            nodes.Or: self._both,
            nodes.Not: self._one,
            nodes.Neg: self._one,
            nodes.Add: self._sum,
            nodes.Sub: self._sum,
            nodes.Const: self._constant,
        }

    def text(self, tree: nodes.Template) -> None:
        self._body(tree.body)

    def _body(self, body: Iterable[nodes.Node]) -> None:
        for node in body:
            self._statement(node)

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise RecursionError
        self.weights.extend([0] * (self.loops + 1 - len(self.weights)))
        self.weights[self.loops] += 1

    def _statement(self, node: nodes.Node) -> None:
        self._enter()
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if not isinstance(child, nodes.TemplateData):
                    self.shape(child)
        elif isinstance(node, nodes.If):
            self._if(node)
        elif isinstance(node, nodes.For):
            self._for(node)
        else:
            self._refuse(node)
        self.depth -= 1

    def _if(self, node: nodes.If) -> None:
        before = self.guards
        for branch in (node, *node.elif_):
            self.guards = before | _names_in(branch.test)
            self._test(branch.test)
            self._body(branch.body)
        self.guards = before
        self._body(node.else_)

    def _test(self, node: nodes.Node) -> None:
        self.testing = True
        self.shape(node)
        self.testing = False

    def _for(self, node: nodes.For) -> None:
        if not isinstance(node.target, nodes.Name):
            self._mistake(node, "for", "a loop has one name: {% for x in list %}", "T002")
            return
        if node.recursive:
            self._mistake(node, "recursive", "recursive loops are not part of the language", "T002")
            return
        target = node.target.name
        self.tokens.find(node.lineno, target, "name")
        element = self._element(node.iter, self.shape(node.iter))
        before, guards = dict(self.local), self.guards
        self.local |= {target: element, "loop": LOOP_SHAPE}
        self.loops += 1
        if node.test is not None:
            self.guards |= _names_in(node.test)
            self._test(node.test)
        self._body(node.body)
        self.loops -= 1
        self.local, self.guards = before, guards
        self._body(node.else_)

    def _element(self, node: nodes.Node, shape: Shape) -> Shape:
        if shape.kind == "answers":
            return TEXT  # a loop over a fan-out's answers goes over its items
        if shape.kind in ("text", "number", "record"):
            what = shape.label or "this"
            self.mistakes.append(self._at(node, f"{what} is not a list", "T006"))
        return shape.of or ANY

    def shape(self, node: nodes.Node) -> Shape:
        """Visit an expression and say what it gives."""
        self._enter()
        visit = self.visits.get(type(node))
        shape = visit(node) if visit else self._refuse(node)
        self.depth -= 1
        return shape

    def _constant(self, node: nodes.Const) -> Shape:
        return NUMBER if isinstance(node.value, int | float) else TEXT

    def _name(self, node: nodes.Name, index: str = "") -> Shape:
        line, column = self.tokens.find(node.lineno, node.name, "name")
        if node.name in self.local:
            return self.local[node.name]
        guarded = node.name in self.guards
        found = Reference(node.name, index, guarded, self.testing, line, column)
        self.references.append(found)
        if self.names is None:
            return ANY
        if node.name in self.names:
            return self.names[node.name]
        if len(self.mistakes) >= MAX_MISTAKES:
            return ANY
        help = suggest(node.name, [*self.names, *self.local])
        message = f'there is no "{node.name}" here'
        self.mistakes.append(Mistake(line, column, message, "T003", help, len(node.name)))
        return ANY

    def _attribute(self, node: nodes.Getattr) -> Shape:
        base = self.shape(node.node)
        line, column = self.tokens.find(node.lineno, node.attr, "name")
        return self._field(base, node.attr, line, column)

    def _field(self, base: Shape, name: str, line: int, column: int) -> Shape:
        if base.kind == "any":
            return ANY
        if name in base.fields:
            return base.fields[name]
        label = base.label or "this"
        if base.kind == "record":
            message, help = f'{label} has no field "{name}"', suggest(name, base.fields)
        elif base.kind == "answers":
            message = f"{label} has one answer for each item"
            help = f"for this one only: [item].{name}"
        else:
            message, help = f"{label} is {_a(base.kind)}: it has no fields", ""
        self.mistakes.append(Mistake(line, column, message, "T004", help, len(name)))
        return ANY

    def _item(self, node: nodes.Getitem) -> Shape:
        inner = node.arg
        index = inner.name if isinstance(inner, nodes.Name) else ""
        if isinstance(node.node, nodes.Name):
            self._enter()
            base = self._name(node.node, index)
            self.depth -= 1
        else:
            base = self.shape(node.node)
        self.shape(inner)
        if base.kind == "record" and isinstance(inner, nodes.Const):
            return self._field(base, str(inner.value), node.lineno, 1)
        if base.kind in ("text", "number"):
            what = base.label or "this"
            message = f"{what} is {_a(base.kind)}: it has no entries"
            self.mistakes.append(self._at(node.node, message, "T006"))
        return base.of or ANY

    def _filter(self, node: nodes.Filter) -> Shape:
        if node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            return self._refuse(node)
        base = self._filtered(node)
        line, column = self.tokens.find(node.lineno, node.name, "name")
        width = len(node.name)
        if node.name not in FILTERS:
            help = suggest(node.name, FILTERS) or f"there are: {', '.join(FILTERS)}"
            message = f'there is no filter "{node.name}"'
            self.mistakes.append(Mistake(line, column, message, "T005", help, width))
            return ANY
        if len(node.args) > FILTERS[node.name]:
            message = f'the filter "{node.name}" takes {FILTERS[node.name] or "no"} value'
            self.mistakes.append(Mistake(line, column, message, "T005", width=width))
        for value in node.args:
            self.shape(value)
        if node.name in ("join", "bullets", "numbered", "first", "last") and base.kind in (
            "text",
            "number",
        ):
            message = f'"{node.name}" needs a list'
            self.mistakes.append(Mistake(line, column, message, "T006", width=width))
        return _after_filter(node, base)

    def _filtered(self, node: nodes.Filter) -> Shape:
        """Visit what a filter is put on: a name with `default` is one that may be missing."""
        assert node.node is not None
        before = self.guards
        if node.name == "default":
            self.guards |= _names_in(node.node)
        base = self.shape(node.node)
        self.guards = before
        return base

    def _compare(self, node: nodes.Compare) -> Shape:
        self.shape(node.expr)
        for operand in node.ops:
            self.shape(operand.expr)
        return NUMBER

    def _both(self, node: nodes.BinExpr) -> Shape:
        # `x and x.y`: what stands left guards what stands right.
        before = self.guards
        left = self.shape(node.left)
        if isinstance(node, nodes.And):
            self.guards |= _names_in(node.left)
        right = self.shape(node.right)
        self.guards = before
        return left if left.kind == right.kind else ANY

    def _one(self, node: nodes.UnaryExpr) -> Shape:
        self.shape(node.node)
        return NUMBER

    def _sum(self, node: nodes.BinExpr) -> Shape:
        for side in (node.left, node.right):
            if self.shape(side).kind not in ("number", "any"):
                message = f"{node.operator} is for numbers; texts are put side by side"
                self.mistakes.append(self._at(side, message, "T006"))
        return NUMBER

    def _refuse(self, node: nodes.Node) -> Shape:
        what, word = _REFUSED.get(type(node), (type(node).__name__.lower(), ""))
        plural = "are" if what == "calls" else "is"
        self._mistake(node, word, f"{what} {plural} not part of the language", "T002")
        return ANY

    def _mistake(self, node: nodes.Node, word: str, message: str, code: str) -> None:
        line, column = self.tokens.find(node.lineno, word)
        self.mistakes.append(Mistake(line, column, message, code, width=max(1, len(word))))

    def _at(self, node: nodes.Node, message: str, code: str) -> Mistake:
        """A mistake at the name that an expression begins with."""
        name = next(node.find_all(nodes.Name), node)
        word = name.name if isinstance(name, nodes.Name) else ""
        hits = [t for t in self.tokens.tokens if t.used and t.value == word]
        line, column = (hits[-1].line, hits[-1].column) if hits else (node.lineno, 1)
        return Mistake(line, column, message, code, width=max(1, len(word)))


def _names_in(node: nodes.Node) -> frozenset[str]:
    """The names whose being there an expression asks for; `not x` asks for the opposite."""
    if isinstance(node, nodes.Not):
        return frozenset()
    found = {node.name} if isinstance(node, nodes.Name) else set()
    return frozenset(found).union(*(_names_in(child) for child in node.iter_child_nodes()))


def _a(kind: str) -> str:
    return {"text": "text", "number": "a number"}.get(kind, f"a {kind}")


def _after_filter(node: nodes.Filter, base: Shape) -> Shape:
    if node.name in ("first", "last"):
        return base.of or ANY
    if node.name == "default":
        return base
    if node.name == "length" or (node.name == "words" and not node.args):
        return NUMBER
    return TEXT
