"""What a name of a template is, in a few lines of Markdown: for hovers and completions. Pure.

A step is shown as the prompt that a model would get, with what is known put in and the rest as
`<answer of profile>`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from crp.authoring.expressions import Typing, shape_of, typing, words
from crp.authoring.names import Definition, Outline, Place
from crp.authoring.stand_ins import stand_in, stand_in_list
from crp.errors import TemplateError
from crp.language.draft import ANSWER
from crp.language.reader import TextUse
from crp.language.schema import Extract, Input, Step
from crp.language.text import render

ENGINE = {
    "task": "the request",
    "context": "the facts that came with the request, as one text",
    "facts": "the passages of the facts that this prompt gets",
    "sheet": "facts with labels, by thing and label: `sheet[item].price`",
    "complexity": "how hard the task is, 1 to 5",
    "capability": "how able the model is, 0 to 3",
    "item": "the current entry of the list that the step goes over",
    "index": "the place of the current entry, from 1",
    "previous": "what was answered before: the earlier entries, or the last round",
    "feedback": "what the critique said of the last round",
    "critique": "what the critique said of this round",
    "entry": "the entry that is looked at",
    "loop": "the loop: `loop.index`, `first`, `last`, `length`",
    "snippets": "shared texts: `snippets.name`",
}
"""What the names mean that the engine gives."""

FILTERS = {
    "join": 'entries with a text between them: `items | join(" / ")`',
    "length": "how many entries or characters",
    "default": 'another value where there is none: `x | default("-")`',
    "upper": "in capitals",
    "lower": "in small letters",
    "trim": "without spaces at both ends",
    "first": "the first entry",
    "last": "the last entry",
    "bullets": "entries as bullet points",
    "numbered": "entries with numbers",
    "json": "as JSON",
    "words": "the number of words, or the first ones: `words(20)`",
    "quote": "in quotation marks",
    "numbers": "the numbers of a text",
    "missing": "the numbers and names that stand here and not there: `draft | missing(notes)`",
    "value": 'what a text says of a field: `entry | value("price")`',
}
"""What the filters of the language do."""


def summary(outline: Outline, definition: Definition) -> str:
    """Say in one line what a name is."""
    name, draft = definition.name, outline.draft
    if given := draft.inputs.get(name):
        return f"input: {given.help or given.type}"
    if wanted := draft.extracts.get(name):
        return f"list: {_short(wanted.ask) or 'found by code'}"
    if step := draft.steps.get(name):
        fan = f" for each of {step.for_each}" if step.for_each else ""
        return f"step: {step.title}{fan}, gives {step.output.label}"
    return definition.kind


def glance(outline: Outline, definition: Definition) -> str:
    """Say in Markdown what a name is."""
    name, draft = definition.name, outline.draft
    if step := draft.steps.get(name):
        return step_glance(outline, step)
    if wanted := draft.extracts.get(name):
        return _list(wanted)
    if given := draft.inputs.get(name):
        return _input(given)
    if definition.kind == "snippet":
        return f"**{name}** · snippet\n\n{_block(definition.node.raw.strip())}"
    return f"**{name}** · {definition.kind}, with a mistake in it"


def step_glance(outline: Outline, step: Step) -> str:
    """Show a step: its prompt with what is known put in, what it reads, gives, and must pass."""
    fan = f" · for each of `{step.for_each}`" if step.for_each else ""
    lines = [f"**{step.id}** · {step.kind}{fan}", _block(_filled(outline, step))]
    if reads := _reads(outline, step):
        lines.append(f"Reads: {', '.join(f'`{name}`' for name in reads)}")
    if step.when:
        lines.append(f"Only when: `{step.when}`")
    lines.append(f"Gives: `{step.output.label}`{_fields(step)}")
    if step.checks:
        lines.append("Checks: " + ", ".join(f"`{check.label}`" for check in step.checks))
    return "\n\n".join(lines)


# -- inside -------------------------------------------------------------------------------


def _filled(outline: Outline, step: Step) -> str:
    try:
        return render(step.text, known_values(outline, step))
    except TemplateError:
        return step.text.strip()


def known_values(outline: Outline, step: Step) -> Mapping[str, JsonValue]:
    """Give a value for every name that a step may use: the real one, or what stands for it."""
    draft = outline.draft
    names: dict[str, JsonValue] = {name: f"<{name}>" for name in ENGINE}
    names |= {"previous": [], "feedback": "", "sheet": {}, "index": 1, "complexity": 3}
    names["capability"] = 1
    names |= {n: _value(given) for n, given in draft.inputs.items()}
    names |= {n: stand_in_list(wanted) for n, wanted in draft.extracts.items()}
    items = {n: names.get(s.for_each) for n, s in draft.steps.items() if s.for_each}
    for name, other in draft.steps.items():
        label = name if other.output.fields else f"answer of {name}"
        one = stand_in(other.output, label, names)
        entries = items.get(name)
        several = entries if isinstance(entries, list) else []
        names[name] = {str(item): one for item in several} if other.for_each else one
    own = items.get(step.id)
    if isinstance(own, list) and own:
        names[step.item_name] = own[0]
    return names


def _value(given: Input) -> JsonValue:
    if given.default is not None:
        return given.default
    return [f"<{given.name}>"] if given.type == "list of text" else f"<{given.name}>"


def _reads(outline: Outline, step: Step) -> list[str]:
    """List the inputs, lists and steps that the texts of a step name."""
    found = [
        word.text
        for use in outline.reader.texts
        if use.owner == step.id
        for word in words(use.text, condition=use.condition)
        if word.kind == "name" and word.text in outline.draft.claimed
    ]
    found += [named.name for named in outline.reader.names if named.owner == step.id]
    return [name for name in dict.fromkeys(found) if name != step.id]


def _fields(step: Step) -> str:
    names = ", ".join(f"`{field.name}`" for field in step.output.fields)
    return f" with {names}" if names else ""


def _list(wanted: Extract) -> str:
    lines = [f"**{wanted.name}** · list of {wanted.min} to {wanted.max}"]
    if wanted.ask:
        lines.append(_block(wanted.ask))
    if wanted.source:
        lines.append(f"Code looks for {wanted.find} in: {', '.join(wanted.source)}")
    if wanted.otherwise:
        lines.append(f"Otherwise: {', '.join(wanted.otherwise)}")
    if wanted.otherwise_use:
        lines.append(f"Otherwise: the template `{wanted.otherwise_use}`")
    return "\n\n".join(lines)


def _input(given: Input) -> str:
    lines = [f"**{given.name}** · input, {given.type}", given.help]
    if given.choice:
        lines.append(f"One of: {', '.join(given.choice)}")
    if given.default is not None:
        lines.append(f"Default: `{given.default}`")
    return "\n\n".join(filter(None, lines))


def _block(text: str) -> str:
    """Quote a text as code; a fence in it is no end."""
    fence = "```" if "```" not in text else "`````"
    return f"{fence}text\n{text}\n{fence}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def answer_glance(outline: Outline) -> str:
    """Show how the answer is put together."""
    step = outline.draft.synthesize
    return step_glance(outline, step) if step and step.id == ANSWER else ""


def word_glance(outline: Outline, text: str, word: Place) -> str:
    """Explain a word of a text or a condition that the file does not make itself."""
    use = outline.text_at(word.line)
    found = _typing(text, use, word) if use else None
    if use is None or found is None:
        return ""
    name = found.typed
    if found.kind == "filter":
        return f"**{name}** · filter\n\n{FILTERS[name]}" if name in FILTERS else ""
    names = outline.visible(use)
    if found.kind == "field":
        shape = shape_of(found.before, names, found.locals).fields.get(name)
        return f"**{name}** · {shape.kind}, of `{found.before}`" if shape else ""
    if name in found.locals:
        return f"**{name}** · each of `{found.locals[name]}`"
    step = outline.draft.steps.get(use.owner)
    if step and step.for_each and name == step.item_name:
        return f"**{name}** · the current entry of `{step.for_each}`"
    return f"**{name}** · {ENGINE[name]}" if name in ENGINE else ""


def _typing(text: str, use: TextUse, word: Place) -> Typing | None:
    """Read a text up to the end of a word in it."""
    lines = text.split("\n")[use.node.line - 1 : word.line]
    lines[-1] = lines[-1][: word.column + word.width - 1]
    lines[0] = lines[0][use.node.column - 1 :].lstrip("'\"")
    written = "\n".join(lines)
    return typing(written, len(written), condition=use.condition)
