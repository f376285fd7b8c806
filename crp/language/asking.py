"""What one model call asks, before it is fitted to the window: one question for every stage.

    probe       the whole task, in the form that the answer must have
    extract     the entries of one list
    decompose   a numbered list of steps
    execute     a step's own instruction, with the outputs that it needs; or its critique's
    synthesize  the instruction that joins the steps' outputs

A judge's question is the same in every stage.

Pure. Raises TemplateError when an instruction reads a name that nobody gave.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydantic import JsonValue

from crp.language import gist, repeating
from crp.language.checks import final_output
from crp.language.facts import about, joined, passages, tokens
from crp.language.said import each_sentence
from crp.language.schema import Extract, FewShot, Output, Step
from crp.language.show import show
from crp.language.text import prints, references, render
from crp.language.words import clean
from crp.models import Call
from crp.stages import Brief

FEWEST_STEPS, MOST_STEPS = 3, 10

LONG = 200
"""Tokens; an input of this size may be cut like an output, a shorter one is never."""

JUDGE = Step(
    id="judge",
    text="Answer:\n{{ draft }}\n\nLook at this answer. {{ question }}",
    output=Output(kind="yes_no"),
    max_tokens=24,
    facts="none",
)
"""How a judge is asked; it sees the task and the answer, and neither facts nor examples."""

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
    feedback: str = ""
    """What a critique said of the last answer, where the instruction does not speak of it."""
    shrinks: tuple[str, ...] = field(default=())
    """Names whose values may be cut when the prompt does not fit."""


def question(brief: Brief, call: Call) -> Question:
    """Work out what a call asks."""
    if call.part == "judge":
        return _judge(brief, call)
    match call.stage:
        case "probe":
            return _probe(brief)
        case "extract":
            return _extract(brief, call)
        case "decompose":
            return _outline(brief)
        case "synthesize" | "execute":
            return _step(brief, call, step_of(brief, call))


def step_of(brief: Brief, call: Call) -> Step:
    """Give the step that a call is about; where the template leaves the joining open, its last."""
    template = brief.template
    if call.stage == "synthesize":
        return template.synthesize or template.steps[-1]
    return template.step(call.step)


def names_of(brief: Brief, call: Call, step: Step | None = None) -> dict[str, JsonValue]:
    """Give everything that a text may name in this call.

    A step that gave nothing is there with nothing in it, so that `{% if surprises %}` and
    `{{ profile[item] }}` work after a failure that the template can do without.
    """
    task = brief.job.task
    names: dict[str, JsonValue] = {"task": clean(task.text), "context": clean(task.context)}
    names |= {"complexity": brief.complexity, **brief.names, **repeating.lists(brief, call)}
    names["capability"] = brief.job.model("default").capability
    for planned in brief.template.steps:
        names[planned.id] = _output(brief, call, planned)
    names |= {name: value for name, value in call.outputs.items() if name not in names}
    listed = names.get(step.for_each) if step else None
    if call.item is not None:
        item = repeating.entry_of(listed, call.item)
        names |= {"item": item, "index": call.index}
        names |= {step.item_name: item} if step else {}
    if step and step.pick and step.pick.source == "sentences":
        names["sentences"] = _part(brief, step, names) or names["context"]
    return names | (repeating.names_of(step, call, listed) if step else {})


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
    asked = step
    if call.part == "critique" and step.repeat and step.repeat.critique:
        asked = step.repeat.critique
    shrinks = (n for n in names if _reads(n, asked.text) and _may_shrink(n, names, call))
    return Question(
        instruction=asked.text,
        names=names,
        output=asked.output,
        task=clean(brief.job.task.text) if _needs_task(brief, call, asked) else "",
        facts=_facts(brief, asked, names),
        step=asked,
        few_shot=_few_shot(brief, call, asked),
        feedback=_unsaid_feedback(call, asked, names),
        shrinks=tuple(shrinks),
    )


def _few_shot(brief: Brief, call: Call, step: Step) -> FewShot | None:
    if step.fresh or call.part == "critique":
        return step.few_shot
    return step.few_shot or brief.template.few_shot


def _unsaid_feedback(call: Call, step: Step, names: dict[str, JsonValue]) -> str:
    """What the critique said, for a prompt that does not speak of it."""
    if call.part or not call.round or any(r.name == "feedback" for r in references(step.text)):
        return ""
    return str(names.get("feedback") or "")


def _judge(brief: Brief, call: Call) -> Question:
    step = next((s for s in brief.template.steps if s.id == call.step), None)
    asked = render(call.question, names_of(brief, call, step))
    return Question(
        instruction=JUDGE.text,
        names={"draft": show(call.draft), "question": asked},
        output=JUDGE.output,
        task=clean(brief.job.task.text),
        step=JUDGE,
        shrinks=("draft",),
    )


def _may_shrink(name: str, names: dict[str, JsonValue], call: Call) -> bool:
    """Outputs and facts may be cut, and inputs that are as long as those; the task elsewhere."""
    if name in ("task", "item"):
        return False
    made = name in call.outputs or name in ("context", "previous", call.step)
    return made or tokens(show(names[name])) > LONG


def _needs_task(brief: Brief, call: Call, step: Step) -> bool:
    """Say whether the task line stands in a step's prompt.

    Not where the instruction holds it already; and not for a model of capability 0 when the
    author has narrowed the facts to what the step needs: such a model answers the whole task
    instead of the step (shared/bench.md, section 2: one thing a call).
    """
    if step.fresh or _reads("task", step.text):
        return False
    return step.facts == "all" or brief.job.model(call.model).capability > 0


def _facts(brief: Brief, step: Step, names: dict[str, JsonValue]) -> str:
    context = clean(brief.job.task.context)
    if step.facts == "none" or prints(step.text, "context"):
        return ""
    if part := _part(brief, step, names):
        return part
    if step.facts == "all" or not context.strip():
        return context
    wanted = render(step.facts, names)
    if quoted := _quoted(context, wanted):
        return quoted
    found = about(passages(context), wanted)
    # Nothing matched: all facts, fitted to the window, are better than none.
    return joined(found) if found else context


def _quoted(context: str, wanted: str) -> str:
    """Give the passages, or else the sentences, that stand word by word in a text: those that a
    `pick` chose before."""
    said = " ".join(wanted.split())
    found = [p for p in passages(context) if " ".join(p.text.split()) in said]
    return joined(found) or "\n".join(s for s in each_sentence(context) if s in said)


def _part(brief: Brief, step: Step, names: dict[str, JsonValue]) -> str:
    """Give the piece of a long text that a fan-out over its parts is at; empty for other steps."""
    source = next((e for e in brief.template.extract if e.name == step.for_each), None)
    if source is None or source.find != "parts" or (step.facts == "all" and not step.pick):
        return ""
    task = brief.job.task
    texts = (gist.parts(gist.long_text(task, place), source.max) for place in source.source)
    wanted = str(names["item"]) if step.pick else render(step.facts, names).strip()
    return next((found[wanted] for found in texts if wanted in found), "")


def _reads(name: str, text: str) -> bool:
    return bool(re.search(rf"\{{[{{%][^{{}}]*\b{name}\b", text))
