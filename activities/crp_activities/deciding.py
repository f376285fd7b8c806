"""The stages that need no model: route, decompose, render, score. CPU only.

They are activities because their texts may be big and hostile: a workflow task must never wait
for them, and a replay must never run them again.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import Any

from pydantic import JsonValue

from crp.errors import NotFound, TemplateError, UsageError
from crp.language import asking, checks, match, outputs
from crp.language.lists import sheet, without_asking
from crp.language.load import load
from crp.language.plan import complexity_of, make_plan
from crp.language.schema import Input, Step, Template
from crp.language.scope import Scope
from crp.language.shapes import suggest
from crp.language.show import show
from crp.language.text import render as render_text
from crp.models import (
    Attempt,
    Call,
    Candidate,
    Job,
    Library,
    Match,
    Plan,
    Score,
    Task,
    TemplateSource,
)
from crp.stages import Brief, PlanRequest, Route
from crp_activities.ask import step_id

FALLBACK = "generic-analysis"


def route(job: Job, library: Library, forced: str | None = None) -> Route:
    """Choose a template for the task and read what stands in the request itself.

    Raises NotFound for a name that is not in the library, UsageError for wrong inputs.
    """
    task = job.task
    ranked = tuple(match.rank(task.text, _candidates(library)))
    wanted = forced or task.template
    matched = bool(wanted) or bool(ranked and ranked[0].score >= match.FLOOR)
    source = _source(library, wanted or (ranked[0].template if matched else FALLBACK))
    template = _compiled(source.text, source.name)
    capability = job.model("default").capability
    found = _lists(template, task, capability)
    notes = [_shorten(found, name, template.limits.items) for name in found]
    names = {**_inputs(template, task), **found, "sheet": _sheet(task)}
    return Route(
        source=source,
        template=template,
        matches=_forced(source.name) if wanted else ranked,
        matched=matched,
        complexity=complexity_of(template, task, names),
        names=names,
        notes=tuple(note for note in notes if note),
    )


def decompose(brief: Brief, request: PlanRequest) -> Plan:
    """Make the plan; the same brief gives the same plan."""
    return make_plan(brief, request)


def render(brief: Brief, call: Call) -> Attempt:
    """Write a text without a model: a `render` step, or the joined answer."""
    known: dict[str, Any] = {"stage": call.stage, "step": step_id(call), "number": call.number}
    try:
        step = _joining(brief.template) if call.stage == "synthesize" else _step(brief, call)
        text = _default_join(brief, call) if step is None else _rendered(brief, call, step)
    except TemplateError as error:
        return Attempt(**known, status="content", error=str(error))
    if not text.strip():
        return Attempt(**known, status="content", error="the text came out empty")
    output = step.output if step else checks.final_output(brief.template)
    value = outputs.parse(output, text, brief.names).value
    return Attempt(**known, output=text, value=text if value is None else value, quality=1.0)


def score(
    brief: Brief, candidates: tuple[Candidate, ...], given: dict[str, JsonValue]
) -> tuple[Score, ...]:
    """Score every candidate by the same checks."""
    task = brief.job.task

    def scored(candidate: Candidate) -> Score:
        scope = Scope(
            task=task.text,
            facts=task.context,
            names=brief.names,
            outputs=given,
            finish_reason=candidate.finish_reason,
        )
        return checks.score(brief.template, candidate, scope)

    return tuple(map(scored, candidates))


def _candidates(library: Library) -> list[Template]:
    """The templates to choose from. One that this worker's version can not read is not among
    them: a job that wants another must not fail for it."""
    readable: list[Template] = []
    for source in library.templates:
        if source.name != FALLBACK:
            with contextlib.suppress(TemplateError):
                readable.append(_compiled(source.text, source.name))
    return readable


@lru_cache(maxsize=256)
def _compiled(text: str, name: str) -> Template:
    return load(text, name)


def _source(library: Library, name: str) -> TemplateSource:
    source = library.get(name)
    if source is None:
        there = [t.name for t in library.templates]
        raise NotFound(f"no template {name!r}: {suggest(name, there) or ', '.join(there)}")
    return source


def _forced(name: str) -> tuple[Match, ...]:
    return (Match(template=name, score=1.0, reasons=("asked for by name",)),)


def _sheet(task: Task) -> JsonValue:
    """The facts by thing and label, when they have that form: joining needs no model then."""
    return {name: dict(row) for name, row in sheet(task.context).items()}


def _lists(template: Template, task: Task, capability: int) -> dict[str, JsonValue]:
    """The lists that are given, that code finds, or that stand without asking a weak model."""
    found: dict[str, JsonValue] = {}
    for wanted in template.extract:
        given = task.inputs.get(wanted.name)
        if given is not None:
            # An item names its step: the same one twice would be two steps of one name.
            found[wanted.name] = list(dict.fromkeys(_as_list(wanted.name, given)))
            continue
        entries = match.find_list(wanted, task, found)
        if entries is None and (not wanted.ask or capability < wanted.min_capability):
            entries = without_asking(wanted, task)
        if entries is None:
            continue
        kept, problem = match.guard(wanted, entries, task, found)
        if not problem:
            found[wanted.name] = list(kept)
    return found


def _shorten(found: dict[str, JsonValue], name: str, most: int) -> str:
    """Hold a list to the template's limit; say what that cost."""
    entries = found[name]
    if not isinstance(entries, list) or len(entries) <= most:
        return ""
    found[name] = entries[:most]
    return f"{name}: the first {most} of {len(entries)} are used, the template's limit"


def _as_list(name: str, given: JsonValue) -> list[str]:
    entries = given.split(",") if isinstance(given, str) else given
    texts = [str(entry).strip() for entry in entries] if isinstance(entries, list) else []
    if not any(texts):
        raise UsageError(f"input {name} must be a list such as 'A, B, C' (got {given!r})")
    return [text for text in texts if text]


def _inputs(template: Template, task: Task) -> dict[str, JsonValue]:
    declared = {wanted.name: wanted for wanted in template.inputs}
    known = {*declared, *(e.name for e in template.extract)}
    for name in task.inputs:
        if name not in known:
            there = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise UsageError(f"template {template.template} has no input {name!r}: {there}")
    return {name: _input(wanted, task.inputs.get(name)) for name, wanted in declared.items()}


def _input(wanted: Input, given: JsonValue) -> JsonValue:
    if given is None:
        if wanted.required:
            raise UsageError(f"input {wanted.name} is missing: {wanted.help or 'give a value'}")
        return wanted.default
    if wanted.choice and str(given) not in wanted.choice:
        raise UsageError(f"input {wanted.name} is one of {', '.join(wanted.choice)}, not {given!r}")
    if wanted.type == "number" and not isinstance(given, int | float):
        try:
            return float(str(given))
        except ValueError:
            raise UsageError(f"input {wanted.name} is a number, not {given!r}") from None
    if wanted.type == "list of text":
        return list(_as_list(wanted.name, given))
    return given


def _step(brief: Brief, call: Call) -> Step:
    return brief.template.step(call.step)


def _joining(template: Template) -> Step | None:
    """The template's own way to join; None when it leaves that to the engine."""
    step = template.synthesize
    return step if step is not None and step.kind == "render" else None


def _rendered(brief: Brief, call: Call, step: Step) -> str:
    return render_text(step.text, asking.names_of(brief, call, step)).strip()


def _default_join(brief: Brief, call: Call) -> str:
    """The last step's output when that is the answer, otherwise every output under its title."""
    steps = brief.template.steps
    last = call.outputs.get(steps[-1].id)
    if brief.template.synthesize is None and last is not None:
        return show(last).strip()
    made = [s for s in steps if call.outputs.get(s.id) is not None]
    if len(made) == 1:
        return show(call.outputs[made[0].id]).strip()
    parts = [show(call.outputs[s.id], heading=s.title or s.id) for s in made]
    return "\n\n".join(part.strip() for part in parts if part.strip())
