"""A template's steps drawn: as text in layers, or as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from crp.authoring.layers import Edge, answered_by, edges, given, layers, lists_before, marks
from crp.language.schema import Extract, Step, Template
from crp.language.words import shorten

_LONGEST = 80


def drawn(template: Template) -> str:
    """Draw the steps in layers: those of one layer may run at the same time."""
    lines = [f"{template.template}  {template.version}".rstrip()]
    if template.extract:
        lines += ["", "lists"]
        lines += [f"  {name}" for e in template.extract for name in _list_lines(template, e)]
    for number, layer in enumerate(layers(template), 1):
        lines += ["", f"layer {number}"]
        lines += [f"  {line}" for step in layer for line in _step_lines(template, step)]
    lines += ["", "answer", *(f"  {line}" for line in _answer_lines(template))]
    return "\n".join(lines)


def _list_lines(template: Template, wanted: Extract) -> Iterator[str]:
    size = f"{wanted.min}-{wanted.max}" if wanted.min != wanted.max else str(wanted.min)
    found = " or ".join([*(["found by code"] if wanted.source else []), *_asked(wanted)])
    yield f"{wanted.name}  {size} entries, {found or 'given'}"
    if before := lists_before(template, wanted):
        yield f"  <- {', '.join(before)}"
    if wanted.otherwise_use:
        yield f"  otherwise the template {wanted.otherwise_use}"
    elif wanted.otherwise:
        yield f"  otherwise {shorten(', '.join(wanted.otherwise), _LONGEST)}"


def _asked(wanted: Extract) -> list[str]:
    return ["asked of the model"] if wanted.ask else []


def _step_lines(template: Template, step: Step) -> Iterator[str]:
    fan = f" ×{step.for_each}" if step.for_each else ""
    yield f"{step.id}{fan}  {step.kind} -> {step.output.label}"
    for edge in edges(template, step):
        yield f"  <- {edge.name}{_how(edge)}"
    if names := given(template, step):
        yield f"  <- {', '.join(names)} (given)"
    for mark in marks(step):
        yield f"  {shorten(mark, _LONGEST)}"


def _how(edge: Edge) -> str:
    said = [edge.how] if edge.how else []
    said += ["may be missing"] if edge.optional else []
    return f" ({', '.join(said)})" if said else ""


def _answer_lines(template: Template) -> Iterator[str]:
    if template.synthesize is None:
        yield f"<- {', '.join(answered_by(template))}"
        return
    yield f"{template.synthesize.kind} -> {template.synthesize.output.label}"
    for edge in edges(template, template.synthesize):
        yield f"  <- {edge.name}{_how(edge)}"


# -- Mermaid --------------------------------------------------------------------------------------


def flowchart(template: Template) -> str:
    """Write the graph as a Mermaid flowchart. Fan-outs are stacked boxes, lists are slanted."""
    lines = ["flowchart TD"]
    for wanted in template.extract:
        lines.append(f'  list_{wanted.name}[/"{_safe(wanted.name)}"/]')
        lines += [f"  list_{n} --> list_{wanted.name}" for n in _lists(template, wanted)]
    for step in template.steps:
        lines.append(f"  {_node(step)}")
        lines += [f"  {line}" for line in _arrows(template, step, f"step_{step.id}")]
    lines.append(f'  answer(["{_answer_label(template)}"])')
    if template.synthesize is None:
        lines += [f"  step_{name} --> answer" for name in answered_by(template)]
    else:
        lines += [f"  {line}" for line in _arrows(template, template.synthesize, "answer")]
    return "\n".join(lines)


def _lists(template: Template, wanted: Extract) -> list[str]:
    lists = {e.name for e in template.extract}
    return [n for n in lists_before(template, wanted) if n in lists]


def _node(step: Step) -> str:
    parts = [step.title or step.id, f"{step.kind} → {step.output.label}", *marks(step)]
    label = "<br/>".join(_safe(shorten(part, _LONGEST)) for part in parts)
    if step.for_each:
        return f'step_{step.id}[["{label}<br/>×{_safe(step.for_each)}"]]'
    return f'step_{step.id}["{label}"]'


def _arrows(template: Template, step: Step, target: str) -> Iterator[str]:
    if step.for_each:
        yield f"list_{step.for_each} ==>|each| {target}"
    for edge in edges(template, step):
        arrow = "-.->" if edge.optional or edge.how == "order only" else "-->"
        label = f"|{edge.how}|" if edge.how else ""
        yield f"step_{edge.name} {arrow}{label} {target}"


def _answer_label(template: Template) -> str:
    kind = template.synthesize.kind if template.synthesize else ""
    return f"answer<br/>{kind}" if kind else "answer"


def _safe(text: str) -> str:
    """What Mermaid reads as its own signs, as entities."""
    for sign, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, entity)
    return text
