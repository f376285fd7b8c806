"""The prompts of a job before there is one: what a step would say to the model. Asks no model.

What only a model can give is shown as `<answer of profile/Vue>`, in the form that the step would
give it. Pure: the library and the task are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import JsonValue

from crp.authoring.stand_ins import outputs_for, stand_in, stand_in_list
from crp.errors import NotFound, UsageError
from crp.language import envelope
from crp.language.plan import make_plan, start_level
from crp.language.schema import Step
from crp.language.shapes import suggest
from crp.models import Call, Job, Level, Library, Plan, PlannedStep, Pressure
from crp.stages import Brief, PlanRequest
from crp_activities.deciding import render, route
from crp_workflows.activation import step_cap

CRITIQUE = ".critique"
"""Behind a step's name: the prompt that looks at its answer."""


@dataclass(frozen=True)
class Preview:
    """One prompt, or the text that code makes where no model is asked."""

    name: str
    """`items`, `profile/Vue`, `draft.critique`, `answer`."""
    title: str
    level: Level
    sealed: envelope.Envelope | None
    """None where no model is asked."""
    text: str = ""
    """What code makes of the stand-ins, where no model is asked."""
    note: str = ""


@dataclass(frozen=True)
class Imagined:
    """A job with stand-ins for everything that a model would say."""

    brief: Brief
    plan: Plan
    outputs: dict[str, JsonValue]

    @property
    def names(self) -> list[str]:
        """Everything of which there is a prompt, in the order in which it is asked."""
        template = self.brief.template
        lists = [e.name for e in template.extract if e.ask]
        steps = [
            name
            for s in template.steps
            for name in (s.id, *([s.id + CRITIQUE] if s.repeat and s.repeat.critique else []))
        ]
        return [*lists, *steps, *(["answer"] if template.synthesize else []), "probe"]


def imagine(job: Job, library: Library) -> Imagined:
    """Route a task, read its lists, make up what is not there, and plan.

    Raises NotFound for a template that does not exist, UsageError for wrong inputs.
    """
    chosen = route(job, library)
    names = dict(chosen.names)
    for wanted in chosen.template.extract:
        names.setdefault(wanted.name, stand_in_list(wanted))
    brief = Brief(
        job=job,
        template=chosen.template,
        scaffolds=library.scaffolds,
        complexity=chosen.complexity,
        names=names,
    )
    cap = step_cap(job.config, job.task.pressure or Pressure.NONE)
    plan = make_plan(brief, PlanRequest(max_steps=cap))
    return Imagined(brief, plan, outputs_for(chosen.template, names))


def previews(
    job: Job, library: Library, step: str = "", item: str = "", level: Level | None = None
) -> list[Preview]:
    """Show one prompt, or all of a template's; of a fan-out the first item's, or the one named.

    Raises NotFound for a step or an item that does not exist.
    """
    made = imagine(job, library)
    if step and step not in made.names:
        there = suggest(step, made.names) or f"there are {', '.join(made.names)}"
        raise NotFound(f"template {made.brief.template.template} has no step {step!r}: {there}")
    wanted = [step] if step else [name for name in made.names if name != "probe"]
    return [_preview(made, name, item, level) for name in wanted]


def _preview(made: Imagined, name: str, item: str, level: Level | None) -> Preview:
    template, job = made.brief.template, made.brief.job
    if name == "probe":
        start = start_level("auto", job.config.scaffold_level, job.model("default").capability)
        return _asked(made, name, "", Call(stage="probe", level=start if level is None else level))
    wanted = next((e for e in template.extract if e.name == name), None)
    if wanted is not None:
        call = Call(stage="extract", step=name, model=wanted.model)
        found = made.brief.names[name] != stand_in_list(wanted)
        note = "not asked: code found the list in the request" if found else ""
        return replace(_asked(made, name, "", call), note=note)
    if name == "answer":
        assert template.synthesize is not None
        call = Call(stage="synthesize", outputs=made.outputs, model=template.synthesize.model)
        return _of_step(made, name, template.synthesize, call, level)
    step = template.step(name.removesuffix(CRITIQUE))
    planned = _planned(made, step, item)
    call = _call(made, step, planned)
    shown = name.replace(step.id, planned.id, 1) if planned else name
    if name.endswith(CRITIQUE):
        assert step.repeat is not None
        assert step.repeat.critique is not None
        draft = stand_in(step.output, f"answer of {step.id}", made.brief.names)
        call = call.model_copy(update={"part": "critique", "draft": draft})
        step = step.repeat.critique
    preview = _of_step(made, shown, step, call, level)
    if planned:
        return preview
    return replace(preview, note=", ".join(filter(None, (preview.note, _left_out(step)))))


def _left_out(step: Step) -> str:
    return f"left out of this plan: {step.when}" if step.when else "left out of this plan"


def _of_step(made: Imagined, name: str, step: Step, call: Call, level: Level | None) -> Preview:
    job = made.brief.job
    if step.kind != "prompt":
        attempt = render(made.brief, call)
        note = "another template is asked" if step.kind == "use" else "no model is asked"
        text = attempt.output or attempt.error
        return Preview(name, step.title, Level.NONE, None, text, f"{step.kind}: {note}")
    start = start_level(step.scaffold, job.config.scaffold_level, job.model(step.model).capability)
    call = call.model_copy(update={"level": start if level is None else level})
    return _asked(made, name, step.title, call)


def _asked(made: Imagined, name: str, title: str, call: Call) -> Preview:
    return Preview(name, title, call.level, envelope.build(made.brief, call))


def _planned(made: Imagined, step: Step, item: str) -> PlannedStep | None:
    """The planned step that is meant; None when the plan leaves the step out."""
    planned = [p for p in made.plan.steps if p.step == step.id]
    if not item or not step.for_each:
        return next(iter(planned), None)
    for one in planned:
        if one.item is not None and one.item.casefold() == item.casefold():
            return one
    items = [p.item or "" for p in planned]
    there = suggest(item, items) or f"there are {', '.join(items)}"
    raise NotFound(f"step {step.id} has no item {item!r}: {there}")


def _call(made: Imagined, step: Step, planned: PlannedStep | None) -> Call:
    """What the job would ask: a step sees the outputs that it reads, and its own earlier items."""
    if planned is None and step.for_each:
        raise UsageError(f"step {step.id} is not in this plan: its list {step.for_each} is empty")
    item = planned.item if planned else None
    outputs = {n: v for n, v in made.outputs.items() if n in step.reads}
    for name, value in made.outputs.items():
        if name in step.reads_item and isinstance(value, dict) and item in value:
            outputs.setdefault(name, {item: value[item]})
    if step.order == "in_sequence":
        outputs[step.id] = dict(_before(made.outputs[step.id], item))
    return Call(
        stage="execute",
        step=step.id,
        item=item,
        index=planned.index if planned else 0,
        model=step.model,
        outputs=outputs,
    )


def _before(own: JsonValue, item: str | None) -> Iterator[tuple[str, JsonValue]]:
    for key, value in own.items() if isinstance(own, dict) else ():
        if key == item:
            return
        yield key, value
