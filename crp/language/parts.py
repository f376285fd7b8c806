"""The small parts of the language: outputs, checks, ladders, scaffolds, few-shot.

Each function reads one node into one frozen model; None means that a problem was reported.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import JsonValue

from crp.language.reader import Reader
from crp.language.schema import CHECK_KINDS, Check, FewShot, Output, OutputField, Scaffolds
from crp.language.shapes import suggest
from crp.language.source import Node
from crp.models import Rung

ALONE = ("no_refusal", "complete", "no_repetition", "no_placeholder", "no_echo")
LATER_CHECKS = ("expr", "judge", "agrees_with")

OUTPUT_WORDS = (
    "text",
    "line",
    "markdown",
    "bullets",
    "numbered",
    "list",
    "number",
    "integer",
    "yes_no",
    "json",
    "code",
)
_SIZED = ("bullets", "numbered", "list", "number", "integer")
_FIELD_WORDS = ("text", "number", "yes_no", "date", "list of text", "one of a | b")
_KIND = re.compile(r"(\w+)(?:\s+(-?\d+(?:\.\d+)?)(?:\s*-\s*(-?\d+(?:\.\d+)?))?)?")
_LIST_NAME = re.compile(r"\{\{\s*(\w+)\s*\}\}")

RUNGS = ("retry", "heavier", "scaffold", "model", "temperature", "accept_best", "skip", "stop")
_RUNG_WORDS = ("retry", "heavier", "accept_best", "skip", "stop")


# -- outputs ------------------------------------------------------------------------------


def output(reader: Reader, node: Node) -> Output | None:
    """Read `bullets 3-7`, or `fields:`, `table:` or `choice:`."""
    if node.kind == "scalar":
        return _output_word(reader, node)
    known = {
        "fields": lambda n: _fields(reader, n),
        "table": lambda n: _options(reader, n),
        "choice": lambda n: _options(reader, n),
    }
    values = reader.fields(node, "output", known, later=("schema",))
    if values is None or len(values) != 1:
        if values is not None and len(node.entries) != 1:
            reader.error(node, "output is one of: fields, table, choice", "F006")
        return None
    kind, value = next(iter(values.items()))
    key = {"fields": "fields", "table": "columns", "choice": "options"}[kind]
    return Output.model_validate({"kind": kind, key: value})


def _output_word(reader: Reader, node: Node) -> Output | None:
    found = _KIND.fullmatch(node.raw.strip())
    kind, low, high = found.groups() if found else ("", None, None)
    if kind not in OUTPUT_WORDS:
        help = suggest(kind or node.raw, OUTPUT_WORDS) or f"there are: {', '.join(OUTPUT_WORDS)}"
        reader.error(node, f'there is no output "{node.raw[:60]}"', "F005", help)
        return None
    if low is not None and kind not in _SIZED:
        reader.error(node, f'the output "{kind}" takes no numbers', "F011")
        return None
    bounds = _bounds(reader, node, low, high)
    if bounds is None:
        return None
    return Output.model_validate({"kind": kind, "low": bounds[0], "high": bounds[1]})


def _bounds(
    reader: Reader, node: Node, low: str | None, high: str | None
) -> tuple[float | None, float | None] | None:
    first = float(low) if low is not None else None
    last = float(high) if high is not None else first
    if first is not None and last is not None and first > last:
        reader.error(node, f"{low} is more than {high}", "F011")
        return None
    return first, last


def _options(reader: Reader, node: Node) -> tuple[str, ...] | None:
    """Read options or columns; an entry `{{ items }}` stands for the entries of a list."""

    def entry(item: Node) -> str | None:
        word = reader.word(item)
        if word and (found := _LIST_NAME.fullmatch(word)):
            reader.named(item, found.group(1), "list")
        return word

    values = reader.listed(entry)(node)
    if values == ():
        reader.error(node, "this list is empty", "F002")
    return values or None


def _fields(reader: Reader, node: Node) -> tuple[OutputField, ...] | None:
    if node.kind != "map" or not node.entries:
        reader.error(node, "fields must be `name: kind`", "F002")
        return None
    entries = node.entries.values()
    fields = [
        _field(reader, name, entry.value)
        for entry in entries
        if (name := reader.name(entry.key)) is not None
    ]
    return tuple(f for f in fields if f is not None)


def _field(reader: Reader, name: str, node: Node) -> OutputField | None:
    word = reader.word(node)
    if word is None:
        return None
    optional = word.endswith("?")
    word = word.removesuffix("?").strip()
    if word.startswith("one of "):
        return _choice_field(reader, node, name, word.removeprefix("one of "), optional)
    if word == "list of text":
        return OutputField(name=name, kind="list", optional=optional)
    found = _KIND.fullmatch(word)
    kind, low, high = found.groups() if found else ("", None, None)
    if kind not in ("text", "number", "yes_no", "date") or (low and kind != "number"):
        help = suggest(word, _FIELD_WORDS) or f"there are: {', '.join(_FIELD_WORDS)}"
        reader.error(node, f'a field can not be "{word}"', "F005", help)
        return None
    bounds = _bounds(reader, node, low, high)
    if bounds is None:
        return None
    return OutputField.model_validate(
        {"name": name, "kind": kind, "optional": optional, "low": bounds[0], "high": bounds[1]}
    )


def _choice_field(
    reader: Reader, node: Node, name: str, listed: str, optional: bool
) -> OutputField:
    if found := _LIST_NAME.fullmatch(listed.strip()):
        source = reader.named(node, found.group(1), "list")
        return OutputField(name=name, kind="choice", optional=optional, options_from=source)
    options = tuple(o.strip() for o in listed.split("|") if o.strip())
    return OutputField(name=name, kind="choice", optional=optional, options=options)


# -- checks -------------------------------------------------------------------------------


def checks(reader: Reader, node: Node) -> tuple[Check, ...] | None:
    found: tuple[Check, ...] | None = reader.listed(lambda n: _check(reader, n))(node)
    return found


def _check(reader: Reader, node: Node) -> Check | None:
    if node.kind == "scalar":
        return _check_word(reader, node)
    words = [k for k in node.entries if k in CHECK_KINDS or k in LATER_CHECKS]
    if len(words) != 1:
        _not_one_check(reader, node, words)
        return None
    word = words[0]
    known = {
        word: lambda n: _Given(_check_value(reader, word, n)),
        "at_least": reader.number(0, 1),
        "weight": reader.number(0, 100),
        "hint": lambda n: _hint(reader, n),
        "otherwise": reader.one_of(("retry", "warn", "stop")),
    }
    if word in LATER_CHECKS:
        reader.later(node.entries[word].key, word)
        return None
    values = reader.fields(node, f'the check "{word}"', known, later=("when",))
    if values is None or word not in values:
        return None
    given = values.pop(word)
    failed = given.value is None and word not in ALONE
    return None if failed else Check(kind=word, value=given.value, **values)


def _hint(reader: Reader, node: Node) -> str | None:
    hint = reader.plain(node)
    if hint and "{{" in hint:
        message = "a hint is sent to the model as it stands: nothing is filled in"
        reader.warn(node, message, "W103")
    return hint


class _Given:
    """A value that may be None: the check stands without one."""

    def __init__(self, value: JsonValue) -> None:
        self.value = value


def _check_word(reader: Reader, node: Node) -> Check | None:
    word = node.raw
    if word in ALONE:
        return Check(kind=word)
    if word in LATER_CHECKS:
        reader.later(node, word)
    elif word in CHECK_KINDS:
        reader.error(node, f'the check "{word}" needs a value', "F003", CHECK_KINDS[word])
    else:
        _unknown_check(reader, node, word)
    return None


def _not_one_check(reader: Reader, node: Node, words: list[str]) -> None:
    if node.kind == "map" and not words and node.entries:
        first = next(iter(node.entries.values()))
        _unknown_check(reader, first.key, first.key.raw)
    else:
        reader.error(node, f"exactly one check for each entry, not {len(words)}", "F006")


def _unknown_check(reader: Reader, node: Node, word: str) -> None:
    help = suggest(word, CHECK_KINDS) or f"there are: {', '.join(CHECK_KINDS)}"
    reader.error(node, f'there is no check "{word[:60]}"', "F005", help)


def _check_value(reader: Reader, word: str, node: Node) -> JsonValue:
    if word in ALONE:
        if not (node.empty or node.raw in ("yes", "true")):
            reader.error(node, f'the check "{word}" takes no value', "F002")
        return None
    if word in ("words", "lines"):
        return reader.range(node)
    if word == "matches":
        return reader.pattern(node)
    if word == "covers":
        return _named(reader, node, "list")
    if word in ("grounded_in", "keeps"):
        return _one_or_more(reader, node, lambda n: _named(reader, n, "source"))
    return _one_or_more(reader, node, lambda n: reader.text(n, "check"))


def _named(reader: Reader, node: Node, want: Any) -> str | None:
    word = reader.word(node)
    return None if word is None else reader.named(node, word, want)


def _one_or_more(reader: Reader, node: Node, read: Any) -> JsonValue:
    """Keep a single value as it is and several as a list."""
    values = reader.listed(read)(node)
    if not values:
        return None
    return list(values) if node.kind == "list" else values[0]


# -- ladders, scaffolds, few-shot ---------------------------------------------------------


def ladder(reader: Reader, node: Node) -> tuple[Rung, ...] | None:
    """Read `on_fail`: what to do after the first failed try, the second, and so on."""
    rungs: tuple[Rung, ...] | None = reader.listed(lambda n: _rung(reader, n))(node)
    if rungs is not None and len(rungs) > 10:
        reader.error(node, f"at most 10 tries, not {len(rungs)}", "F004")
        return None
    return rungs


def _rung(reader: Reader, node: Node) -> Rung | None:
    if node.kind == "scalar":
        if node.raw in _RUNG_WORDS:
            return Rung.model_validate({"action": node.raw})
        help = suggest(node.raw, RUNGS) or f"there are: {', '.join(RUNGS)}"
        reader.error(node, f'there is no rung "{node.raw[:60]}"', "F005", help)
        return None
    known = {
        "scaffold": reader.one_of(("none", "light", "medium", "heavy")),
        "model": reader.word,
        "temperature": reader.number(0, 2),
    }
    values = reader.fields(node, "a rung", known, later=("use",))
    if values is None or len(node.entries) != 1:
        if values is not None:
            reader.error(node, "exactly one thing to do for each rung", "F006")
        return None
    return next((Rung.model_validate({"action": k, "value": v}) for k, v in values.items()), None)


def scaffolds(reader: Reader, node: Node) -> Scaffolds | None:
    known = dict.fromkeys(("light", "medium", "heavy"), lambda n: reader.text(n, "help"))
    values = reader.fields(node, "scaffolds", known)
    return None if values is None else Scaffolds(**values)


def few_shot(reader: Reader, node: Node) -> FewShot | None:
    """Read a number of examples, or the long form."""
    count = reader.whole(0, 20)
    if node.kind == "scalar":
        traces = count(node)
        return None if traces is None else FewShot(traces=traces)
    known = {
        "traces": count,
        "min_quality": reader.number(0, 1),
        "max_tokens": reader.whole(0, 100_000),
    }
    values = reader.fields(node, "few_shot", known)
    return None if values is None else FewShot(**values)
