"""What an answer is worth: parsed and checked the way its call asks for. Pure.

What a bad answer leads to is the ladder's decision, not made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import JsonValue

from crp.language import asking, checks, outputs
from crp.language.asking import Question
from crp.language.lists import guard
from crp.language.loops import without_loop
from crp.language.outline import parse_outline
from crp.language.scaffolds import take_off
from crp.language.schema import DEFAULT_CHECKS, Check, Step
from crp.language.scope import Scope
from crp.language.words import clean
from crp.models import Call, Completion, Verdict
from crp.stages import Brief


class Judged(NamedTuple):
    """What an answer is worth."""

    output: str
    value: JsonValue
    verdicts: tuple[Verdict, ...]
    stop: bool = False
    finish_reason: str = ""
    """Empty: what the server said."""

    @property
    def good(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)


def judge(brief: Brief, call: Call, completion: Completion, prompt: str = "") -> Judged:
    """Parse and check an answer the way its call asks for."""
    text = outputs.clean(completion.text)
    if call.stage == "extract":
        return _judge_list(brief, call, text)
    if call.stage == "decompose":
        return _judge_outline(text)
    question = asking.question(brief, call)
    text = take_off(call.level, text)
    finish_reason = completion.finish_reason
    if (once := without_loop(text)) != text:
        text, finish_reason = once, "loop"  # it was complete before it began to repeat itself
    parsed = outputs.parse(question.output, text, question.names)
    misformed = tuple(_misformed(question.output.label, said) for said in parsed.problems)
    if call.part == "judge":  # yes or no; whatever else it says is not asked for
        return Judged(parsed.text, parsed.value, misformed, finish_reason=finish_reason)
    scope = scope_of(brief, call, question)
    scope = scope.model_copy(update={"prompt": prompt, "finish_reason": finish_reason})
    wanted = _wanted(question.step)
    verdicts, stop = checked(wanted, parsed.text, parsed.value, scope)
    return Judged(parsed.text, parsed.value, (*misformed, *verdicts), stop, finish_reason)


def scope_of(brief: Brief, call: Call, question: Question) -> Scope:
    """Give what an answer is measured against; facts that the prompt held in its instruction, or
    not at all, are facts all the same."""
    return Scope(
        task=brief.job.task.text,
        facts=question.facts or clean(brief.job.task.context),
        names=question.names,
        outputs=call.outputs,
        step=question.step.id if question.step else "",
    )


def checked(
    wanted: Sequence[Check], text: str, value: JsonValue, scope: Scope
) -> tuple[tuple[Verdict, ...], bool]:
    """Run checks with what their `otherwise` says; the second part is whether to stop."""
    verdicts = checks.run(wanted, text, value, scope)
    stopping = {check.label for check in wanted if check.otherwise == "stop"}
    stop = any(v.check in stopping and not v.passed for v in verdicts)
    forgiven = {check.label for check in wanted if check.otherwise == "warn"}
    changes = {"passed": True}
    verdicts = tuple(v.model_copy(update=changes) if v.check in forgiven else v for v in verdicts)
    return verdicts, stop


def _wanted(step: Step | None) -> tuple[Check, ...]:
    own = step.checks if step else ()
    named = {check.kind for check in own}
    return (*(check for check in DEFAULT_CHECKS if check.kind not in named), *own)


def _judge_list(brief: Brief, call: Call, text: str) -> Judged:
    wanted = next(e for e in brief.template.extract if e.name == call.step)
    question = asking.question(brief, call)
    parsed = outputs.parse(question.output, text, question.names)
    found = [str(v) for v in parsed.value] if isinstance(parsed.value, list) else []
    entries, problem = guard(wanted, found, brief.job.task, brief.names)
    verdict = Verdict(
        check=f"{wanted.name} {wanted.min}-{wanted.max}",
        score=0.0 if problem else 1.0,
        passed=not problem,
        detail=problem,
        hint=f"Write {wanted.min} to {wanted.max} entries, one in each line." if problem else "",
    )
    return Judged(text, list(entries), (verdict,))


def _judge_outline(text: str) -> Judged:
    steps = parse_outline(text)
    enough = len(steps) >= asking.FEWEST_STEPS
    verdict = Verdict(
        check=f"at least {asking.FEWEST_STEPS} steps",
        score=1.0 if enough else 0.0,
        passed=enough,
        detail=f"{len(steps)} steps",
    )
    return Judged(text, list(steps), (verdict,))


def _misformed(label: str, problem: str) -> Verdict:
    return Verdict(check=f"output: {label}", score=0.0, passed=False, detail=problem, hint=problem)
