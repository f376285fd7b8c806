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
from crp.language import bycode, checks, match
from crp.language.lists import sheet, without_asking
from crp.language.load import load
from crp.language.plan import complexity_of, make_plan
from crp.language.schema import Input, Template
from crp.language.scope import Scope
from crp.language.shapes import suggest
from crp.language.show import show
from crp.models import (
    Attempt,
    Call,
    Candidate,
    Completion,
    Job,
    Level,
    Library,
    Match,
    Plan,
    Score,
    Task,
    TemplateSource,
)
from crp.stages import Brief, PlanRequest, Route
from crp_activities.ask import judge, known

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
    template = _compiled(source, library)
    capability = job.model("default").capability
    found = _lists(template, task, capability)
    notes = [_shorten(found, name, template.limits.items) for name in found]
    names = {**inputs_of(template, task), **found, "sheet": _sheet(task)}
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
    """Make what needs no model: a text, a sum, a choice, a decision, the joined answer.

    `part="check"` holds `draft`, which another template made, to what the step asks.
    """
    about = known(call)
    if call.part == "check":
        return _checked(brief, call, about)
    try:
        found = bycode.made(brief, call)
    except (TemplateError, bycode.Unworkable) as error:
        return Attempt(**about, status="content", error=str(error))
    if not found.text.strip():
        return Attempt(**about, status="content", error="the text came out empty")
    return Attempt(
        **about,
        status="ok" if all(verdict.passed for verdict in found.verdicts) else "content",
        output=found.text,
        value=found.value,
        verdicts=found.verdicts,
        quality=checks.mean(found.verdicts),
        stop=found.stop,
    )


def _checked(brief: Brief, call: Call, about: dict[str, Any]) -> Attempt:
    plain = call.model_copy(update={"part": "", "level": Level.NONE})
    try:
        judged = judge(brief, plain, Completion(text=show(call.draft)))
    except TemplateError as error:
        return Attempt(**about, status="content", error=str(error))
    return Attempt(
        **about,
        status="ok" if judged.good else "content",
        output=judged.output,
        value=judged.value,
        verdicts=judged.verdicts,
        quality=checks.mean(judged.verdicts),
        stop=judged.stop,
    )


def score(
    brief: Brief, candidates: tuple[Candidate, ...], given: dict[str, JsonValue]
) -> tuple[Score, ...]:
    """Score every candidate by the same checks."""
    task = brief.job.task
    capability = brief.job.model("default").capability
    names = {**brief.names, "complexity": brief.complexity, "capability": capability}

    def scored(candidate: Candidate) -> Score:
        scope = Scope(
            task=task.text,
            facts=task.context,
            names=names,
            outputs=given,
            finish_reason=candidate.finish_reason,
            step="answer",
            judged=candidate.judged,
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
                readable.append(_compiled(source, library))
    return readable


def _compiled(source: TemplateSource, library: Library) -> Template:
    return _loaded(source.text, source.name, source.base, library.snippets)


@lru_cache(maxsize=256)
def _loaded(text: str, name: str, base: str, snippets: str) -> Template:
    return load(text, name, base=base, snippets=snippets)


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


def inputs_of(template: Template, task: Task) -> dict[str, JsonValue]:
    """Read the inputs that a template declares. Raises UsageError for those that do not fit."""
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
