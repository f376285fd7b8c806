"""What a text can do while it is rendered: look up data, compare, add, and the filters.

`syntax.py` has checked it against the list of what is allowed; with that list in front, jinja2's
ImmutableSandboxedEnvironment is a safe renderer. What filters make is bounded in size. Pure.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jinja2
from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import JsonValue

from crp.language import scalars
from crp.language.details import missing, numbers_in
from crp.language.shapes import LOOP
from crp.language.show import show
from crp.language.tokens import options
from crp.language.values import value_of

MAX_RENDERED = 4_000_000
"""Characters of one rendered text, and of everything that its filters make."""
SHORT_ENTRY = 60
"""A list reads as `A, B and C` when no entry is longer, otherwise as bullets."""


class Entry(str):
    """An entry of a list as it reads here; its answers are still found under what it was."""

    __slots__ = ("key",)
    key: str

    def __new__(cls, text: str, key: str) -> Entry:
        entry = super().__new__(cls, text)
        entry.key = key
        return entry


def readable(value: JsonValue) -> str:
    """Write a value as a person would: short lists in one line, all else as `show` does."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or any(isinstance(v, list | dict) for v in value):
        return show(value)
    entries = [show(v) for v in value]
    if any(len(e) > SHORT_ENTRY or "\n" in e or e.endswith(".") for e in entries):
        return show(value)
    return " and ".join(part for part in (", ".join(entries[:-1]), *entries[-1:]) if part)


class _Missing(Undefined):
    """A value that is not there: false in an `if`, an error when it is printed or gone through."""

    __slots__ = ()
    __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error

    def __contains__(self, other: object) -> bool:
        return False

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f'there is no "{self._undefined_name}"'


class _Generator(CodeGenerator):
    """Hands comparisons to the environment: Python's own stop at a text beside a number."""

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(")
        left = node.expr
        for position, operand in enumerate(node.ops):
            self.write(f"{' and ' if position else ''}environment.compare(")
            self.visit(left, frame)
            self.write(f", {operand.op!r}, ")
            self.visit(operand.expr, frame)
            self.write(")")
            left = operand.expr
        self.write(")")


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}


class _Environment(ImmutableSandboxedEnvironment):
    """Looks up keys of data and nothing else: `x.items` is the key `items`, never a method."""

    intercepted_binops = frozenset({"+", "-"})
    code_generator_class = _Generator

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if obj is None or isinstance(obj, Undefined):
            return obj  # what a step that failed would have given is empty, and so is all of it
        if isinstance(argument, Undefined):
            return argument
        if isinstance(argument, Entry) and isinstance(obj, Mapping) and argument.key in obj:
            return obj[argument.key]
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(f'there is no "{argument}" in it')

    def compare(self, left: Any, order: str, right: Any) -> bool:
        if order in ("in", "notin"):
            found = right is not None and not isinstance(right, int | float) and left in right
            return bool(found) is (order == "in")
        if isinstance(left, bool) is not isinstance(right, bool):
            left, right = _yes_no(left), _yes_no(right)
        if order in ("eq", "ne"):
            return bool(left == right) is (order == "eq")
        numbers = (as_number(left), as_number(right))
        if isinstance(left, int | float) or isinstance(right, int | float) or None not in numbers:
            left, right = numbers
        if isinstance(left, Undefined) or isinstance(right, Undefined) or None in (left, right):
            return False
        return _ORDERS[order](left, right)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise jinja2.TemplateRuntimeError(f"{operator} is for numbers")
        return left + right if operator == "+" else left - right

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise jinja2.TemplateRuntimeError("calls are not part of the language")


_BEGINS = re.compile(r"[-−+]?\s?[$€£]?\d")


def as_number(value: Any) -> float | None:
    """Read a value as a number: `900 euros` is 900, `about 900` is none; None when it has none."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _BEGINS.match(value):
        return scalars.number(value[:200])
    return None


def _yes_no(value: Any) -> Any:
    return show(value) if isinstance(value, bool) else value


def shown(value: Any) -> str:
    return str(value) if isinstance(value, Undefined) else readable(value)


class Budget:
    """How many characters filters may still make."""

    def __init__(self) -> None:
        self.left = MAX_RENDERED

    def spend(self, size: int) -> None:
        self.left -= size + 1
        if self.left < 0:
            raise jinja2.TemplateRuntimeError(f"more than {MAX_RENDERED:,} characters")


def _entries(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, list | Mapping):
        raise jinja2.TemplateRuntimeError("this needs a list")
    return [readable(v) for v in (value.values() if isinstance(value, Mapping) else value)]


def _bullets(value: Any) -> str:
    return "\n".join(f"- {entry}" for entry in _entries(value))


def _numbered(value: Any) -> str:
    return "\n".join(f"{i}. {entry}" for i, entry in enumerate(_entries(value), 1))


def _join(budget: Budget, value: Any, separator: Any = ", ") -> str:
    entries, between = _entries(value), readable(separator)
    budget.spend(len(between) * len(entries))
    return between.join(entries)


def _words(value: Any, count: Any = None) -> str | int:
    words = shown(value).split()
    return len(words) if count is None else " ".join(words[: int(count)])


def _end(value: Any, which: int) -> Any:
    values = list(value) if isinstance(value, list | Mapping) else []
    return values[which] if values else _Missing("this needs a list with entries")


_PLAIN: dict[str, Callable[..., Any]] = {
    "length": len,
    "default": lambda value, other="": value if value or value == 0 else other,
    "upper": lambda value: shown(value).upper(),
    "lower": lambda value: shown(value).lower(),
    "trim": lambda value: shown(value).strip(),
    "first": partial(_end, which=0),
    "last": partial(_end, which=-1),
    "bullets": _bullets,
    "numbered": _numbered,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "words": _words,
    "quote": lambda value: '"' + shown(value).replace('"', "'") + '"',
    "numbers": lambda value: numbers_in(shown(value)),
    "value": lambda text, field="": value_of(shown(text), shown(field)),
    "missing": lambda value, other="": missing(shown(value), shown(other)),
}


def _charged(filter: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for the size of what it makes."""

    @pass_context
    def run(context: Context, *args: Any) -> Any:
        result = filter(*args)
        context["_budget"].spend(len(result) if isinstance(result, str) else 0)
        return result

    return run


@pass_context
def _join_filter(context: Context, *args: Any) -> str:
    result = _join(context["_budget"], *args)
    context["_budget"].spend(len(result))
    return result


def _environment() -> _Environment:
    environment = _Environment(
        undefined=_Missing,
        finalize=shown,
        cache_size=0,
        **options(),
    )
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update({name: _charged(f) for name, f in _PLAIN.items()})
    environment.filters["join"] = _join_filter
    return environment


ENVIRONMENT = _environment()
