"""What a step gives without a model: a text, a sum, a choice, a decision, a part's task. Pure.

render      the text itself                calculate   the value of its last expression
pick        the entries that fit best      use         the task and inputs of a sub-template
when/until  yes or no                      a prompt    its text, for a template that answers it
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pydantic import JsonValue

from crp.language import asking, calculate, checks, outputs, text
from crp.language.judging import checked, scope_of
from crp.language.pick import picked
from crp.language.schema import Output, Step
from crp.language.show import show
from crp.language.words import shorten
from crp.models import Call, Verdict
from crp.stages import Brief

Unworkable = calculate.Unworkable

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


class Made(NamedTuple):
    """What came out."""

    text: str
    value: JsonValue
    verdicts: tuple[Verdict, ...] = ()
    stop: bool = False


def made(brief: Brief, call: Call) -> Made:
    """Make what a call asks for.

    Raises TemplateError when a text can not be filled in or there is nothing to pick from, and
    Unworkable when an expression has no value.
    """
    if call.stage == "synthesize" and not call.use:
        return _joined(brief, call)
    step = asking.step_of(brief, call)
    names = asking.names_of(brief, call, step)
    match call.part:
        case "when":
            return _decided(step.when, names)
        case "until":
            return _decided(step.repeat.until if step.repeat else "", names)
    found = _KINDS[step.kind](step, names)
    if step.kind not in ("render", "calculate", "pick") or not step.checks:
        return found
    scope = scope_of(brief, call, asking.question(brief, call))
    verdicts, stop = checked(step.checks, found.text, found.value, scope)
    return found._replace(verdicts=(*found.verdicts, *verdicts), stop=stop)


def _decided(condition: str, names: dict[str, JsonValue]) -> Made:
    held = not condition or text.holds(condition, names)
    return Made("yes" if held else "no", held)


# -- the kinds ----------------------------------------------------------------------------------


def _rendered(step: Step, names: dict[str, JsonValue]) -> Made:
    said = text.render(step.text, names)
    value = outputs.parse(step.output, said, names).value if said else None
    return Made(said, said if value is None else value)


def _prompt(step: Step, names: dict[str, JsonValue]) -> Made:
    said = text.render(step.text, names)
    return Made(said, said)


def _calculated(step: Step, names: dict[str, JsonValue]) -> Made:
    said = text.render(step.text, names)
    value = calculate.work_out(said)
    output, shown = step.output, calculate.shown(value)
    if output.kind == "integer" and value.denominator != 1:
        raise Unworkable(f"{shorten(said, 60)} is {shown}: not a whole number")
    low, high = output.low, output.high
    if (low is not None and value < low) or (high is not None and value > high):
        raise Unworkable(f"{shorten(said, 60)} is {shown}: not in {output.label}")
    return Made(shown, calculate.number(value))


def _picked(step: Step, names: dict[str, JsonValue]) -> Made:
    assert step.pick is not None
    about = text.render(step.text, names)
    found = picked(step.pick, about, names)
    verdicts = () if found.shared else (_unshared(about),)
    return Made(*_in_form(step.output, found.entries), verdicts)


def _in_form(output: Output, entries: list[str]) -> tuple[str, JsonValue]:
    match output.kind:
        case "bullets":
            return "\n".join(f"- {entry}" for entry in entries), [*entries]
        case "numbered":
            return "\n".join(f"{n}. {entry}" for n, entry in enumerate(entries, 1)), [*entries]
        case "list":
            return "\n".join(entries), [*entries]
        case "line":
            said = "; ".join(" ".join(entry.split()) for entry in entries)
            return said, said
    said = "\n\n".join(entries)
    return said, said


def _unshared(about: str) -> Verdict:
    """A remark, not a failure: some facts are better than none."""
    detail = f"nothing shares a word with {shorten(about, 60)!r}: the first ones were taken"
    return Verdict(check="pick", score=0.0, passed=True, detail=detail)


def _used(step: Step, names: dict[str, JsonValue]) -> Made:
    task = text.render(step.text, names)
    given = step.use.inputs if step.use else {}
    inputs = {name: _input(wanted, names) for name, wanted in given.items()}
    return Made(task, {"task": task, "inputs": inputs})


def _input(wanted: str, names: dict[str, JsonValue]) -> JsonValue:
    """A lone `{{ name }}` hands a list or a number on as it is."""
    alone = _NAME.fullmatch(wanted.strip())
    value = names.get(alone[1]) if alone else None
    return value if isinstance(value, list | int | float) else text.render(wanted, names)


_KINDS = {
    "prompt": _prompt,
    "render": _rendered,
    "calculate": _calculated,
    "pick": _picked,
    "use": _used,
}


# -- the answer ---------------------------------------------------------------------------------


def _joined(brief: Brief, call: Call) -> Made:
    """The joined answer: as the template says, else by `_default_join`."""
    step = brief.template.synthesize
    if step is not None and step.kind == "render":
        return _rendered(step, asking.names_of(brief, call, step))
    said = _default_join(brief, call)
    value = outputs.parse(checks.final_output(brief.template), said, brief.names).value
    return Made(said, said if value is None else value)


def _default_join(brief: Brief, call: Call) -> str:
    """The last step's output when that is the answer, otherwise every output under its title."""
    steps = brief.template.steps
    last = call.outputs.get(steps[-1].id)
    if brief.template.synthesize is None and last is not None:
        return show(last).strip()
    written = [s for s in steps if call.outputs.get(s.id) is not None]
    if len(written) == 1:
        return show(call.outputs[written[0].id]).strip()
    parts = [show(call.outputs[s.id], heading=s.title or s.id) for s in written]
    return "\n\n".join(part.strip() for part in parts if part.strip())
