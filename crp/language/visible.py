"""Which names a text of a template sees, and what kind of value stands behind each."""

from __future__ import annotations

from collections.abc import Mapping

from crp.language.draft import Draft
from crp.language.reader import Part, TextUse
from crp.language.schema import Output, Step
from crp.language.shapes import ANY, NUMBER, TEXT, TEXTS, Shape

_INPUTS: dict[str, Shape] = {
    "text": TEXT,
    "number": NUMBER,
    "yes_no": ANY,
    "list of text": TEXTS,
}
_FIELDS = {"number": NUMBER, "list": TEXTS}
_KNOWN_FIRST = {
    "task": TEXT,
    "context": TEXT,
    "complexity": NUMBER,
    "capability": NUMBER,
    "sheet": ANY,
}
_OWN_ANSWER: tuple[Part, ...] = ("critique", "until", "expr")
"""What looks at a step's answer sees it under the step's id: the one of this item."""


class Names:
    """The names of one template, by text."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.given = {**_KNOWN_FIRST, **{n: _INPUTS[i.type] for n, i in draft.inputs.items()}}
        self.given |= dict.fromkeys(draft.extracts, TEXTS)
        self.given |= {n: ANY for n in draft.unread if n not in draft.step_nodes}
        self.outputs = {name: step_shape(step) for name, step in draft.steps.items()}
        self.outputs |= {n: ANY for n in draft.unread if n in draft.step_nodes}
        self.known: dict[tuple[str, str, str], Mapping[str, Shape]] = {}

    def of(self, use: TextUse) -> Mapping[str, Shape]:
        """Give the names that a text sees."""
        key = (use.owner, use.part, use.hidden)
        if key not in self.known:
            self.known[key] = self._seen(*key)
        return self.known[key]

    def _seen(self, owner: str, part: Part, hidden: str) -> dict[str, Shape]:
        if not owner:
            names = {n: shape for n, shape in self.given.items() if n != hidden}
            if part == "help":  # scaffolds for all steps: some have an item
                names |= {"item": TEXT, "index": NUMBER}
            return names
        names = {**self.given, **self.outputs}
        step = self.draft.steps.get(owner)
        if step is not None:
            return names | _of_step(step, part, names)
        if owner in self.draft.unread:
            names |= dict.fromkeys(("item", "index", "previous", "feedback", "entry"), ANY)
            names |= self._renamed(owner)
        return names

    def _renamed(self, owner: str) -> dict[str, Shape]:
        """Give the word behind `as` of a step that could not be read."""
        body = self.draft.bodies.get(owner)
        entry = body.entries.get("as") if body else None
        return {entry.value.raw: ANY} if entry else {}


def _of_step(step: Step, part: Part, names: Mapping[str, Shape]) -> dict[str, Shape]:
    """Give what only the texts of this step see."""
    own: dict[str, Shape] = {}
    if step.for_each:
        own |= {step.item_name: TEXT, "index": NUMBER}
    if part in ("text", "help"):
        own |= _earlier(step)
    if part in _OWN_ANSWER:
        one = answer_shape(step.output, f'step "{step.id}"')
        own |= {step.id: one}
        own |= one.fields if part == "expr" else {}
    if part == "until" and step.repeat and step.repeat.critique:
        own["critique"] = answer_shape(step.repeat.critique.output, '"critique"')
    if part == "entry" and step.pick:
        own["entry"] = _entry(names.get(step.pick.source, TEXT))
    return own


def _earlier(step: Step) -> dict[str, Shape]:
    """Give `previous`, and `feedback` where there is a critique."""
    if step.order == "in_sequence":
        return {"previous": Shape("list", _record(step.output))}
    if step.repeat is None:
        return {}
    names = {"previous": answer_shape(step.output, '"previous"')}
    return names | {"feedback": TEXT} if step.repeat.critique else names


def _record(output: Output) -> Shape:
    label = 'an entry of "previous"'
    one = answer_shape(output, label)
    if one.kind == "any":
        return ANY
    fields = one.fields if one.kind == "record" else {"answer": one}
    return Shape("record", fields={"item": TEXT, **fields}, label=label)


def _entry(source: Shape) -> Shape:
    if source.kind in ("list", "answers", "any"):
        return source.of or ANY
    return TEXT


def step_shape(step: Step) -> Shape:
    """Say what later texts see of a step's output."""
    label = f'step "{step.id}"'
    one = answer_shape(step.output, label)
    return Shape("answers", one, label=label) if step.for_each else one


def answer_shape(output: Output, label: str) -> Shape:
    """Say what one answer of this form is."""
    if output.kind == "fields":
        fields = {f.name: _FIELDS.get(f.kind, TEXT) for f in output.fields}
        return Shape("record", fields=fields, label=label)
    if output.kind in ("bullets", "numbered", "list"):
        return Shape("list", TEXT, label=label)
    if output.kind == "table":
        return Shape("list", ANY, label=label)
    if output.kind in ("number", "integer"):
        return Shape("number", label=label)
    return ANY if output.kind in ("json", "schema") else Shape("text", label=label)
