"""Walks the tree of one text against the list of what may stand in it (`syntax.py`).

Sees which names the text uses, what kind of value stands behind each, and everything that is not
allowed, with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import nodes

from crp.language.shapes import (
    ANY,
    FILTERS,
    LOOP_SHAPE,
    NUMBER,
    TEXT,
    Reference,
    Shape,
    filtered,
    suggest,
)
from crp.language.tokens import Mistake, Tokens

MAX_MISTAKES = 20
"""Of one text; the others wait until these are mended."""
MAX_DEPTH = 40
"""Levels of the tree of one text."""

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
    nodes.Test: ('"is"', "is"),
    nodes.CondExpr: ("an if inside {{ }}", "if"),
    nodes.Slice: ("a slice", ":"),
    nodes.List: ("a list written out", "["),
    nodes.Tuple: ("several values in one place", ","),
    nodes.Dict: ("a mapping written out", "{"),
}


class Walk:
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
            if isinstance(node, nodes.Assign):  # its name is not one more mistake
                self.local |= {n.name: ANY for n in node.find_all(nodes.Name) if n.ctx == "store"}
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
            what = shape.label or (f'"{node.name}"' if isinstance(node, nodes.Name) else "this")
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
        message = f'there is no "{node.name[:60]}" here'
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
            message, help = f'{label} has no field "{name[:60]}"', suggest(name, base.fields)
        elif base.kind == "answers":
            message = f"{label} has one answer for each item"
            step = label.split('"')[1] if '"' in label else ""
            help = f"for this one only: {step}[item].{name}"
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
            message = f'there is no filter "{node.name[:60]}"'
            self.mistakes.append(Mistake(line, column, message, "T005", help, width))
            return ANY
        if len(node.args) > FILTERS[node.name]:
            message = f'the filter "{node.name}" takes {FILTERS[node.name] or "no"} value'
            self.mistakes.append(Mistake(line, column, message, "T005", width=width))
        for value in node.args:
            self.shape(value)
        if filtered(node.name, len(node.args), base) is None:
            message = f'"{node.name}" needs a list'
            self.mistakes.append(Mistake(line, column, message, "T006", width=width))
        return filtered(node.name, len(node.args), base) or ANY

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
