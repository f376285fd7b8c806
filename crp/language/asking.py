"""What one model call asks, before it is fitted to the window: one question for every stage.

    probe       the whole task, in the form that the answer must have
    extract     the entries of one list
    decompose   a numbered list of steps
    execute     a step's own instruction, with the outputs that it needs
    synthesize  the instruction that joins the steps' outputs

Pure. Raises TemplateError when an instruction reads a name that nobody gave.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydantic import JsonValue

from crp.language.checks import final_output
from crp.language.facts import about, joined, passages, tokens
from crp.language.schema import Extract, FewShot, Output, Step
from crp.language.show import show
from crp.language.text import prints, render
from crp.language.words import clean
from crp.models import Call
from crp.stages import Brief

FEWEST_STEPS, MOST_STEPS = 3, 10

LONG = 200
"""Tokens; an input of this size may be cut like an output, a shorter one is never."""

OUTLINE = "Which steps lead to the answer? Name the steps only. Each step is one short sentence."


@dataclass(frozen=True)
class Question:
    """What a call asks: texts still as templates, so that smaller values can be put in."""

    instruction: str
    """Empty: the task itself is the instruction."""
    names: dict[str, JsonValue]
    output: Output
    task: str = ""
    """The task line; empty where the instruction holds the task, or does without it."""
    facts: str = ""
    step: Step | None = None
    lead: str = ""
    """Examples that belong to this question alone."""
    few_shot: FewShot | None = None
    """None: no examples from earlier jobs."""
    shrinks: tuple[str, ...] = field(default=())
    """Names whose values may be cut when the prompt does not fit."""


def question(brief: Brief, call: Call) -> Question:
    """Work out what a call asks."""
    match call.stage:
        case "probe":
            return _probe(brief)
        case "extract":
            return _extract(brief, call)
        case "decompose":
            return _outline(brief)
        case "synthesize":
            return _step(brief, call, brief.template.synthesize or brief.template.steps[-1])
        case "execute":
            return _step(brief, call, brief.template.step(call.step))


def names_of(brief: Brief, call: Call, step: Step | None = None) -> dict[str, JsonValue]:
    """Give everything that a text may name in this call.

    A step that gave nothing is there with nothing in it, so that `{% if surprises %}` and
    `{{ profile[item] }}` work after a failure that the template can do without.
    """
    task = brief.job.task
    names: dict[str, JsonValue] = {"task": clean(task.text), "context": clean(task.context)}
    names |= {"complexity": brief.complexity, **brief.names}
    for planned in brief.template.steps:
        names[planned.id] = _output(brief, call, planned)
    names |= {name: value for name, value in call.outputs.items() if name not in names}
    if call.item is not None:
        names |= {"item": call.item, "index": call.index}
        names |= {step.item_name: call.item} if step else {}
    return names


def _output(brief: Brief, call: Call, step: Step) -> JsonValue:
    given = call.outputs.get(step.id)
    if not step.for_each or not isinstance(given, dict | None):
        return given
    items = brief.names.get(step.for_each)
    listed = dict.fromkeys(map(str, items)) if isinstance(items, list) else {}
    return {**listed, **(given or {})}


def _probe(brief: Brief) -> Question:
    task = brief.job.task
    plain = not brief.job.config.enabled
    return Question(
        instruction="",
        names=names_of(brief, Call(stage="probe")),
        output=Output() if plain else final_output(brief.template),
        task=clean(task.text),
        facts=clean(task.context),
        few_shot=brief.template.few_shot,
    )


def _extract(brief: Brief, call: Call) -> Question:
    wanted = next(e for e in brief.template.extract if e.name == call.step)
    task = brief.job.task
    return Question(
        instruction=wanted.ask or f"Name the {wanted.name}.",
        names=names_of(brief, call),
        output=Output(kind="list", low=wanted.min or None, high=wanted.max),
        task=clean(task.text),
        facts=clean(task.context) if "context" in wanted.source else "",
        lead=_shown(wanted),
    )


def _shown(wanted: Extract) -> str:
    shown = (f'For "{e.task}" the answer is:\n' + "\n".join(e.gives) for e in wanted.examples)
    return "\n\n".join(shown)


def _outline(brief: Brief) -> Question:
    most = min(MOST_STEPS, brief.job.config.orc_max_steps)
    task = brief.job.task
    return Question(
        instruction=OUTLINE,
        names=names_of(brief, Call(stage="decompose")),
        output=Output(kind="numbered", low=min(FEWEST_STEPS, most), high=most),
        task=clean(task.text),
        facts=clean(task.context),
        few_shot=brief.template.few_shot,
    )


def _step(brief: Brief, call: Call, step: Step) -> Question:
    names = names_of(brief, call, step)
    return Question(
        instruction=step.text,
        names=names,
        output=step.output,
        task=clean(brief.job.task.text) if _needs_task(brief, call, step) else "",
        facts=_facts(brief, step, names),
        step=step,
        few_shot=step.few_shot or brief.template.few_shot,
        shrinks=tuple(n for n in names if _reads(n, step.text) and _may_shrink(n, names, call)),
    )


def _may_shrink(name: str, names: dict[str, JsonValue], call: Call) -> bool:
    """Outputs and facts may be cut, and inputs that are as long as those; the task elsewhere."""
    if name in ("task", "item"):
        return False
    return name == "context" or name in call.outputs or tokens(show(names[name])) > LONG


def _needs_task(brief: Brief, call: Call, step: Step) -> bool:
    """Say whether the task line stands in a step's prompt.

    Not where the instruction holds it already; and not for a model of capability 0 when the
    author has narrowed the facts to what the step needs: such a model answers the whole task
    instead of the step (shared/bench.md, section 2: one thing a call).
    """
    if _reads("task", step.text):
        return False
    return step.facts == "all" or brief.job.model(call.model).capability > 0


def _facts(brief: Brief, step: Step, names: dict[str, JsonValue]) -> str:
    context = clean(brief.job.task.context)
    if step.facts == "none" or prints(step.text, "context"):
        return ""
    if step.facts == "all" or not context.strip():
        return context
    found = about(passages(context), render(step.facts, names))
    # Nothing matched: all facts, fitted to the window, are better than none.
    return joined(found) if found else context


def _reads(name: str, text: str) -> bool:
    return bool(re.search(rf"\{{[{{%][^{{}}]*\b{name}\b", text))
