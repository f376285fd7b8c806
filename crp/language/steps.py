"""Steps: `steps:` and `synthesize:`, each a prompt or a text that is rendered."""

from __future__ import annotations

from typing import Any

from crp.language import parts, resolve
from crp.language.reader import Reader
from crp.language.resolve import Draft
from crp.language.schema import Step
from crp.language.source import Node

LATER = ("calculate", "pick", "use", "samples", "vote", "fresh", "repeat")
"""Fields of format 1 that this version does not run."""


def steps(reader: Reader, draft: Draft, node: Node) -> None:
    entries = draft.entries(reader, node, "steps")
    if node.kind == "map" and not node.entries:
        reader.error(node, "a template needs at least one step", "F003")
    for name, value in entries:
        draft.step_nodes[name] = node.entries[name].key
        reader.owner = name
        step = _step(reader, name, value, f'step "{name}"')
        reader.owner = ""
        if step is None:
            draft.unread.add(name)
        else:
            draft.steps[name] = step


def synthesize(reader: Reader, draft: Draft, node: Node) -> None:
    reader.owner = resolve.ANSWER
    draft.synthesize = _step(reader, resolve.ANSWER, node, "synthesize")
    reader.owner = ""


def _step(reader: Reader, name: str, node: Node, what: str) -> Step | None:
    title = name.replace("_", " ").capitalize()
    if node.kind == "scalar":
        text = reader.text(node)
        return None if text is None else Step(id=name, title=title, text=text)
    known = _step_fields(reader)
    if name == resolve.ANSWER:
        known = {
            k: v for k, v in known.items() if k not in ("for_each", "as", "order", "needs", "when")
        }
    values = reader.fields(node, what, known, later=LATER)
    if values is None or any(k in LATER for k in node.entries):
        return None
    kinds = {"prompt", "render"} & set(node.entries)
    if len(kinds) != 1:
        if kinds or set(node.entries) <= set(known):  # else a misspelled one was reported
            reader.error(node.first_key(), f"{what} needs exactly one of: prompt, render", "F006")
        return None
    kind = "prompt" if "prompt" in node.entries else "render"
    if kind not in values:
        return None
    values = {k: v for k, v in values.items() if k not in ("note", "order")}
    values |= {"kind": kind, "text": values.pop(kind)}
    if "as" in values:
        values["item_name"] = values.pop("as")
    return Step(**{"id": name, "title": title, **values})


def _step_fields(reader: Reader) -> dict[str, Any]:
    return {
        "title": reader.word,
        "note": reader.plain,
        "prompt": reader.text,
        "render": reader.text,
        "system": reader.text,
        "when": lambda n: _when(reader, n),
        "for_each": lambda n: _for_each(reader, n),
        "as": reader.name,
        "order": lambda n: _order(reader, n),
        "needs": reader.listed(lambda n: _need(reader, n)),
        "output": lambda n: parts.output(reader, n),
        "checks": lambda n: parts.checks(reader, n),
        "scaffold": reader.one_of(("auto", "none", "light", "medium", "heavy")),
        "scaffolds": lambda n: parts.scaffolds(reader, n),
        "on_fail": lambda n: parts.ladder(reader, n),
        "model": reader.word,
        "max_tokens": reader.whole(1, 100_000),
        "temperature": reader.number(0, 2),
        "few_shot": lambda n: parts.few_shot(reader, n),
        "facts": lambda n: _facts(reader, n),
    }


def _when(reader: Reader, node: Node) -> str | None:
    """Read a condition that is decided with the plan, so it belongs to no step's own names."""
    owner, reader.owner = reader.owner, ""
    condition = reader.condition(node)
    reader.owner = owner
    return condition


def _for_each(reader: Reader, node: Node) -> str | None:
    word = reader.word(node)
    return None if word is None else reader.named(node, word, "list")


def _need(reader: Reader, node: Node) -> str | None:
    word = reader.word(node)
    return None if word is None else reader.named(node, word, "step")


def _order(reader: Reader, node: Node) -> str | None:
    if node.raw == "in_sequence":
        reader.later(node, "in_sequence")
        return None
    order: str | None = reader.one_of(("at_once",))(node)
    return order


def _facts(reader: Reader, node: Node) -> str | None:
    if node.raw in ("all", "none"):
        return node.raw
    return reader.text(node)
