"""Inputs and lists: what is given to the steps, read from `inputs:` and `extract:`."""

from __future__ import annotations

import re
from typing import Any

from crp.language.reader import Read, Reader
from crp.language.resolve import Draft
from crp.language.schema import Extract, ExtractExample, Input, Limits
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
    words = reader.listed(reader.word)
    types = ("text", "number", "yes_no", "list of text")
    known: dict[str, Any] = {
        "type": reader.one_of(types),
        "help": reader.plain,
        "default": lambda n: (n,),
        "choice": words,
        "required": reader.yes_no,
    }
    values = reader.fields(node, f'input "{name}"', known)
    if values is None:
        return None
    if "default" in values:
        reads: dict[str, Read] = {
            "text": lambda n: n.raw if n.kind == "scalar" else reader.plain(n),
            "number": reader.number(-1e300, 1e300),
            "yes_no": reader.yes_no,
            "list of text": lambda n: list(words(n) or ()),
        }
        values["default"] = reads[values.get("type", "text")](values["default"][0])
    return Input(name=name, **values)


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
    what = f'list "{name}"'
    known: dict[str, Any] = {
        "ask": reader.text,
        "from": lambda n: _places(reader, n),
        "find": reader.one_of(("things", "aspects")),
        "min": reader.whole(0, 50),
        "max": reader.whole(1, 50),
        "must_appear": reader.yes_no,
        "min_capability": reader.whole(0, 3),
        "otherwise": lambda n: _otherwise(reader, n),
        "examples": reader.listed(lambda n: _list_example(reader, n)),
        "model": reader.word,
        "note": reader.plain,
    }
    values = reader.fields(node, what, known)
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
    if found.otherwise is not None and len(found.otherwise) < found.min:
        message = f"otherwise has {len(found.otherwise)} entries, but min is {found.min}"
        reader.error(node.entries["otherwise"].value, message, "F011")
    return found


def _places(reader: Reader, node: Node) -> tuple[str, ...] | None:
    if node.raw == "none":
        return ()
    places: tuple[str, ...] | None = reader.listed(reader.one_of(("task", "context")))(node)
    return places


def _otherwise(reader: Reader, node: Node) -> dict[str, Any] | None:
    """Read a list to use instead, or `use other-template`."""
    if node.kind == "list":
        return {"otherwise": reader.listed(reader.word)(node)}
    found = re.fullmatch(r"use\s+([a-z][a-z0-9-]*)", node.raw.strip())
    if found:
        return {"otherwise_use": found.group(1)}
    help = "write `otherwise: [cost, speed]` or `otherwise: use generic-analysis`"
    reader.error(node, "otherwise is a list, or `use` and a template's name", "F005", help)
    return None


def _list_example(reader: Reader, node: Node) -> ExtractExample | None:
    known = {"task": reader.word, "gives": reader.listed(reader.word)}
    values = reader.fields(node, "an example", known)
    if values is None or len(values) < 2:
        if values is not None and not set(known) <= set(node.entries):
            reader.error(node, "an example needs task and gives", "F003")
        return None
    return ExtractExample(**values)


def cap_lists(reader: Reader, draft: Draft) -> None:
    """No list may be longer than `limits.items`."""
    most = draft.values.get("limits", Limits()).items
    for name, extract in draft.extracts.items():
        node = draft.list_nodes[name]
        if "max" in node.entries and extract.max > most:
            message = f"max {extract.max} is more than limits.items, which is {most}"
            reader.error(node.entries["max"].value, message, "F011")
        draft.extracts[name] = extract.model_copy(update={"max": min(extract.max, most)})
