"""What may stand in a prompt text or a condition: the tree is walked against a short list.

Allowed are names, attributes and items of the engine's own data, `for`, `if`, comparisons, `+ -`,
`and or not in`, and the filters below. Anything else is refused with line and column. The same
walk says which names a text refers to, and whether it can do without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError, nodes

from crp.language.cache import kept
from crp.language.quick import quick
from crp.language.shapes import FILTERS, Reference, Shape
from crp.language.tokens import PARSER, Mistake, Tokens
from crp.language.walk import MAX_MISTAKES, Walk

__all__ = [
    "FILTERS",
    "MAX_TEXT",
    "Parsed",
    "Reference",
    "check",
    "parse",
    "prints",
    "references",
    "walked",
    "wrapped",
]

MAX_TEXT = 20_000
"""Characters of one text in a template."""
MAX_CONDITION = 1_000


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text that was walked: what is wrong with it, or what it is made of."""

    tree: nodes.Template | None
    mistakes: tuple[Mistake, ...]
    references: tuple[Reference, ...]
    weights: tuple[int, ...]
    """Nodes of the tree by how many loops they stand in."""


@kept
def parse(text: str, condition: bool = False) -> Parsed:
    """Parse a text without knowing its names."""
    return _parsed(text, None, condition)


def check(
    text: str, names: Mapping[str, Shape] | None = None, *, condition: bool = False
) -> list[Mistake]:
    """Find what is wrong with a text; without `names`, any name is taken."""
    return list(_parsed(text, names, condition).mistakes)


def references(text: str, *, condition: bool = False) -> tuple[Reference, ...]:
    """List every use of a name, in the order of the text; empty when it can not be parsed."""
    return parse(text, condition).references


def prints(text: str, name: str) -> bool:
    """Say whether a text puts a value in, and does not only ask whether it is there."""
    return any(r.name == name and not r.tested for r in references(text))


def wrapped(condition: str) -> str:
    """A condition as a text, so that both are read by the same parser."""
    return "{{ " + condition + " }}"


def walked(text: str, names: Mapping[str, Shape], condition: bool) -> Parsed:
    """Find what is wrong with a text and what it uses; a text that is easy to read has no tree."""
    if len(text) < MAX_TEXT and (found := quick(text, names, condition)) is not None:
        return Parsed(None, (), found, ())
    return _parsed(text, names, condition)


def _parsed(text: str, names: Mapping[str, Shape] | None, condition: bool) -> Parsed:
    if condition and len(text) > MAX_CONDITION:
        message = f"a condition of more than {MAX_CONDITION:,} characters"
        return _broken(Mistake(1, 1, message, "T007"))
    source, shift = (wrapped(text), 3) if condition else (text, 0)
    if condition and (braces := _BRACES.search(text)):
        place = (text.count("\n", 0, braces.start()) + 1, braces.start() + 1)
        return _broken(Mistake(*place, _ONE_EXPRESSION, "T001", width=2))
    if len(source) > MAX_TEXT:
        return _broken(Mistake(1, 1, f"a text of more than {MAX_TEXT:,} characters", "T007"))
    tokens = Tokens(source, shift)
    try:
        tree = PARSER.parse(source)
        walk = Walk(tokens, names)
        walk.text(tree)
    except TemplateSyntaxError as error:
        return _broken(tokens.syntax_error(error))
    except (RecursionError, ValueError, OverflowError, MemoryError):
        return _broken(Mistake(1, 1, "this text is nested too deeply", "T007"))
    if condition and not _is_one_expression(tree) and not walk.mistakes:
        walk.mistakes.append(Mistake(1, 1, _ONE_EXPRESSION, "T001"))
    return Parsed(
        tree, tuple(walk.mistakes[:MAX_MISTAKES]), tuple(walk.references), tuple(walk.weights)
    )


_BRACES = re.compile(r"\{[{%]|[%}]\}")
_ONE_EXPRESSION = "a condition is one expression, without braces"


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
