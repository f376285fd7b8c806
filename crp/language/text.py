"""Prompt texts and conditions: Jinja's syntax, a short allow-list, no code.

`syntax.py` walks a text against the list of what is allowed, when a file is loaded and again
before anything is rendered. With that list in front, jinja2's ImmutableSandboxedEnvironment is a
safe renderer: nothing can be called, only numbers can be added, attributes are keys of the
engine's own data.

Values put into a text are data: they are never parsed. How they read: a list of short entries as
`React, Vue and Angular`, of long ones as bullets; a mapping as `name: value` lines, or with
headings when its values are longer (the answers of a fan-out); rows as a table; `yes` and `no`.

Work is bounded: by the size of what is rendered, and by the steps that loops can take.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NoReturn

import jinja2
from jinja2 import pass_context
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language.shapes import LOOP, Shape
from crp.language.show import show
from crp.language.syntax import MAX_TEXT, Reference, check, parse, prints, references
from crp.language.tokens import Mistake, options
from crp.models import Problem

__all__ = [
    "MAX_RENDERED",
    "MAX_TEXT",
    "Mistake",
    "Reference",
    "Shape",
    "check",
    "holds",
    "prints",
    "readable",
    "references",
    "render",
]

MAX_RENDERED = 4_000_000
"""Characters of one rendered text, and of everything that its filters make."""
MAX_WORK = 200_000
"""Parts of the text that one rendering may go through, loops counted by their length."""

SHORT_ENTRY = 60
"""A list reads as `A, B and C` when no entry is longer, otherwise as bullets."""


def render(text: str, names: Mapping[str, JsonValue]) -> str:
    """Put values into a text.

    Raises TemplateError when a name is missing that the text does not guard with `if` or
    `default`, and when the result would be too large.
    """
    compiled, weights = _compiled(text)
    return _run(compiled, weights, names).strip()


def holds(condition: str, names: Mapping[str, JsonValue]) -> bool:
    """Say whether a condition is true; a name that is missing counts as false."""
    if mistakes := parse(condition, condition=True).mistakes:
        _fail(mistakes[0].message)
    compiled, weights = _compiled("{% if " + condition + " %}1{% endif %}")
    return _run(compiled, weights, names) == "1"


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


# -- rendering --------------------------------------------------------------------------------


class _Missing(Undefined):
    """A value that is not there: false in an `if`, an error when it is printed or gone through."""

    __slots__ = ()
    __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error

    def __contains__(self, other: object) -> bool:
        return False

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f'there is no "{self._undefined_name}"'


class _Environment(ImmutableSandboxedEnvironment):
    """Looks up keys of data and nothing else: `x.items` is the key `items`, never a method."""

    intercepted_binops = frozenset({"+", "-"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(f'there is no "{argument}" in it')

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise jinja2.TemplateRuntimeError(f"{operator} is for numbers")
        return left + right if operator == "+" else left - right

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise jinja2.TemplateRuntimeError("calls are not part of the language")


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Undefined) else readable(value)


class _Budget:
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


def _join(budget: _Budget, value: Any, separator: Any = ", ") -> str:
    entries, between = _entries(value), readable(separator)
    budget.spend(len(between) * len(entries))
    return between.join(entries)


def _words(value: Any, count: Any = None) -> str | int:
    words = _shown(value).split()
    return len(words) if count is None else " ".join(words[: int(count)])


def _end(value: Any, which: int) -> Any:
    values = list(value) if isinstance(value, list | Mapping) else []
    return values[which] if values else _Missing("this needs a list with entries")


_PLAIN: dict[str, Callable[..., Any]] = {
    "length": len,
    "default": lambda value, other="": value if value or value == 0 else other,
    "upper": lambda value: _shown(value).upper(),
    "lower": lambda value: _shown(value).lower(),
    "trim": lambda value: _shown(value).strip(),
    "first": partial(_end, which=0),
    "last": partial(_end, which=-1),
    "bullets": _bullets,
    "numbered": _numbered,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "words": _words,
    "quote": lambda value: '"' + _shown(value).replace('"', "'") + '"',
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
        finalize=_shown,
        cache_size=0,
        **options(),
    )
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update({name: _charged(f) for name, f in _PLAIN.items()})
    environment.filters["join"] = _join_filter
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=2048)
def _compiled(text: str) -> tuple[jinja2.Template, tuple[int, ...]]:
    parsed = parse(text)
    if parsed.mistakes:
        _fail(parsed.mistakes[0].message)
    return _ENVIRONMENT.from_string(text), parsed.weights


def _run(
    compiled: jinja2.Template, weights: tuple[int, ...], names: Mapping[str, JsonValue]
) -> str:
    longest = _longest(names)
    if sum(count * longest**depth for depth, count in enumerate(weights)) > MAX_WORK:
        _fail(f"its loops would go through more than {MAX_WORK:,} parts")
    parts: list[str] = []
    size = 0
    try:
        for part in compiled.generate({**names, "_budget": _Budget()}):
            parts.append(part)
            size += len(part)
            if size > MAX_RENDERED:
                _fail(f"it would have more than {MAX_RENDERED:,} characters")
    except (jinja2.TemplateError, TypeError, ValueError, OverflowError, RecursionError) as error:
        _fail(str(error))
    return "".join(parts)


def _longest(value: Any) -> int:
    """Length of the longest list or mapping that a loop could go over."""
    if isinstance(value, Mapping):
        return max([len(value), *(_longest(v) for v in value.values())])
    if isinstance(value, list):
        return max([len(value), *(_longest(v) for v in value)])
    return 1


def _fail(message: str) -> NoReturn:
    what = f"a text of the template can not be filled in: {message}"
    raise TemplateError([Problem(file="template", line=1, column=1, message=what, code="T010")])
