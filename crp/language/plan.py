"""Template and names to a plan: fan-out, needs, levels, ladders, and what it will cost.

A plan is counted in micro-steps that ask a model, after fan-out and without synthesis; a fan-out
over the pieces of one text counts once, and what code does is free. Starting levels: a word in
the job's configuration wins over a step's `auto`, a step's own word wins over the configuration,
and where both say `auto` the model's capability decides. When a plan has more steps than allowed,
the last items of the widest fan-out go first, then steps from the middle; the concluding step
stays. Costs are estimates from the lengths of the texts, bounded by the template's limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import JsonValue

from crp.errors import TemplateError, UsageError
from crp.language import text
from crp.language.outline import OUTLINE, outline_template, parse_outline
from crp.language.schema import DEFAULT_LADDER, Step, Template
from crp.language.words import sentences, shorten
from crp.models import Level, Plan, PlannedStep, Rung, Task
from crp.stages import Brief, PlanRequest

__all__ = [
    "OUTLINE",
    "complexity_of",
    "ladder_of",
    "make_plan",
    "outline_template",
    "parse_outline",
    "start_level",
]

_PARTS = ("parts", "sentences", "texts")
"""What a list finds when its entries are pieces of a long input."""
_TRY_AGAIN = ("retry", "heavier", "scaffold", "model", "temperature", "use")
_CHARACTERS_PER_TOKEN = 3.5
_UNKNOWN = "..."
"""Stands for answers that are not there yet."""
_JUDGE = 160
"""Tokens of a prompt that looks at an answer, beside the answer."""
_OVERHEAD = 120
"""Tokens of a prompt beside facts, task and instruction: scaffold, output sentence, roles."""
_START = (Level.HEAVY, Level.HEAVY, Level.LIGHT, Level.NONE)
"""The level that `auto` starts at, by capability (spec, section 5)."""


def complexity_of(template: Template, task: Task, names: Mapping[str, JsonValue]) -> int:
    """Work out a task's complexity, 1 to 5; what the task says itself wins.

    A rule whose names are not known yet does not count.
    """
    if task.complexity is not None:
        return task.complexity
    known = {"task": task.text, "context": task.context, **names}
    value = template.complexity.base
    for rule in template.complexity.add:
        used = {r.name for r in text.references(rule.when, condition=True)}
        if used <= known.keys() and text.holds(rule.when, known):
            value += rule.by
    return max(1, min(5, value))


def start_level(step_word: str, config_word: str, capability: int) -> Level:
    """Choose the help level of a first attempt: step's word, then config's, then capability."""
    for word in (step_word, config_word):
        if word != "auto":
            return Level.named(word)
    return _START[capability]


def make_plan(brief: Brief, request: PlanRequest) -> Plan:
    """Fan the template's steps out over the known lists and cut them to the number allowed."""
    template = brief.template
    wanted = [s for s in template.steps if _is_wanted(s, brief)]
    widths = {s.id: list(_items(s, brief)) for s in wanted if s.for_each}
    chosen = _cut(template, wanted, widths, request.max_steps)
    steps = tuple(planned for step in chosen.steps for planned in _planned(step, chosen, brief))
    if not steps:
        raise UsageError("the plan has no steps: there is nothing to go over")
    return Plan(
        steps=steps,
        made_by=request.made_by,
        cut=tuple(chosen.gone),
        **_costs(template, steps, brief),
    )


# -- fan-out and cutting ----------------------------------------------------------------------


@dataclass
class _Chosen:
    """What stays of a template: its steps, and the items of each fan-out."""

    steps: list[Step]
    items: dict[str, list[str]]
    parts: frozenset[str] = frozenset()
    """Lists of the parts of a long input: a fan-out over them counts once (spec, section 4)."""
    gone: list[str] = field(default_factory=list)

    def count(self) -> int:
        return sum(self._width(s) for s in self.steps)

    def _width(self, step: Step) -> int:
        if not _asks(step):
            return 0
        is_many = step.for_each and step.for_each not in self.parts
        return len(self.items[step.id]) if is_many else 1


def _asks(step: Step) -> bool:
    """Whether a step costs calls; what code does is free, and never cut for its own sake."""
    return step.kind in ("prompt", "use")


def _items(step: Step, brief: Brief) -> list[str]:
    values = brief.names.get(step.for_each)
    return [str(v) for v in values] if isinstance(values, list) else []


def _is_wanted(step: Step, brief: Brief) -> bool:
    task = brief.job.task
    known: dict[str, JsonValue] = {"task": task.text, "context": task.context}
    known |= {"complexity": brief.complexity, **brief.names}
    known["capability"] = brief.job.model("default").capability
    return not step.when or step.late or text.holds(step.when, known)


def _cut(template: Template, wanted: list[Step], items: dict[str, list[str]], most: int) -> _Chosen:
    parts = frozenset(e.name for e in template.extract if e.find in _PARTS)
    chosen = _Chosen(wanted, items, parts)
    least = {e.name: max(1, e.min) for e in template.extract}
    while chosen.count() > most:
        if not (
            _drop_item(chosen, least)
            or _drop_step(chosen, template, read=False)
            or _drop_item(chosen, {})
            or _drop_step(chosen, template, read=True)
        ):
            break
    return chosen


def _drop_item(chosen: _Chosen, least: Mapping[str, int]) -> bool:
    """Take the last item off the widest fan-out, and off the others over the same list."""
    fans = [s for s in chosen.steps if s.for_each and _asks(s)]
    wide = [s for s in fans if s.for_each not in chosen.parts]
    wide = [s for s in wide if len(chosen.items[s.id]) > least.get(s.for_each, 1)]
    if not wide:
        return False
    widest = max(wide, key=lambda s: len(chosen.items[s.id]))
    item = chosen.items[widest.id][-1]
    for step in chosen.steps:
        if step.for_each == widest.for_each and item in chosen.items[step.id]:
            chosen.items[step.id].remove(item)
            chosen.gone.append(f"{step.title}: {item}")
    return True


def _drop_step(chosen: _Chosen, template: Template, *, read: bool) -> bool:
    """Take out the step nearest to the middle, the concluding one never; first unread ones."""
    answer = [template.synthesize] if template.synthesize else []
    needed = {n for s in [*chosen.steps, *answer] for n in {*_needs(s)} - {*s.optional}}
    middle = (len(chosen.steps) - 1) / 2
    able = [i for i, s in enumerate(chosen.steps[:-1]) if _asks(s)]
    places = [i for i in able if read or chosen.steps[i].id not in needed]
    if not places:
        return False
    step = chosen.steps.pop(min(places, key=lambda i: (abs(i - middle), -i)))
    chosen.gone.append(step.title)
    return True


def _needs(step: Step) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*step.reads, *step.reads_item, *step.needs)))


# -- one planned step ---------------------------------------------------------------------------


def _planned(step: Step, chosen: _Chosen, brief: Brief) -> list[PlannedStep]:
    if not step.for_each:
        return [_one(step, None, 0, chosen, brief)]
    return [_one(step, item, i, chosen, brief) for i, item in enumerate(chosen.items[step.id])]


def _one(step: Step, item: str | None, index: int, chosen: _Chosen, brief: Brief) -> PlannedStep:
    profile = brief.job.model(step.model)
    needs, optional = _needs_of(step, item, chosen)
    config = brief.job.config.scaffold_level
    prompt = step.kind == "prompt"
    return PlannedStep(
        id=_id(step, item),
        step=step.id,
        item=item,
        index=index,
        title=step.title if item is None else f"{step.title}: {item}",
        description=_description(step, item, index, brief),
        kind=step.kind,
        needs=needs,
        optional_needs=optional,
        late=step.late,
        level=start_level(step.scaffold, config, profile.capability) if prompt else Level.NONE,
        model=step.model,
        ladder=ladder_of(step, brief.template) if prompt else (),
        max_tokens=step.max_tokens or profile.max_tokens,
    )


def _id(step: Step, item: str | None) -> str:
    return step.id if item is None else f"{step.id}/{item}"


def ladder_of(step: Step, template: Template) -> tuple[Rung, ...]:
    """Say what follows a failed attempt: the step's word, the template's, the default."""
    if step.on_fail is not None:
        return step.on_fail
    return DEFAULT_LADDER if template.on_fail is None else template.on_fail


def _needs_of(
    step: Step, item: str | None, chosen: _Chosen
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Planned ids that a step waits for; item-wise where only this item's answer is read."""
    kept = {s.id: s for s in chosen.steps}
    needs: list[str] = []
    optional: list[str] = []
    for name in _needs(step):
        if name not in kept or name == step.id:
            continue  # it was cut, or it is its own last round
        other = kept[name]
        if name in step.reads_item:
            ids = [_id(other, item)] if item in chosen.items.get(name, []) else []
        else:
            ids = [_id(other, i) for i in chosen.items[name]] if other.for_each else [name]
        needs += ids
        optional += ids if name in step.optional else []
    if step.order == "in_sequence" and item is not None:
        place = chosen.items[step.id].index(item)
        before = [_id(step, i) for i in chosen.items[step.id][:place]]
        needs, optional = [*needs, *before], [*optional, *before]
    return tuple(dict.fromkeys(needs)), tuple(dict.fromkeys(optional))


def _description(step: Step, item: str | None, index: int, brief: Brief) -> str:
    """Give the first sentence of the prompt, that needs no earlier answer."""
    try:
        filled = text.render(step.text, _names(step, item, index, brief))
    except TemplateError:
        return step.title
    # What stands before the instruction is the task, earlier answers and their headings.
    said = set(sentences(brief.job.task.text))
    own = (s for s in sentences(filled) if s not in said and _is_own(s))
    return shorten(next(own, step.title), 200)


def _is_own(sentence: str) -> bool:
    return _UNKNOWN not in sentence and sentence[0] != "#" and not sentence.endswith(":")


def _names(step: Step, item: str | None, index: int, brief: Brief) -> dict[str, JsonValue]:
    task = brief.job.task
    names: dict[str, JsonValue] = {s.id: _placeholder(s, brief) for s in brief.template.steps}
    names |= {"task": task.text, "context": task.context, "complexity": brief.complexity}
    names |= brief.names
    if item is not None:
        names |= {step.item_name: item, "index": index}
    return names


def _placeholder(step: Step, brief: Brief) -> JsonValue:
    one: JsonValue = _UNKNOWN
    if step.output.kind == "fields":
        one = {f.name: _UNKNOWN for f in step.output.fields}
    elif step.output.kind in ("bullets", "numbered", "list", "table"):
        one = [_UNKNOWN]
    return dict.fromkeys(_items(step, brief), one) if step.for_each else one


# -- what it will cost ----------------------------------------------------------------------------


def _costs(template: Template, steps: Sequence[PlannedStep], brief: Brief) -> dict[str, int]:
    """Estimate calls and tokens: every first attempt good, and every ladder climbed to its end."""
    sizes = {p.id: p.max_tokens for p in steps}
    total = _Cost()
    for planned in steps:
        step = template.step(planned.step)
        if step.kind == "prompt":
            prompt = _prompt_tokens(step, planned, sizes, brief)
            total = total.plus(_cost_of(step, planned.ladder, prompt, planned.max_tokens, brief))
    answer = template.synthesize
    if answer and answer.kind == "prompt":
        longest = answer.max_tokens or brief.job.model(answer.model).max_tokens
        prompt = _OVERHEAD + sum(sizes.values()) + round(len(answer.text) / 3.5)
        ladder = ladder_of(answer, template)
        total = total.plus(_cost_of(answer, ladder, prompt, longest, brief))
    limits = template.limits
    return {
        "calls_likely": min(total.calls, limits.calls),
        "calls_worst": min(total.calls_worst, limits.calls),
        "tokens_likely": min(total.tokens, limits.tokens),
        "tokens_worst": min(total.tokens_worst, limits.tokens),
    }


class _Cost(NamedTuple):
    """Calls and tokens: when every first attempt is good, and when every ladder is climbed."""

    calls: int = 0
    calls_worst: int = 0
    tokens: int = 0
    tokens_worst: int = 0

    def plus(self, other: _Cost) -> _Cost:
        return _Cost(*(a + b for a, b in zip(self, other, strict=True)))


def _cost_of(step: Step, ladder: Sequence[Rung], prompt: int, longest: int, brief: Brief) -> _Cost:
    """Count one planned prompt: its tries, each with its samples and judges, and its rounds."""
    tries = 1 + sum(r.action in _TRY_AGAIN for r in ladder)
    judges = sum(c.kind == "judge" for c in step.checks)
    judges *= brief.job.model("judge").capability >= 1
    calls = step.samples + judges
    tokens = step.samples * (prompt + longest) + judges * (_JUDGE + longest)
    if step.repeat is None:
        return _Cost(calls, calls * tries, tokens, tokens * tries)
    looks = int(step.repeat.critique is not None)
    look, rounds = looks * (_JUDGE + longest), 1 + step.repeat.max
    return _Cost(
        calls + looks,
        (calls * tries + 2 * looks) * rounds,
        tokens + look,
        (tokens * tries + 2 * look) * rounds,
    )


def _prompt_tokens(step: Step, planned: PlannedStep, sizes: Mapping[str, int], brief: Brief) -> int:
    task = brief.job.task
    share = 1.0
    if step.facts != "all":  # a filter leaves about one item's part of the facts
        wide = len(_items(step, brief)) if step.for_each else 3
        share = 0.0 if step.facts == "none" else 1 / max(1, wide)
    characters = len(task.system_prompt) + len(task.text) + share * len(task.context)
    characters += len(step.system) + len(step.text)
    read = sum(sizes.get(n, 0) for n in planned.needs)
    return _OVERHEAD + read + round(characters / _CHARACTERS_PER_TOKEN)
