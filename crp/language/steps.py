"""Steps: `steps:` and `synthesize:`. Five kinds, one table of fields, and what goes together."""

from __future__ import annotations

from typing import Any, NamedTuple

from crp.language import parts
from crp.language.draft import ANSWER, RESERVED, Draft
from crp.language.kinds import output
from crp.language.makers import condition, listed, named, number, one_of, text, whole
from crp.language.reader import Part, Read, Reader
from crp.language.schema import Output, Pick, Repeat, Step, Use
from crp.language.source import Node
from crp.language.words import word_set

KINDS = ("prompt", "render", "calculate", "pick", "use")
_SHAPING = ("output", "for_each", "as", "order", "repeat")
_TASK = "{{ task }}"
_FOR_MODELS = word_set(
    """system scaffold scaffolds on_fail model max_tokens temperature samples vote fresh repeat
    few_shot facts"""
)
"""Fields that only a step that asks a model can make use of."""
_GIVES = {
    "calculate": ("number", "integer"),
    "pick": ("list", "bullets", "numbered", "text", "line"),
    "use": ("text", "line", "markdown"),
}
"""The outputs that a kind can have; the first is what it has without `output:`."""


class _Chosen(NamedTuple):
    """A kind that has more than a text: the text, and the rest."""

    text: str
    more: Pick | Use


def steps(reader: Reader, draft: Draft, node: Node) -> None:
    entries = draft.entries(reader, node, "steps")
    if node.kind == "map" and not node.entries:
        reader.error(node, "a template needs at least one step", "F003")
    for name, value in entries:
        draft.step_nodes[name], draft.bodies[name] = node.entries[name]
        reader.owner = name
        step = _step(reader, name, value, f'step "{name}"', _STEP)
        reader.owner = ""
        if step is None:
            draft.unread.add(name)
        else:
            draft.steps[name] = step


def synthesize(reader: Reader, draft: Draft, node: Node) -> None:
    reader.owner = ANSWER
    draft.synthesize = _step(reader, ANSWER, node, "synthesize", _SYNTHESIZE)
    reader.owner = ""


def _step(reader: Reader, name: str, node: Node, what: str, known: dict[str, Read]) -> Step | None:
    title = name.replace("_", " ").capitalize()
    if node.kind == "scalar":
        prompt = reader.text(node)
        return None if prompt is None else Step(id=name, title=title, text=prompt)
    values = reader.fields(node, what, known)
    kind = None if values is None else _kind(reader, node, what, known)
    if values is None or kind is None or not _understood(node, kind, values):
        return None
    values = {"id": name, "title": title, **_of_kind(kind, values), **values}
    values.pop("note", None)
    fitting = _output_fits(reader, node, values)
    fitting = _vote_fits(reader, node, values) and fitting
    fitting = _sequence_fits(reader, node, values) and fitting
    _warn_of_idle(reader, node, values)
    if values.get("fresh"):
        values.setdefault("facts", "none")
    return Step(**values) if fitting else None


def _kind(reader: Reader, node: Node, what: str, known: dict[str, Read]) -> str | None:
    possible = [k for k in KINDS if k in known]
    kinds = [k for k in possible if k in node.entries]
    if len(kinds) == 1:
        return kinds[0]
    if kinds or set(node.entries) <= set(known):  # else a misspelled one was reported
        message = f"{what} needs exactly one of: {', '.join(possible)}"
        reader.error(node.entries[kinds[1]].key if kinds else node.first_key(), message, "F006")
    return None


def _understood(node: Node, kind: str, values: dict[str, Any]) -> bool:
    """Whether what others see of the step was read: else they would say its mistakes again."""
    return all(key in values or key not in node.entries for key in (kind, *_SHAPING))


def _of_kind(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Give what a step's kind sets, and take it out of what was read."""
    given = values.pop(kind)
    found: dict[str, Any] = {"kind": kind, "text": given}
    if isinstance(given, _Chosen):
        found |= {"text": given.text, kind: given.more}
    if kind in _GIVES and "output" not in values:
        only_one = isinstance(given, _Chosen) and getattr(given.more, "top", 0) == 1
        found["output"] = Output(kind="text" if only_one else _GIVES[kind][0])  # type: ignore[arg-type]
    if "as" in values:
        found["item_name"] = values.pop("as")
    return found


# -- kinds with fields of their own ---------------------------------------------------------


def _pick(reader: Reader, node: Node) -> _Chosen | None:
    if node.kind == "scalar":
        source = reader.named(node, "pool")
        return None if source is None else _Chosen(_TASK, Pick(source=source))
    values = reader.fields(node, "pick", _PICK)
    if values is None:
        return None
    about = values.pop("about", "" if values.get("from") == "sentences" else _TASK)
    if "from" in values:
        values["source"] = values.pop("from")
    if "by" in values and "about" in node.entries:
        message = "`about` ranks by words and `by` by a value: one of them"
        reader.error(node.entries["about"].key, message, "F013")
    return _Chosen(about, Pick(**values))


def _use(reader: Reader, node: Node) -> _Chosen | None:
    if node.kind == "scalar":
        template = reader.template_name(node)
        return None if template is None else _Chosen(_TASK, Use(template=template))
    values = reader.fields(node, "use", _USE)
    if values is None:
        return None
    if "template" not in values:
        if "template" not in node.entries:
            reader.error(node.first_key(), 'use needs "template"', "F003")
        return None
    task = values.pop("task", _TASK)
    return _Chosen(task, Use(**values))


def _use_inputs(reader: Reader, node: Node) -> dict[str, str] | None:
    if node.kind != "map":
        reader.error(node, "inputs must be fields: `name: text`", "F002")
        return None
    pairs = [(reader.name(e.key), reader.text(e.value)) for e in node.entries.values()]
    return {n: t for n, t in pairs if n is not None and t is not None}


def _repeat(reader: Reader, node: Node) -> Repeat | None:
    values = reader.fields(node, "repeat", _REPEAT)
    if values is None:
        return None
    if "until" not in node.entries:
        help = 'a condition such as `until: critique.ok == "yes"`'
        reader.error(node.first_key(), 'repeat needs "until"', "F003", help)
    understood = "until" in values and ("critique" in values or "critique" not in node.entries)
    return Repeat(**values) if understood else None


def _critique(reader: Reader, node: Node) -> Step | None:
    """Read a prompt that looks at an answer. It has no ladder and no checks of its own."""
    if node.kind == "scalar":
        prompt = reader.text(node, "critique")
        return None if prompt is None else Step(id="critique", title="Critique", text=prompt)
    values = reader.fields(node, "critique", _CRITIQUE)
    if values is None:
        return None
    if "prompt" not in values:
        if "prompt" not in node.entries and set(node.entries) <= set(_CRITIQUE):
            reader.error(node.first_key(), 'critique needs "prompt"', "F003")
        return None
    values.pop("note", None)
    return Step(**{"id": "critique", "title": "Critique", "text": values.pop("prompt"), **values})


def _item_name(reader: Reader, node: Node) -> str | None:
    name = reader.name(node)
    if name in RESERVED and name != "item":
        reader.error(node, f'the name "{name}" is taken by the engine', "F009")
        return None
    return name


def _facts(part: Part) -> Read:
    def read(reader: Reader, node: Node) -> str | None:
        return node.raw if node.raw in ("all", "none") else reader.text(node, part)

    return read


# -- what goes together ---------------------------------------------------------------------


def _output_fits(reader: Reader, node: Node, values: dict[str, Any]) -> bool:
    kind, made = values["kind"], values.get("output", Output())
    if kind not in _GIVES or made.kind in _GIVES[kind]:
        return True
    words = " or ".join((", ".join(_GIVES[kind][:-1]), _GIVES[kind][-1]))
    reader.error(node.entries["output"].value, f"{kind} gives {words}, not {made.kind}", "F013")
    return False


def _vote_fits(reader: Reader, node: Node, values: dict[str, Any]) -> bool:
    if "vote" not in values:
        return True
    vote, fields = values["vote"], [f.name for f in values.get("output", Output()).fields]
    if vote in fields or (not fields and "output" in node.entries and "output" not in values):
        return True
    place, help = node.entries["vote"].value, reader.suggest(vote, fields)
    if fields:
        reader.error(place, f'the output has no field "{vote[:60]}" to vote on', "R001", help)
    else:
        help = "without `vote`, the whole answer is voted on"
        message = "vote names a field, but the output has no fields"
        reader.error(place, message, "F013", help)
    return False


def _sequence_fits(reader: Reader, node: Node, values: dict[str, Any]) -> bool:
    if values.get("order") != "in_sequence":
        return True
    if "for_each" not in node.entries:
        reader.error(node.entries["order"].value, "order: in_sequence needs for_each", "F013")
    elif "repeat" in values:
        message = "in_sequence and repeat both give `previous`: one of them"
        reader.error(node.entries["repeat"].key, message, "F013")
    else:
        return True
    return False


def _warn_of_idle(reader: Reader, node: Node, values: dict[str, Any]) -> None:
    """Say which fields change nothing here."""
    kind = values["kind"]
    for word in node.entries if kind != "prompt" else ():
        if word in _FOR_MODELS:
            message = f'"{word}" does nothing here: {kind} asks no model'
            if kind == "use":
                message = f'"{word}" does nothing here: the other template has its own'
            reader.warn(node.entries[word].key, message, "W205")
    if "vote" in values and values.get("samples", 1) == 1:
        reader.warn(node.entries["vote"].key, '"vote" does nothing without samples', "W205")
    if "as" in node.entries and "for_each" not in node.entries:
        reader.warn(node.entries["as"].key, '"as" does nothing without for_each', "W205")


# -- the fields -----------------------------------------------------------------------------

_STEP: dict[str, Read] = {
    "title": Reader.word,
    "note": Reader.plain,
    "prompt": Reader.text,
    "render": Reader.text,
    "calculate": Reader.text,
    "pick": _pick,
    "use": _use,
    "system": Reader.text,
    "when": condition("when"),
    "for_each": named("list"),
    "as": _item_name,
    "order": one_of(("at_once", "in_sequence")),
    "needs": listed(named("step")),
    "output": output,
    "checks": parts.checks,
    "scaffold": one_of(("auto", "none", "light", "medium", "heavy")),
    "scaffolds": parts.scaffolds,
    "on_fail": parts.ladder,
    "model": Reader.word,
    "max_tokens": whole(1, 100_000),
    "temperature": number(0, 2),
    "samples": whole(1, 9),
    "vote": Reader.word,
    "fresh": Reader.yes_no,
    "repeat": _repeat,
    "few_shot": parts.few_shot,
    "facts": _facts("text"),
}
_ONLY_STEPS = word_set("calculate pick use when for_each as order needs samples vote fresh repeat")
_SYNTHESIZE = {word: read for word, read in _STEP.items() if word not in _ONLY_STEPS}
_CRITIQUE: dict[str, Read] = {
    **{w: _STEP[w] for w in ("title", "note", "output", "model", "max_tokens", "temperature")},
    "prompt": text("critique"),
    "system": text("critique"),
    "facts": _facts("critique"),
}
_PICK: dict[str, Read] = {
    "from": named("pool"),
    "about": Reader.text,
    "by": condition("entry"),
    "order": one_of(("highest", "lowest")),
    "where": condition("entry"),
    "top": whole(1, 50),
}
_USE: dict[str, Read] = {
    "template": Reader.template_name,
    "task": Reader.text,
    "inputs": _use_inputs,
}
_REPEAT: dict[str, Read] = {
    "until": condition("until"),
    "max": whole(1, 5),
    "critique": _critique,
}
