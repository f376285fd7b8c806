"""The steps of a template as layers: what may run at the same time, and what each part reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from crp.errors import TemplateError
from crp.language import text
from crp.language.schema import Extract, Step, Template


class Edge(NamedTuple):
    """Something that a step waits for."""

    name: str
    how: str = ""
    """`each item` (only this item's answer), `all items`, `order only`, or nothing."""
    optional: bool = False


def edges(template: Template, step: Step) -> list[Edge]:
    """What a step waits for: other steps, in the order of the file."""
    fans = {s.id for s in template.steps if s.for_each}
    found = [Edge(n, "each item", n in step.optional) for n in step.reads_item]
    found += [Edge(n, _all(n, fans), n in step.optional) for n in step.reads]
    read = {*step.reads, *step.reads_item}
    found += [Edge(n, "order only") for n in step.needs if n not in read]
    return found


def _all(name: str, fans: set[str]) -> str:
    return "all items" if name in fans else ""


def layers(template: Template) -> list[list[Step]]:
    """Steps by the number of steps that must end before, so each layer waits for those above."""
    depth: dict[str, int] = {}
    for step in template.steps:  # each comes after what it needs
        before = [depth[e.name] for e in edges(template, step) if e.name in depth]
        depth[step.id] = 1 + max(before, default=-1)
    found: list[list[Step]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for step in template.steps:
        found[depth[step.id]].append(step)
    return found


def answered_by(template: Template) -> list[str]:
    """Steps that the answer is made of when the template does not join them itself."""
    return [template.steps[-1].id]


def given(template: Template, step: Step) -> list[str]:
    """Inputs and lists that a step's text reads, beside the list that it goes over."""
    known = {*(i.name for i in template.inputs), *(e.name for e in template.extract)}
    return [n for n in _names(step.text) if n in known and n != step.for_each]


def lists_before(template: Template, wanted: Extract) -> list[str]:
    """Lists and inputs that the question for a list reads."""
    known = {*(i.name for i in template.inputs), *(e.name for e in template.extract)}
    return [n for n in _names(wanted.ask) if n in known and n != wanted.name]


def marks(step: Step) -> Iterator[str]:
    """What is special about a step, as short words."""
    if step.order == "in_sequence":
        yield "in sequence"
    if step.samples > 1:
        yield f"{step.samples} samples" + (f", vote on {step.vote}" if step.vote else ", vote")
    if step.repeat is not None:
        yield f"repeat up to {step.repeat.max} until {step.repeat.until}"
    if step.use is not None:
        yield f"by template {step.use.template}"
    if step.fresh:
        yield "fresh"
    if step.model != "default":
        yield f"model {step.model}"
    if step.when:
        yield f"when {step.when}" + (" (decided when its turn comes)" if step.late else "")


def _names(source: str) -> list[str]:
    try:
        return list(dict.fromkeys(r.name for r in text.references(source)))
    except TemplateError:
        return []
