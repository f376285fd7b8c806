"""`output: {schema: ...}`: an answer that is held to a JSON Schema. Pure.

What a small model writes nearly right is put right where that is sure: a number in quotes, a
single entry where a list is asked for, a property that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from pydantic import JsonValue

from crp.language import salvage, scalars
from crp.language.show import line
from crp.language.words import shorten

MOST_PROBLEMS = 3
"""A model is told so many at once."""
WRAP = "answer"
"""The property that a value stands in where a server takes only objects."""

Schema = Mapping[str, Any]


class Fitted(NamedTuple):
    """What was read, and what is still wrong with it."""

    value: JsonValue
    problems: tuple[str, ...] = ()


def sentence(schema: Schema) -> str:
    """Say how the answer must look, the schema in one line."""
    compact = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if _type(schema) in ("object", "array", ""):
        return f"Answer with JSON only, of this JSON Schema: {compact}"
    return f"Answer with one JSON value only, of this JSON Schema: {compact}"


def server_schema(schema: Schema) -> dict[str, Any]:
    """Give the schema that a server may hold the answer to: always that of an object."""
    if _type(schema) == "object":
        return dict(schema)
    return {
        "type": "object",
        "properties": {WRAP: dict(schema)},
        "required": [WRAP],
        "additionalProperties": False,
    }


def read(schema: Schema, text: str) -> Fitted | None:
    """Read an answer; None when nothing of it can be read."""
    found = salvage.find(text)
    value = found.value if found else None
    if _type(schema) != "object" and isinstance(value, dict) and list(value) == [WRAP]:
        value = value[WRAP]
    elif found is None:
        value = _alone(schema, text)
    if value is None:
        return None
    value = _fitted(schema, value)
    problems = () if found is None or found.whole else ("The JSON was not finished.",)
    return Fitted(value, (*problems, *_problems(schema, value)))


def _alone(schema: Schema, text: str) -> JsonValue:
    """Read a value that is not an object or a list."""
    bare = scalars.unlabelled(scalars.unfenced(text))
    match _type(schema):
        case "number" | "integer":
            return scalars.number(text, schema.get("minimum"), schema.get("maximum"))
        case "boolean":
            return {"yes": True, "no": False}.get(scalars.yes_no(text) or "")
        case "string":
            return bare or None
    return None


def _type(schema: Schema) -> str:
    """Give the type of a schema that has one; empty for several or none."""
    kind = schema.get("type")
    if kind is None and "properties" in schema:
        return "object"
    return kind if isinstance(kind, str) else ""


# -- putting right ------------------------------------------------------------------------------


def _fitted(schema: Schema, value: JsonValue) -> JsonValue:
    options = schema.get("enum")
    if isinstance(options, list) and value not in options:
        said = line(value).strip().casefold()
        return next((o for o in options if line(o).casefold() == said), value)
    read = _READERS.get(_type(schema))
    return read(schema, value) if read else value


def _object(schema: Schema, value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return value
    known = schema.get("properties") or {}
    others = schema.get("additionalProperties", True)
    fitted = {
        name: _fitted(known[name], entry) if name in known else entry
        for name, entry in value.items()
        if name in known or others is not False
    }
    required = schema.get("required") or ()
    # A property that may be missing is not there when it is null.
    return {n: v for n, v in fitted.items() if v is not None or n in required or n not in known}


def _array(schema: Schema, value: JsonValue) -> JsonValue:
    entries = value if isinstance(value, list) else [value]
    return [_fitted(schema.get("items") or {}, entry) for entry in entries]


def _number(schema: Schema, value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        read = scalars.number(value, schema.get("minimum"), schema.get("maximum"))
        value = value if read is None else read
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if whole else value  # type: ignore[arg-type]


def _string(schema: Schema, value: JsonValue) -> JsonValue:
    return line(value) if isinstance(value, int | float | list) else value


def _boolean(schema: Schema, value: JsonValue) -> JsonValue:
    said = scalars.yes_no(value) if isinstance(value, str) else None
    return said == "yes" if said else value


_READERS: dict[str, Callable[[Schema, JsonValue], JsonValue]] = {
    "object": _object,
    "array": _array,
    "number": _number,
    "integer": _number,
    "string": _string,
    "boolean": _boolean,
}


# -- what is wrong ------------------------------------------------------------------------------


def _problems(schema: Schema, value: JsonValue) -> Iterable[str]:
    errors = islice(_validator(json.dumps(schema)).iter_errors(value), salvage.MAX_DEPTH)
    ordered = sorted(errors, key=lambda error: list(map(str, error.absolute_path)))
    for error in ordered[:MOST_PROBLEMS]:
        place = ".".join(map(str, error.absolute_path))
        said = shorten(error.message, 120).rstrip(".")
        yield f'In "{place}": {said}.' if place else f"{said[:1].upper()}{said[1:]}."


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    # Loading it takes longer than everything else here, and few templates need it.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))
