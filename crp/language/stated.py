"""Checks that a template states itself: a condition, the agreement with a step, a judge's word.

Each takes an answer and the check's value; None leaves the check out, because what it would look
at is not there. Pure and linear.
"""

from __future__ import annotations

from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language import text
from crp.language.scope import MOST_CHARS, Answer, Finding
from crp.language.show import show
from crp.language.vote import said
from crp.language.words import content, numbers, shorten, stems

KINDS = ("expr", "judge")
"""Checks that look at values, so that an answer needs no words for them."""
SHORT = 6
"""Words; an answer of no more is a name or a value: it agrees or it does not."""


# -- conditions ---------------------------------------------------------------------------------


def expr(answer: Answer, value: JsonValue) -> Finding | None:
    """Whether a condition holds over the fields of the answer and all other names."""
    condition, names = str(value), _names(answer)
    own = _own(answer)
    uses = text.references(condition, condition=True)
    absent = {use.name for use in uses if names.get(use.name) is None}
    if absent - {*own, *(use.name for use in uses if use.guarded)}:
        return None
    hint = f"This must hold: {condition}"
    try:
        held = text.holds(condition, names)
    except TemplateError as error:
        message = shorten(error.problems[0].message, 120)
        return None if absent else Finding(0.0, message, hint)
    return Finding(1.0) if held else Finding(0.0, "it does not hold", hint)


def holds(condition: str, answer: Answer) -> bool:
    """Whether the `when` of a check holds; one that can not be decided does not."""
    try:
        return text.holds(condition, _names(answer))
    except TemplateError:
        return False


def _names(answer: Answer) -> dict[str, JsonValue]:
    return {**answer.scope.known, **_own(answer)}


def _own(answer: Answer) -> dict[str, JsonValue]:
    """The answer, also under the id of its step, and its fields."""
    value = answer.text if answer.value is None else answer.value
    names = {"answer": value} | ({answer.scope.step: value} if answer.scope.step else {})
    return {**names, **(value if isinstance(value, dict) else {})}


# -- judges -------------------------------------------------------------------------------------


def judge(answer: Answer, value: JsonValue) -> Finding | None:
    """What a judge said to this question; nothing when none was asked."""
    score = answer.scope.judged.get(str(value))
    if score is None:
        return None
    detail = "the judge says yes" if score >= 1 else "the judge says no"
    return Finding(score, detail, f"The answer to this must be yes: {value}")


# -- agreement ----------------------------------------------------------------------------------


def agrees_with(answer: Answer, value: JsonValue) -> Finding | None:
    """Share of what another step says that this answer says too.

    Short values and fields are the same or not; of longer texts the numbers must be the same, and
    the content words are compared.
    """
    other = answer.scope.value(str(value))
    item = answer.scope.names.get("item")
    if isinstance(other, dict) and isinstance(item, str):
        key = getattr(item, "key", item)
        other = other.get(key, other)
    if other is None or not show(other).strip():
        return None
    mine = answer.text if answer.value is None else answer.value
    score = _agreement(mine, other)
    hint = f"Another look at this said: {shorten(show(other), 120)}. Check your answer."
    return Finding(score, f"{value} says {shorten(show(other), 60)!r}", hint)


def _main(value: JsonValue) -> JsonValue:
    """Give what a record says where it is compared with a plain answer: its field `answer`, else
    the first."""
    if isinstance(value, dict) and value:
        return value.get("answer", next(iter(value.values())))
    return value


def _agreement(mine: JsonValue, other: JsonValue) -> float:
    if isinstance(mine, dict) and isinstance(other, dict):
        shared = [key for key in other if key in mine] or list(other)
        return sum(_agreement(mine.get(key), other[key]) for key in shared) / max(1, len(shared))
    mine, other = _main(mine), _main(other)
    if isinstance(mine, list) and isinstance(other, list):
        own, others = set(map(said, mine)), set(map(said, other))
        return len(own & others) / max(1, len(own | others))
    if said(mine) == said(other):
        return 1.0
    first, second = show(mine)[:MOST_CHARS], show(other)[:MOST_CHARS]
    if min(len(first.split()), len(second.split())) <= SHORT:
        # `44` and `He was 44.`: the shorter one stands in the longer one.
        short, long = sorted((said(mine), said(other)), key=len)
        is_value = isinstance(mine, str) and isinstance(other, str) and short
        return 1.0 if is_value and f" {short} " in f" {long} " else 0.0
    if set(numbers(first)) != set(numbers(second)):
        return 0.0
    own, others = set(content(stems(first))), set(content(stems(second)))
    return 2 * len(own & others) / max(1, len(own) + len(others))
