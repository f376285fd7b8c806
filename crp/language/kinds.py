"""Reads `output:`: a word such as `bullets 3-7`, or `fields`, `table`, `choice` or `schema`.

Each function reads one node; None means that a problem was reported.
"""

from __future__ import annotations

import re
from typing import Any

from crp.language.data import data_schema
from crp.language.makers import listed
from crp.language.reader import NameUse, Read, Reader
from crp.language.schema import Output, OutputField
from crp.language.source import Node

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
_NUMBER = r"(-?\d{1,9}(?:\.\d{1,9})?)"
_KIND = re.compile(rf"(\w+)(?:\s+{_NUMBER}(?:\s*-\s*{_NUMBER})?)?")
_LIST_NAME = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MOST_FIELDS = 50


def output(reader: Reader, node: Node) -> Output | None:
    """Read `bullets 3-7`, or `fields:`, `table:`, `choice:` or `schema:`."""
    if node.kind == "scalar":
        return _word(reader, node)
    values = reader.fields(node, "output", _LONG)
    if values is None or len(values) != 1:
        if values is not None and len(node.entries) != 1:
            reader.error(node.first_key(), f"output is one of: {', '.join(_LONG)}", "F006")
        return None
    kind, value = next(iter(values.items()))
    return Output(**{"kind": kind, _KEYS[kind]: value})


def _word(reader: Reader, node: Node) -> Output | None:
    found = _KIND.fullmatch(node.raw.strip())
    kind, low, high = found.groups() if found else ("", None, None)
    if kind not in OUTPUT_WORDS:
        help = (
            reader.suggest(kind or node.raw, OUTPUT_WORDS)
            or f"there are: {', '.join(OUTPUT_WORDS)}"
        )
        if kind in _LONG:
            help = f"`{kind}` has something below it: output: {{{kind}: ...}}"
        reader.error(node, f'there is no output "{node.raw[:60]}"', "F005", help)
        return None
    if low is not None and kind not in _SIZED:
        reader.error(node, f'the output "{kind}" takes no numbers', "F011")
        return None
    bounds = _bounds(reader, node, low, high)
    return None if bounds is None else Output(kind=kind, low=bounds[0], high=bounds[1])  # type: ignore[arg-type]


def _bounds(
    reader: Reader, node: Node, low: str | None, high: str | None
) -> tuple[float | None, float | None] | None:
    first = float(low) if low is not None else None
    last = float(high) if high is not None else first
    if first is not None and last is not None and first > last:
        reader.error(node, f"{low} is more than {high}", "F011")
        return None
    return first, last


def _entry(reader: Reader, node: Node) -> str | None:
    """Read an option or a column; `{{ items }}` stands for the entries of a list."""
    word = reader.word(node)
    if word and (found := _LIST_NAME.fullmatch(word)):
        reader.names.append(NameUse(node, found.group(1), reader.owner, "list"))
    return word


def _options(reader: Reader, node: Node) -> tuple[str, ...] | None:
    values: tuple[str, ...] | None = _ENTRIES(reader, node)
    if values == ():
        reader.error(node, "this list is empty", "F002")
    return values or None


_ENTRIES: Read = listed(_entry)


def _fields(reader: Reader, node: Node) -> tuple[OutputField, ...] | None:
    if node.kind != "map" or not node.entries:
        reader.error(node, "fields must be `name: kind`", "F002")
        return None
    if len(node.entries) > _MOST_FIELDS:
        reader.error(node, f"at most {_MOST_FIELDS} fields, not {len(node.entries)}", "F004")
        return None
    found = [_named_field(reader, entry.key, entry.value) for entry in node.entries.values()]
    # A field that was not understood is reported; without it the others would say more than that.
    return tuple(f for f in found if f is not None) if all(found) else None


def _named_field(reader: Reader, key: Node, node: Node) -> OutputField | None:
    name = reader.name(key)
    return None if name is None else _field(reader, name, node)


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
        help = reader.suggest(word, _FIELD_WORDS) or f"there are: {', '.join(_FIELD_WORDS)}"
        reader.error(node, f'a field can not be "{word[:60]}"', "F005", help)
        return None
    bounds = _bounds(reader, node, low, high)
    if bounds is None:
        return None
    return OutputField(name=name, kind=kind, optional=optional, low=bounds[0], high=bounds[1])  # type: ignore[arg-type]


def _choice_field(reader: Reader, node: Node, name: str, said: str, optional: bool) -> OutputField:
    if found := _LIST_NAME.fullmatch(said.strip()):
        source = found.group(1)
        reader.names.append(NameUse(node, source, reader.owner, "list"))
        return OutputField(name=name, kind="choice", optional=optional, options_from=source)
    options = tuple(o.strip() for o in said.split("|") if o.strip())
    return OutputField(name=name, kind="choice", optional=optional, options=options)


_LONG: dict[str, Read] = {
    "fields": _fields,
    "table": _options,
    "choice": _options,
    "schema": data_schema,
}
_KEYS: dict[str, Any] = {
    "fields": "fields",
    "table": "columns",
    "choice": "options",
    "schema": "json_schema",
}
