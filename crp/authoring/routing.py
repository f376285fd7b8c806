"""The routing table of a library: where every example of every template goes, and what is wrong.

An example must go to its own template, with no equal beside it; a counterexample anywhere but
there. The fallback takes what nothing else fits, as when a job runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crp.language.match import FLOOR, rank
from crp.language.schema import Template
from crp.models import Match, Wire


class Routed(Wire):
    """Where one example goes."""

    template: str
    """Whose example it is."""
    text: str
    counter: bool = False
    """It is one of `not_examples`."""
    goes_to: str
    score: float = 0.0
    runner_up: str = ""
    runner_up_score: float = 0.0
    problem: str = ""
    """Empty: it goes where it should."""


def routing_table(templates: Sequence[Template], fallback: str) -> list[Routed]:
    """Route every example of every template, in the order of the templates."""
    others = [t for t in templates if t.template != fallback]
    return [row for t in templates for row in _rows(t, others, fallback)]


def winner(ranked: Sequence[Match], fallback: str) -> str:
    """Where a request goes: to the best one, or to the fallback when none is good enough."""
    return ranked[0].template if ranked and ranked[0].score >= FLOOR else fallback


def _rows(template: Template, others: Sequence[Template], fallback: str) -> Iterator[Routed]:
    rules = template.match
    for counter, examples in ((False, rules.examples), (True, rules.not_examples)):
        for text in examples:
            ranked = rank(text, others)
            first, second = (*ranked[:2], *[Match(template="", score=0.0)] * 2)[:2]
            known = {t.template: t for t in others}
            goes_to = winner(ranked, fallback)
            row = Routed(
                template=template.template,
                text=text,
                counter=counter,
                goes_to=goes_to,
                score=first.score,
                runner_up=second.template if second.score > 0 else "",
                runner_up_score=max(second.score, 0.0),
            )
            yield row.model_copy(update={"problem": _problem(row, known)})


def _problem(row: Routed, known: dict[str, Template]) -> str:
    if row.counter:
        return "a counterexample comes here" if row.goes_to == row.template else ""
    if row.goes_to != row.template:
        return f"goes to {row.goes_to}"
    if row.goes_to in known and _is_tie(row, known):
        return f"a tie with {row.runner_up}: only the name decides"
    return ""


def _is_tie(row: Routed, known: dict[str, Template]) -> bool:
    if not row.runner_up or row.runner_up_score != row.score:
        return False
    return known[row.goes_to].match.priority == known[row.runner_up].match.priority
