"""Inputs and lists: what is given to the steps, read from `inputs:` and `extract:`."""

from __future__ import annotations

import re
from typing import Any, get_args

from crp.language.draft import Draft
from crp.language.makers import listed, number, one_of, whole
from crp.language.reader import Read, Reader
from crp.language.schema import Extract, ExtractExample, FindWord, Input, Limits
from crp.language.source import Node


def inputs(reader: Reader, draft: Draft, node: Node) -> tuple[Input, ...]:
    found = [_input(reader, n, v) for n, v in draft.entries(reader, node, "inputs")]
    draft.inputs = {i.name: i for i in found if i is not None}
    draft.unread |= {n for n in node.entries if n not in draft.inputs}
    return tuple(draft.inputs.values())


def _input(reader: Reader, name: str, node: Node) -> Input | None:
    if node.kind == "scalar":
        help = reader.plain(node)
        return None if help is None else Input(name=name, help=help)
    values = reader.fields(node, f'input "{name}"', _INPUT)
    if values is None:
        return None
    if "default" in values:
        values["default"] = _DEFAULTS[values.get("type", "text")](reader, values["default"])
    _check_choice(reader, node, values)
    return Input(name=name, **values)


def _check_choice(reader: Reader, node: Node, values: dict[str, Any]) -> None:
    choice, default = values.get("choice"), values.get("default")
    if choice is None:
        return
    if values.get("type", "text") != "text":
        reader.error(node.entries["choice"].key, "only a text can have a choice", "F013")
    elif default is not None and default not in choice:
        message = f'the default "{str(default)[:60]}" is not one of: {", ".join(choice)}'
        reader.error(
            node.entries["default"].value, message, "F005", reader.suggest(default, choice)
        )


def _text_list(reader: Reader, node: Node) -> list[str] | None:
    found = _WORDS(reader, node)
    return None if found is None else list(found)


def _text_default(reader: Reader, node: Node) -> str | None:
    return node.raw if node.kind == "scalar" else reader.plain(node)


_WORDS: Read = listed(Reader.word)
_INPUT: dict[str, Read] = {
    "type": one_of(("text", "number", "yes_no", "list of text")),
    "help": Reader.plain,
    "default": lambda reader, node: node,
    "choice": _WORDS,
    "required": Reader.yes_no,
}
_DEFAULTS: dict[str, Read] = {
    "text": _text_default,
    "number": number(-1e300, 1e300),
    "yes_no": Reader.yes_no,
    "list of text": _text_list,
}


# -- lists --------------------------------------------------------------------------------


def extracts(reader: Reader, draft: Draft, node: Node) -> None:
    for name, value in draft.entries(reader, node, "extract"):
        reader.hidden = name
        found = _extract(reader, name, value)
        reader.hidden = ""
        draft.list_nodes[name] = value
        if found is None:
            draft.unread.add(name)
        else:
            draft.extracts[name] = found


def _extract(reader: Reader, name: str, node: Node) -> Extract | None:
    if node.kind == "scalar":
        ask = reader.text(node)
        return None if ask is None else Extract(name=name, ask=ask)
    values = reader.fields(node, f'list "{name}"', _EXTRACT)
    if values is None:
        return None
    values.pop("note", None)
    if "from" in values:
        values["source"] = values.pop("from")
    values |= values.pop("otherwise", {})
    found = Extract(name=name, **values)
    if found.min > found.max:
        place = node.entries.get("min") or node.entries["max"]
        reader.error(place.value, f"min {found.min} is more than max {found.max}", "F011")
    elif found.otherwise is not None and len(found.otherwise) < found.min:
        message = f"otherwise has {len(found.otherwise)} entries, but min is {found.min}"
        reader.error(node.entries["otherwise"].value, message, "F011")
    return found


def _places(reader: Reader, node: Node) -> tuple[str, ...] | None:
    if node.raw == "none":
        return ()
    places: tuple[str, ...] | None = _PLACES(reader, node)
    return places


def _otherwise(reader: Reader, node: Node) -> dict[str, Any] | None:
    """Read a list to use instead, or `use other-template`."""
    if node.kind == "list":
        return {"otherwise": _WORDS(reader, node)}
    found = re.fullmatch(r"use\s+([a-z][a-z0-9-]*)", node.raw.strip())
    if found:
        return {"otherwise_use": found.group(1)}
    help = "write `otherwise: [cost, speed]` or `otherwise: use generic-analysis`"
    reader.error(node, "otherwise is a list, or `use` and a template's name", "F005", help)
    return None


def _list_example(reader: Reader, node: Node) -> ExtractExample | None:
    values = reader.fields(node, "an example", _EXAMPLE)
    if values is None or len(values) < 2:
        if values is not None and not set(_EXAMPLE) <= set(node.entries):
            reader.error(node.first_key(), "an example needs task and gives", "F003")
        return None
    return ExtractExample(**values)


_PLACES: Read = listed(one_of(("task", "context")))
_EXAMPLE: dict[str, Read] = {"task": Reader.word, "gives": _WORDS}
_EXTRACT: dict[str, Read] = {
    "ask": Reader.text,
    "from": _places,
    "find": one_of(get_args(FindWord)),
    "min": whole(0, 10_000),
    "max": whole(1, 10_000),
    "must_appear": Reader.yes_no,
    "min_capability": whole(0, 3),
    "otherwise": _otherwise,
    "examples": listed(_list_example),
    "model": Reader.word,
    "note": Reader.plain,
}


def cap_lists(reader: Reader, draft: Draft) -> None:
    """No list may be longer than `limits.items`."""
    most = draft.values.get("limits", Limits()).items
    for name, extract in draft.extracts.items():
        node = draft.list_nodes[name]
        if "max" in node.entries and extract.max > most:
            message = f"max {extract.max} is more than limits.items, which is {most}"
            reader.error(node.entries["max"].value, message, "F011")
        if extract.max > most:
            draft.extracts[name] = extract.model_copy(update={"max": most})
