"""Prompt texts and conditions: Jinja's syntax, a short allow-list, no code.

`syntax.py` walks a text against the list of what is allowed, when a file is loaded and again
before anything is rendered; `sandbox.py` renders it: nothing can be called, only numbers can be
added, attributes are keys of the engine's own data.

Values put into a text are data: they are never parsed. How they read: a list of short entries as
`React, Vue and Angular`, of long ones as bullets; a mapping as `name: value` lines, or with
headings when its values are longer (the answers of a fan-out); rows as a table; `yes` and `no`.

A comparison with a number reads the number of a text: `"900 euros" < 1000`. What is missing is
neither less nor more than anything.

Work is bounded: by the size of what is rendered, and by the steps that loops can take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import jinja2
from jinja2.environment import TemplateExpression
from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language.cache import kept
from crp.language.sandbox import ENVIRONMENT, MAX_RENDERED, Budget, Entry, readable
from crp.language.shapes import Shape
from crp.language.syntax import MAX_TEXT, Reference, check, parse, prints, references
from crp.language.tokens import Mistake
from crp.models import Problem

__all__ = [
    "MAX_RENDERED",
    "MAX_TEXT",
    "Entry",
    "Mistake",
    "Reference",
    "Shape",
    "check",
    "holds",
    "prints",
    "readable",
    "references",
    "render",
    "value",
]

MAX_WORK = 200_000
"""Parts of the text that one rendering may go through, loops counted by their length."""


def render(text: str, names: Mapping[str, JsonValue]) -> str:
    """Put values into a text.

    Raises TemplateError when a name is missing that the text does not guard with `if` or
    `default`, and when the result would be too large.
    """
    compiled, weights = _compiled(text)
    return _run(compiled, weights, names).strip()


def holds(condition: str, names: Mapping[str, JsonValue]) -> bool:
    """Say whether a condition is true; a name that is missing counts as false."""
    return bool(value(condition, names))


def value(expression: str, names: Mapping[str, JsonValue]) -> JsonValue:
    """Give what an expression stands for; None when it names what is not there.

    Raises TemplateError like `render`.
    """
    with _told():
        found = _expression(expression)({**names, "_budget": Budget()})
    return _data(found)


# -- rendering --------------------------------------------------------------------------------


def _data(value: Any) -> JsonValue:
    """Give what is left of an expression's value as data: nothing of jinja's own."""
    if isinstance(value, str | int | float | list | dict):
        return value
    return None


@kept
def _compiled(text: str) -> tuple[jinja2.Template, tuple[int, ...]]:
    parsed = parse(text)
    if parsed.mistakes:
        _fail(parsed.mistakes[0].message)
    return ENVIRONMENT.from_string(text), parsed.weights


@kept
def _expression(text: str) -> TemplateExpression:
    if mistakes := parse(text, condition=True).mistakes:
        _fail(mistakes[0].message)
    return ENVIRONMENT.compile_expression(text)


def _run(
    compiled: jinja2.Template, weights: tuple[int, ...], names: Mapping[str, JsonValue]
) -> str:
    longest = _longest(names) if len(weights) > 1 else 1
    if sum(count * longest**depth for depth, count in enumerate(weights)) > MAX_WORK:
        _fail(f"its loops would go through more than {MAX_WORK:,} parts")
    parts: list[str] = []
    size = 0
    with _told():
        for part in compiled.generate({**names, "_budget": Budget()}):
            parts.append(part)
            size += len(part)
            if size > MAX_RENDERED:
                _fail(f"it would have more than {MAX_RENDERED:,} characters")
    return "".join(parts)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (jinja2.TemplateError, TypeError, ValueError, OverflowError, RecursionError) as error:
        _fail(str(error))


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
