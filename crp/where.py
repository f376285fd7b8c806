"""What `crp jobs list --where` takes: a condition on jobs, for Temporal and for the trace store.

    template = 'comparison' and (quality < 0.8 or status in (failed, cancelled))

`parse` gives a tree; `for_temporal` and `for_store` write it down as a list filter and as SQL. Only
names of `crp.attributes` and values that were read as such get into either. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from crp.attributes import ATTRIBUTES, Attribute
from crp.errors import UsageError
from crp.language.shapes import suggest

Value = str | int | float
TOKENS = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<sign><=|>=|!=|<>|[=<>(),])"
    r"|(?P<word>[^\s<>=!(),'\"]+))"
)
SIGNS = ("=", "!=", "<", "<=", ">", ">=")
EXAMPLE = "a condition such as \"template = 'comparison' and quality < 0.8\""

MOST_BRACKETS = 50

EXECUTION = {
    "running": "Running",
    "failed": "Failed",
    "cancelled": "Canceled",
    "terminated": "Terminated",
    "timed_out": "TimedOut",
}
"""States that every Temporal knows by itself."""


@dataclass(frozen=True)
class Comparison:
    attribute: Attribute
    sign: str
    """One of SIGNS, `in` or `starts with`."""
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Joined:
    word: Literal["and", "or"]
    parts: tuple[Condition, ...]


Condition = Comparison | Joined


def parse(text: str) -> Condition:
    """Read a condition. Raises UsageError with one line that says what is wrong, and where."""
    reader = _Reader(text)
    found = _either(reader)
    if reader.peek():
        raise reader.error(f"'and' or 'or' was expected before {reader.peek()!r}")
    return found


def equal(name: str, value: str) -> Condition:
    """Give the condition that something is exactly this."""
    attribute = ATTRIBUTES[name]
    return Comparison(attribute, "=", (value,))


def all_of(*conditions: Condition | None) -> Condition | None:
    """Join conditions; None when there are none."""
    given = tuple(c for c in conditions if c is not None)
    if len(given) < 2:
        return given[0] if given else None
    return Joined("and", given)


def needs(condition: Condition) -> bool:
    """Whether Temporal has to know our search attributes to answer this."""
    if isinstance(condition, Joined):
        return any(map(needs, condition.parts))
    return condition.attribute.ours and not _by_execution(condition)


def stored(condition: Condition) -> bool:
    """Whether the trace store has a column for everything that is asked."""
    if isinstance(condition, Joined):
        return all(map(stored, condition.parts))
    return bool(condition.attribute.store)


def for_temporal(condition: Condition) -> str:
    """Write a condition as Temporal's list filter."""

    def compared(c: Comparison) -> str:
        if _by_execution(c):
            states = tuple(EXECUTION[str(v)] for v in c.values)
            return _written("ExecutionStatus", c.sign, states, _escaped)
        if c.sign == "starts with":
            return f"{c.attribute.temporal} STARTS_WITH {_escaped(c.values[0])}"
        return _written(c.attribute.temporal, c.sign, c.values, _escaped)

    return _tree(condition, compared)


def for_store(condition: Condition) -> str:
    """Write a condition as SQL over the store's table `jobs`."""

    def compared(c: Comparison) -> str:
        if c.sign == "starts with":
            return f"starts_with({c.attribute.store}, {_quoted(c.values[0])})"
        return _written(c.attribute.store, c.sign, c.values, _quoted)

    return _tree(condition, compared)


def _tree(condition: Condition, compared: Callable[[Comparison], str]) -> str:
    if isinstance(condition, Comparison):
        return compared(condition)
    parts = [_tree(part, compared) for part in condition.parts]
    return f"({f' {condition.word.upper()} '.join(parts)})"


def _written(
    name: str, sign: str, values: tuple[Value, ...], literal: Callable[[Value], str]
) -> str:
    if sign == "in":
        return f"{name} IN ({', '.join(map(literal, values))})"
    return f"{name} {sign} {literal(values[0])}"


def _quoted(value: Value) -> str:
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return repr(value)


def _escaped(value: Value) -> str:
    return _quoted(value.replace("\\", "\\\\") if isinstance(value, str) else value)


def _by_execution(c: Comparison) -> bool:
    return c.attribute.name == "status" and all(v in EXECUTION for v in c.values)


# -- reading --------------------------------------------------------------------------------------


class _Reader:
    """The words of a condition, one after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.words: list[str] = []
        if text.count("(") > MOST_BRACKETS:
            raise self.error("that is deeper than anybody reads")
        end = 0
        while end < len(text.rstrip()):
            found = TOKENS.match(text, end)
            if not found:
                raise self.error(f"{text[end:].strip()[:20]!r} can not be read: give {EXAMPLE}")
            self.words.append(found[0].strip())
            end = found.end()

    def peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def takes(self, *words: str) -> bool:
        """Take the next words if they are these."""
        there = [w.lower() for w in self.words[self.at : self.at + len(words)]]
        if there != list(words):
            return False
        self.at += len(words)
        return True

    def error(self, what: str) -> UsageError:
        return UsageError(f"--where: {what}")


def _either(reader: _Reader) -> Condition:
    parts = [_both(reader)]
    while reader.takes("or"):
        parts.append(_both(reader))
    return parts[0] if len(parts) == 1 else Joined("or", tuple(parts))


def _both(reader: _Reader) -> Condition:
    parts = [_one(reader)]
    while reader.takes("and"):
        parts.append(_one(reader))
    return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))


def _one(reader: _Reader) -> Condition:
    if reader.takes("("):
        inner = _either(reader)
        if not reader.takes(")"):
            raise reader.error("a ')' is missing")
        return inner
    attribute = _attribute(reader)
    if reader.takes("in"):
        return Comparison(attribute, "in", _listed(reader, attribute))
    if reader.takes("starts", "with"):
        if attribute.kind != "Keyword":
            raise reader.error(f"{attribute.name} is no text: compare it with one of {_signs()}")
        return Comparison(attribute, "starts with", (_value(reader, attribute),))
    sign = {"<>": "!="}.get(word := reader.take(), word)
    if sign not in SIGNS:
        found = f", not {word[:40]!r}" if word else ""
        raise reader.error(f"after {attribute.name} comes one of {_signs()}{found}")
    if attribute.kind == "Keyword" and sign not in ("=", "!="):
        raise reader.error(f"{attribute.name} is a text: use =, !=, in or starts with")
    return Comparison(attribute, sign, (_value(reader, attribute),))


def _attribute(reader: _Reader) -> Attribute:
    word = reader.take()
    if not word:
        raise reader.error(f"it ends too early: give {EXAMPLE}")
    if word.lower() not in ATTRIBUTES:
        hint = suggest(word.lower(), ATTRIBUTES) or f"there are {', '.join(ATTRIBUTES)}"
        raise reader.error(f"jobs can not be listed by {word[:40]!r}: {hint}")
    return ATTRIBUTES[word.lower()]


def _listed(reader: _Reader, attribute: Attribute) -> tuple[Value, ...]:
    if not reader.takes("("):
        raise reader.error("after 'in' comes a list: (a, b)")
    values = [_value(reader, attribute)]
    while reader.takes(","):
        values.append(_value(reader, attribute))
    if not reader.takes(")"):
        raise reader.error("a ')' is missing")
    return tuple(values)


def _value(reader: _Reader, attribute: Attribute) -> Value:
    word = reader.take()
    if not word or word in SIGNS or word in ("(", ")", ","):
        raise reader.error(f"a value for {attribute.name} is missing")
    text = word
    if word[0] in "'\"":
        text = word[1:-1].replace(word[0] * 2, word[0])
    try:
        return _read(text, attribute)
    except ValueError:
        what = {"Datetime": "a time such as 2026-11-23T15:00"}.get(attribute.kind, "a number")
        raise reader.error(f"{attribute.name} is {what}, not {text[:40]!r}") from None


def _read(text: str, attribute: Attribute) -> Value:
    match attribute.kind:
        case "Keyword":
            return text
        case "Int":
            return int(text)
        case "Double":
            number = float(text)
            if not abs(number) < 1e9:
                raise ValueError
            return number
        case "Datetime":
            return _utc(datetime.fromisoformat(text))


def _utc(moment: datetime) -> str:
    # What has no zone is local time, as people think of it.
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _signs() -> str:
    return " ".join(SIGNS)
