"""The check words, used as pass or fail and as a score.

A check passes when its score reaches its `at_least`; where the template says none, AT_LEAST does.
Scores are 0 to 1 and never NaN. Only the first 200,000 characters of an answer are measured.
The checks are in `form.py`, `echo.py`, `matter.py` and `stated.py`. All of it is pure,
deterministic and linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pydantic import JsonValue

from crp.language import echo, form, matter, stated
from crp.language.outputs import parse
from crp.language.schema import Check, Output, Template
from crp.language.scope import MOST_CHARS, Answer, Finding, Scope
from crp.language.words import clean
from crp.models import Candidate, Score, Verdict

__all__ = ["AT_LEAST", "Scope", "final_output", "mean", "run", "score"]

AT_LEAST: dict[str, float] = {
    "no_refusal": 1.0,
    "complete": 1.0,
    "no_repetition": 0.75,
    "no_placeholder": 1.0,
    "words": 1.0,
    "lines": 1.0,
    "mentions": 1.0,
    "mentions_any": 1.0,
    "not_mentions": 1.0,
    "matches": 1.0,
    "parses": 1.0,
    "covers": 0.8,
    "grounded_in": 0.6,
    "keeps": 0.8,
    "no_echo": 0.6,
    "agrees_with": 0.6,
    "expr": 1.0,
    "judge": 1.0,
}
"""The score that each check needs to pass when the template does not say.

1.0 where the question has a yes or a no. Less where language gets in the way: good prose repeats
some runs of words, takes up some of the question, and says some things in words of its own."""

_CHECKS: dict[str, Callable[[Answer, JsonValue], Finding | None]] = {
    "no_refusal": form.no_refusal,
    "complete": form.complete,
    "no_repetition": form.no_repetition,
    "no_placeholder": form.no_placeholder,
    "words": form.word_count,
    "lines": form.line_count,
    "mentions": matter.mentions,
    "mentions_any": matter.mentions_any,
    "not_mentions": matter.not_mentions,
    "matches": matter.matches,
    "parses": form.parses,
    "covers": matter.covers,
    "grounded_in": matter.grounded_in,
    "keeps": matter.keeps,
    "no_echo": echo.no_echo,
    "agrees_with": stated.agrees_with,
    "expr": stated.expr,
    "judge": stated.judge,
}

GUARDS = tuple(Check(kind=kind) for kind in ("no_refusal", "complete", "no_repetition", "no_echo"))
"""What takes part in every score, and may only lower it."""

_SHORT = frozenset({"line", "number", "integer", "yes_no", "choice", "code", "json", "fields"})


def run(checks: Sequence[Check], text: str, value: JsonValue, scope: Scope) -> tuple[Verdict, ...]:
    """Check one answer.

    A check gives no verdict where its list or source is not known, its `when` does not hold, or
    no judge was asked.
    """
    return _run(checks, Answer(text, value, scope))


def _run(checks: Sequence[Check], answer: Answer) -> tuple[Verdict, ...]:
    counting = (check for check in checks if not check.when or stated.holds(check.when, answer))
    found = ((check, _find(check, answer)) for check in counting)
    return tuple(_verdict(check, finding, answer) for check, finding in found if finding)


def _find(check: Check, answer: Answer) -> Finding | None:
    if not answer.words and check.kind not in stated.KINDS:
        return Finding(0.0, "the answer is empty", "Write an answer.")
    return _CHECKS[check.kind](answer, check.value)


def _verdict(check: Check, finding: Finding, answer: Answer) -> Verdict:
    score = min(1.0, max(0.0, finding.score))
    needed = AT_LEAST.get(check.kind, 1.0) if check.at_least is None else check.at_least
    passed = score >= needed - 1e-9
    note = f" (of the first {MOST_CHARS:,} characters)" if answer.was_cut else ""
    return Verdict(
        check=check.label,
        score=round(score, 4),
        passed=passed,
        weight=check.weight,
        detail=clean(finding.detail + note).strip(),
        hint="" if passed else check.hint or clean(finding.hint),
    )


def mean(verdicts: Sequence[Verdict]) -> float:
    """Weighted mean of the scores; 1 when nothing was asked."""
    weight = sum(verdict.weight for verdict in verdicts)
    if not verdicts or weight <= 0:
        return 1.0
    return min(1.0, sum(v.score * v.weight for v in verdicts) / weight)


def score(template: Template, candidate: Candidate, scope: Scope) -> Score:
    """Score one candidate: the weighted mean of the checks, capped by the worst guard.

    The checks are the template's `quality.score`, or the default scorer. The guards (GUARDS and
    enough words) always take part: an answer that refuses, repeats itself or says the task again
    is never better than that, whatever else it mentions. They stand in `parts` with weight 0.
    """
    answer = Answer(candidate.text, candidate.value, scope)
    checks = template.quality.score or tuple(_default(template, scope))
    measured = _run(checks, answer)
    if not template.quality.score:
        measured += tuple(_format(template, answer))
    guards = tuple(
        _verdict(check.model_copy(update={"weight": 0.0}), finding, answer)
        for check, finding in _guards(template, answer)
    )
    worst = min(guard.score for guard in guards)
    return Score(
        candidate=candidate.kind,
        value=round(min(mean(measured), worst), 4),
        parts=(*measured, *guards),
    )


def _guards(template: Template, answer: Answer) -> Iterable[tuple[Check, Finding]]:
    for check in GUARDS:
        yield check, _find(check, answer) or Finding(1.0)
    least = _enough(template)
    count = echo.said(answer)
    hint = f"Write more: at least {least} words."
    yield (
        Check(kind="words", value=f"{least}+"),
        Finding(min(1.0, count / least), f"{count} words that say something", hint),
    )


def _enough(template: Template) -> int:
    """How many words an answer needs to be one: a tenth of a page for what takes chains."""
    if final_output(template).kind in _SHORT:
        return 1
    least = {1: 1, 2: 8}.get(template.complexity.base, 25)
    spans = [form.span(c.value) for c in template.quality.score if c.kind == "words"]
    return max(1, min([least, *(int(ends[0]) for ends in spans if ends)]))


def _default(template: Template, scope: Scope) -> Iterable[Check]:
    """The default scorer: what was asked for is spoken of, and comes from the facts."""
    for extract in template.extract:
        if scope.value(extract.name):
            yield Check(kind="covers", value=extract.name, weight=3)
    if final_output(template).kind not in _SHORT:
        yield Check(kind="covers", value="task", weight=2)
    if scope.facts.strip():
        yield Check(kind="grounded_in", value=["facts"], weight=2)


def _format(template: Template, answer: Answer) -> Iterable[Verdict]:
    output = final_output(template)
    if output.kind in ("text", "markdown"):
        return
    parsed = parse(output, answer.text, answer.scope.names)
    score = 0.0 if parsed.value is None else 0.5 if parsed.problems else 1.0
    hint = parsed.problems[0] if parsed.problems else ""
    yield Verdict(check=f"format: {output.label}", score=score, passed=score == 1, hint=hint)


def final_output(template: Template) -> Output:
    """Give the form of the whole answer: that of the last step, where one step gives all of it."""
    last = template.synthesize or template.steps[-1]
    whole = last.kind in ("prompt", "calculate", "pick") and not last.for_each
    return last.output if whole else Output()
