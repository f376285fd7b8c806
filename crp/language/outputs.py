"""Output kinds: the sentence for the prompt, the forgiving parser, the JSON schema.

One word of the template (`bullets 3-7`) gives all of them, so they can not disagree. What a model
writes is hostile until it is proven otherwise: everything here is pure, linear in the length of
the text, and raises nothing. The readers of single values are in `scalars.py`, of several in
`entries.py`, of JSON in `salvage.py`, of JSON that has a schema in `structured.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from crp.language import entries, salvage, scalars, structured
from crp.language.schema import Output, OutputField
from crp.language.show import line as in_line
from crp.language.show import show
from crp.language.words import clean
from crp.models import Wire

__all__ = ["Parsed", "clean", "json_schema", "parse", "sentence", "show"]

Names = Mapping[str, JsonValue]

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


class Parsed(Wire):
    """What an output says."""

    value: JsonValue | None
    """None: it is not in the declared form."""
    text: str
    """The answer without what the model wrote around it."""
    problems: tuple[str, ...] = ()
    """What to tell the model, a short sentence each."""


# -- what the prompt says ---------------------------------------------------------------------


def sentence(output: Output, names: Names) -> str:
    """Say in plain words how the answer must look; empty for plain text."""
    how_many = _range(output.low, output.high)
    match output.kind:
        case "text":
            return ""
        case "line":
            return "Answer in one line."
        case "markdown":
            return "Write the answer in Markdown."
        case "bullets":
            return f'Write {how_many}bullet points. Start each one with "- ".'
        case "numbered":
            return f"Write a numbered list{f' of {how_many}entries' if how_many else ''}: 1. 2. 3."
        case "list":
            return f"Write {how_many + 'entries, ' if how_many else ''}one per line, nothing else."
        case "number" | "integer":
            kind = "whole number" if output.kind == "integer" else "number"
            return f"Answer with one {kind}{_between(output.low, output.high)}, nothing else."
        case "yes_no":
            return "Begin the answer with yes or no."
        case "json":
            return "Answer with JSON only."
        case "code":
            return "Write only the code, between two lines of ```."
        case "choice":
            return f"Answer with exactly one of these: {', '.join(options(output, names))}."
        case "fields":
            form = ", ".join(f'"{f.name}": {_blank(f, names)}' for f in output.fields)
            return f"Answer with JSON only, in this form: {{{form}}}"
        case "table":
            head = columns(output, names)
            lines = (head, ("---",) * len(head))
            rows = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
            return f"Write a table with this head:\n{rows}" if head else "Write a table."
        case "schema":
            return structured.sentence(output.json_schema)


def _range(low: float | None, high: float | None) -> str:
    """`3 to 7 `, with a space behind it; empty when nothing is asked."""
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"at least {low:g} " if low is not None else f"at most {high:g} "
    return f"exactly {low:g} " if low == high else f"{low:g} to {high:g} "


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" of at least {low:g}"
    return f" of at most {high:g}" if high is not None else ""


def _blank(field: OutputField, names: Names) -> str:
    form = {
        "text": "<text>",
        "number": f"<number{_between(field.low, field.high)}>",
        "yes_no": '<"yes" or "no">',
        "date": "<YYYY-MM-DD>",
        "list": "[<text>, <text>]",
        "choice": f"<one of: {', '.join(field_options(field, names))}>",
    }[field.kind]
    return form + (" or null" if field.optional else "")


# -- what stands for a list -------------------------------------------------------------------


def options(output: Output, names: Names) -> tuple[str, ...]:
    """Give the options of a choice; `{{ items }}` stands for one option an item."""
    return _expanded(output.options, names)


def field_options(field: OutputField, names: Names) -> tuple[str, ...]:
    """Give the options of a choice field."""
    listed = _entries(names.get(field.options_from)) if field.options_from else ()
    return listed or _expanded(field.options, names)


def columns(output: Output, names: Names) -> tuple[str, ...]:
    """Give the columns of a table; `{{ items }}` stands for one column an item."""
    return _expanded(output.columns, names)


def _expanded(listed: tuple[str, ...], names: Names) -> tuple[str, ...]:
    found: list[str] = []
    for entry in listed:
        match = _NAME.fullmatch(entry.strip())
        found += _entries(names.get(match[1])) if match else [entry]
    return tuple(dict.fromkeys(found))


def _entries(value: JsonValue) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(text for text in map(in_line, values) if text)


# -- what the model wrote ---------------------------------------------------------------------


def parse(output: Output, text: str, names: Names) -> Parsed:
    """Read a model's answer in the declared form, whatever it wrote around it.

    Too many entries are cut to the number asked for; too few, a field that is missing and JSON
    that was cut off keep their value and are a problem; what can not be read has no value.
    """
    text = clean(text).strip()
    if not text:
        return Parsed(value=None, text="", problems=("Write an answer.",))
    if output.kind in ("text", "markdown"):
        text = scalars.unfenced(text) if output.kind == "markdown" else text
        return _plain(text, text)
    if output.kind == "code":
        program = scalars.code(text)
        return _plain(program, program)
    reader = _READERS[output.kind]
    return reader(output, text[: salvage.LIMIT], names)


def _plain(value: str, text: str) -> Parsed:
    if not value:
        return Parsed(value=None, text="", problems=("Write an answer.",))
    return Parsed(value=value, text=text)


def _unread(output: Output, text: str, names: Names) -> Parsed:
    return Parsed(value=None, text=text, problems=(sentence(output, names),))


def _line(output: Output, text: str, names: Names) -> Parsed:
    value = scalars.line(_single(text))
    return _plain(value, value)


def _list(output: Output, text: str, names: Names) -> Parsed:
    found = entries.entries(text, one_line=output.kind == "list")
    found = found[: int(output.high)] if output.high is not None else found
    if not found:
        return _unread(output, text, names)
    numbered = output.kind == "numbered"
    shown = [f"{n}. {entry}" if numbered else f"- {entry}" for n, entry in enumerate(found, 1)]
    few = output.low is not None and len(found) < output.low
    return Parsed(
        value=[*found],
        text="\n".join(found if output.kind == "list" else shown),
        problems=(sentence(output, names),) if few else (),
    )


def _number(output: Output, text: str, names: Names) -> Parsed:
    value = scalars.number(_single(text), output.low, output.high)
    whole = output.kind == "integer"
    if value is None or not scalars.in_range(value, output.low, output.high):
        return _unread(output, text, names)
    if value.is_integer() and abs(value) < 1e15:
        return Parsed(value=int(value), text=text)
    return _unread(output, text, names) if whole else Parsed(value=value, text=text)


def _yes_no(output: Output, text: str, names: Names) -> Parsed:
    value = scalars.yes_no(_single(text))
    return Parsed(value=value, text=text) if value else _unread(output, text, names)


def _choice(output: Output, text: str, names: Names) -> Parsed:
    value = scalars.choice(_single(text), options(output, names))
    return Parsed(value=value, text=text) if value is not None else _unread(output, text, names)


def _single(text: str) -> str:
    """Unwrap `{"answer": "yes"}`: a server that was given a schema writes that."""
    if not text.lstrip("`json \n").startswith("{"):
        return scalars.unfenced(text)
    found = salvage.find(text)
    if found and isinstance(found.value, dict) and len(found.value) == 1:
        return in_line(next(iter(found.value.values()))) or text
    return text


def _json(output: Output, text: str, names: Names) -> Parsed:
    found = salvage.find(text)
    if found is None or (found.value in ({}, []) and not found.whole):
        return _unread(output, text, names)
    shown = json.dumps(found.value, ensure_ascii=False, indent=2)
    return Parsed(value=found.value, text=shown, problems=() if found.whole else (_UNFINISHED,))


def _schema(output: Output, text: str, names: Names) -> Parsed:
    found = structured.read(output.json_schema, text)
    if found is None:
        return _unread(output, text, names)
    shown = json.dumps(found.value, ensure_ascii=False, indent=2)
    return Parsed(value=found.value, text=shown, problems=found.problems)


def _table(output: Output, text: str, names: Names) -> Parsed:
    rows, missing = entries.rows(text, columns(output, names))
    if not rows:
        return _unread(output, text, names)
    value: list[JsonValue] = [{**row} for row in rows]
    problems = tuple(f"The table needs a column for {column}." for column in missing)
    return Parsed(value=value, text=show(value), problems=problems)


def _fields(output: Output, text: str, names: Names) -> Parsed:
    raw = entries.fields(text, [field.name for field in output.fields])
    if not raw and len(output.fields) == 1:
        raw = {output.fields[0].name: text}
    value = {f.name: _field(f, raw.get(f.name), names) for f in output.fields}
    if all(entry is None for entry in value.values()):
        return _unread(output, text, names)
    problems = tuple(
        f'Give "{f.name}": {_blank(f, names)}.'
        for f in output.fields
        if value[f.name] is None and not f.optional
    )
    return Parsed(value=value, text=show(value), problems=problems)


def _field(field: OutputField, raw: JsonValue, names: Names) -> JsonValue:
    text = in_line(raw).strip()
    if raw is None or not text.strip("<>.-?") or text.casefold() in ("null", "none", "n/a"):
        return None
    match field.kind:
        case "number":
            number = scalars.number(text, field.low, field.high)
            if number is None or not scalars.in_range(number, field.low, field.high):
                return None
            return int(number) if number.is_integer() else number
        case "yes_no":
            return scalars.yes_no(text)
        case "date":
            return scalars.day(text)
        case "choice":
            return scalars.choice(text, field_options(field, names))
        case "list":
            return _list_field(raw)
        case "text":
            return text


def _list_field(raw: JsonValue) -> JsonValue:
    if not isinstance(raw, list):
        raw = [*entries.entries(raw if isinstance(raw, str) else in_line(raw), one_line=True)]
    shown: list[JsonValue] = [text for text in map(in_line, raw[: entries.MOST]) if text]
    return shown or None


_UNFINISHED = "The JSON was not finished. Write it shorter."

_READERS: dict[str, Callable[[Output, str, Names], Parsed]] = {
    "line": _line,
    "bullets": _list,
    "numbered": _list,
    "list": _list,
    "number": _number,
    "integer": _number,
    "yes_no": _yes_no,
    "json": _json,
    "choice": _choice,
    "fields": _fields,
    "table": _table,
    "schema": _schema,
}


# -- constrained decoding ---------------------------------------------------------------------


def json_schema(output: Output, names: Names) -> dict[str, Any] | None:
    """Give the JSON schema that a server may hold the answer to; None where none should.

    Only kinds that are asked for as data have one. Forcing prose, numbers or lists into JSON
    makes a small model's answers worse (shared/bench.md, section 2); a choice is wrapped into an
    object because some servers take only objects.
    """
    if output.kind == "json":
        return {"type": "object"}
    if output.kind == "schema":
        return structured.server_schema(output.json_schema)
    if output.kind == "choice" and options(output, names):
        return _object({"answer": {"type": "string", "enum": list(options(output, names))}})
    if output.kind == "fields" and output.fields:
        return _object({field.name: _field_schema(field, names) for field in output.fields})
    return None


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _field_schema(field: OutputField, names: Names) -> dict[str, Any]:
    form: dict[str, Any] = {"type": "string"}
    if field.kind == "number":
        ends = (("minimum", field.low), ("maximum", field.high))
        form = {"type": "number"} | {key: end for key, end in ends if end is not None}
    elif field.kind == "yes_no":
        form = {"type": "string", "enum": ["yes", "no"]}
    elif field.kind == "list":
        form = {"type": "array", "items": {"type": "string"}}
    elif field.kind == "choice" and field_options(field, names):
        form = {"type": "string", "enum": list(field_options(field, names))}
    return {"anyOf": [form, {"type": "null"}]} if field.optional else form
