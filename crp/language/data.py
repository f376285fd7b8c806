"""Reads `output: {schema: ...}`: the part of JSON Schema that a template may use.

What is allowed is a short list, so that every answer can be checked in bounded time and every
server that holds a model to a schema understands it.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from crp.language.makers import listed, number, one_of, whole
from crp.language.reader import Read, Reader
from crp.language.source import Node

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_ANY = 1e300
_MOST = 1_000_000
_PAIRS = (("minimum", "maximum"), ("minItems", "maxItems"), ("minLength", "maxLength"))


def data_schema(reader: Reader, node: Node) -> dict[str, JsonValue] | None:
    """Read a JSON Schema; None means that a problem was reported."""
    before = len(reader.problems)
    values = reader.fields(node, "schema", _KNOWN)
    if values is None or len(reader.problems) > before:
        return None
    if not values:
        reader.error(node, "this schema says nothing", "F003", "begin with `type: object`")
        return None
    _check_required(reader, node, values)
    for low, high in _PAIRS:
        if low in values and high in values and values[low] > values[high]:
            message = f"{low} {values[low]:g} is more than {high} {values[high]:g}"
            reader.error(node.entries[low].value, message, "F011")
    return values if len(reader.problems) == before else None


def json_value(node: Node) -> JsonValue:
    """Give what a node is as plain data."""
    if node.kind == "list":
        return [json_value(item) for item in node.items]
    if node.kind == "map":
        return {key: json_value(entry.value) for key, entry in node.entries.items()}
    return node.value


def _check_required(reader: Reader, node: Node, values: dict[str, Any]) -> None:
    properties = values.get("properties")
    if properties is None or "required" not in values:
        return
    place = node.entries["required"].value
    for item in place.items or (place,):
        if (name := " ".join(item.raw.split())) not in properties:
            message = f'required has "{name[:60]}", which is not one of the properties'
            reader.error(item, message, "R001", reader.suggest(name, properties))


def _type(reader: Reader, node: Node) -> JsonValue:
    """Read one type, or several of which the value may have any."""
    found = _TYPES(reader, node)
    if not found:
        return None
    return list(found) if node.kind == "list" else found[0]


def _properties(reader: Reader, node: Node) -> dict[str, JsonValue] | None:
    if node.kind != "map" or not node.entries:
        reader.error(node, "properties must be `name: {type: ...}`", "F002")
        return None
    found = {key: data_schema(reader, entry.value) for key, entry in node.entries.items()}
    return None if None in found.values() else found  # type: ignore[return-value]


def _additional(reader: Reader, node: Node) -> JsonValue:
    return data_schema(reader, node) if node.kind == "map" else reader.yes_no(node)


def _enum(reader: Reader, node: Node) -> JsonValue:
    if node.kind != "list" or not node.items:
        reader.error(node, "enum must be a list of values", "F002")
        return None
    return [json_value(item) for item in node.items]


def _const(reader: Reader, node: Node) -> JsonValue:
    value = json_value(node)
    if value is None:
        reader.error(node, "a value is missing here", "F002")
    return value


def _schemas(reader: Reader, node: Node) -> JsonValue:
    if node.kind != "list" or not node.items:
        reader.error(node, "anyOf must be a list of schemas", "F002")
        return None
    found = [data_schema(reader, item) for item in node.items]
    return None if None in found else found  # type: ignore[return-value]


def _names(reader: Reader, node: Node) -> JsonValue:
    found = _WORDS(reader, node)
    return None if found is None else list(found)


_TYPES: Read = listed(one_of(TYPES))
_WORDS: Read = listed(Reader.word)
_KNOWN: dict[str, Read] = {
    "type": _type,
    "properties": _properties,
    "required": _names,
    "items": data_schema,
    "enum": _enum,
    "const": _const,
    "minimum": number(-_ANY, _ANY),
    "maximum": number(-_ANY, _ANY),
    "minItems": whole(0, _MOST),
    "maxItems": whole(0, _MOST),
    "minLength": whole(0, _MOST),
    "maxLength": whole(0, _MOST),
    "additionalProperties": _additional,
    "anyOf": _schemas,
    "description": Reader.plain,
    "title": Reader.plain,
}
