"""Templates that use each other: every one that is named must be there, and none in a circle.

A template is used by a step, by a rung of a ladder, or by a list that finds too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crp.errors import TemplateError
from crp.language.schema import Step, Template
from crp.language.shapes import suggest
from crp.language.source import Node, Source
from crp.models import Problem, Rung


class Used(NamedTuple):
    """One place where a template names another."""

    who: str
    """`step "profile"`, as messages call it."""
    name: str


def uses(template: Template) -> Iterator[Used]:
    """Every other template that a template names."""
    for entry in template.extract:
        if entry.otherwise_use:
            yield Used(f'the list "{entry.name}"', entry.otherwise_use)
    for step in _steps(template):
        who = "the answer" if step is template.synthesize else f'step "{step.id}"'
        if step.use is not None:
            yield Used(who, step.use.template)
        yield from _of_ladder(step.on_fail, f"the ladder of {who}")
    yield from _of_ladder(template.on_fail, "the ladder")


def _steps(template: Template) -> Iterator[Step]:
    yield from template.steps
    if template.synthesize is not None:
        yield template.synthesize


def _of_ladder(rungs: tuple[Rung, ...] | None, who: str) -> Iterator[Used]:
    for rung in rungs or ():
        if rung.action == "use":
            yield Used(who, str(rung.value))


def use_problems(
    templates: Mapping[str, Template], files: Mapping[str, tuple[str, str]]
) -> list[Problem]:
    """Say what is missing or goes in a circle. `files` has each template's text and file name."""
    return [
        problem
        for name, template in templates.items()
        for problem in problems_of_one(template, templates, *files[name])
    ]


def problems_of_one(
    template: Template, templates: Mapping[str, Template], text: str, file: str
) -> Iterator[Problem]:
    """What one template uses that is missing or leads back to it."""
    for used in dict.fromkeys(uses(template)):
        if used.name not in templates:
            message = f'{used.who} uses the template "{used.name}": there is none'
            help = suggest(used.name, templates)
            yield _problem(text, file, used.name, message, "L002", help)
    circle = _circle(template, templates)
    if circle:
        message = f"these templates use each other: {' -> '.join(circle)}"
        yield _problem(text, file, circle[1], message, "L003")


def _circle(template: Template, templates: Mapping[str, Template]) -> list[str]:
    """The shortest way from a template back to itself; empty when there is none."""
    start = template.template
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for used in uses(templates.get(way[-1], template)) if way[-1] in templates else ():
            if used.name == start:
                return [*way, start]
            if used.name not in seen:
                seen.add(used.name)
                ways.append([*way, used.name])
    return []


def _problem(text: str, file: str, name: str, message: str, code: str, help: str = "") -> Problem:
    """A problem where the name stands; the first line when it came with the base."""
    try:
        source = Source(text, file)
        root = source.node()
    except TemplateError:
        return Problem(file=file, line=1, column=1, message=message, code=code, help=help)
    node = next(_naming(root, name), None) or _extending(root)
    width = node.width
    return source.problem(node.line, node.column, message, code, help=help, width=width)


def _naming(node: Node, name: str) -> Iterator[Node]:
    """The values that name a template: `use: x`, `use: {template: x}`, `otherwise: use x`."""
    for key, entry in node.entries.items():
        value = entry.value
        if key == "use" and value.kind == "map" and "template" in value.entries:
            value = value.entries["template"].value
        named = f"use {name}" if key == "otherwise" else name
        if key in ("use", "otherwise") and " ".join(value.raw.split()) == named:
            yield value
        elif key != "tests":
            yield from _naming(entry.value, name)
    for item in node.items:
        yield from _naming(item, name)


def _extending(root: Node) -> Node:
    entry = root.entries.get("extends")
    return entry.value if entry else root.first_key()
