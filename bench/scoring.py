"""How good an answer is, by code alone: the same for a direct answer and for a template's.

The score is the weighted mean of the item's checks, and no higher than the worst guard, as in
`crp.language.checks.score`. `python_passes` is the one check that templates do not have.
"""

from __future__ import annotations

from bench.items import Item
from bench.python_runner import passes
from crp.language import checks
from crp.language.schema import Check
from crp.language.scope import Scope
from crp.models import Verdict, Wire

CODE_WEIGHT = 4.0
"""Of `python_passes` among an item's checks: whether the code works is what counts."""


class Scored(Wire):
    value: float
    verdicts: tuple[Verdict, ...]

    @property
    def missed(self) -> list[str]:
        """What the answer lost points for, for people."""
        return [f"{v.check}: {v.detail or v.score}" for v in self.verdicts if v.score < 1]


def score(item: Item, answer: str, finish_reason: str = "stop") -> Scored:
    """Score one answer, 0 to 1; an empty one is worth nothing."""
    if not answer.strip():
        return Scored(value=0.0, verdicts=())
    scope = Scope(task=item.task, facts=item.context, names=item.names, finish_reason=finish_reason)
    measured = checks.run(item.checks, answer, answer, scope)
    if item.python_passes:
        measured += (_code(item, answer),)
    wanted = tuple(Check(kind=kind, weight=0) for kind in item.guards)
    guards = checks.run(wanted, answer, answer, scope)
    worst = min((guard.score for guard in guards), default=1.0)
    value = round(min(checks.mean(measured), worst), 4)
    return Scored(value=value, verdicts=(*measured, *guards))


def _code(item: Item, answer: str) -> Verdict:
    passed = passes(answer, item.python_passes)
    share = sum(passed) / len(passed)
    return Verdict(
        check="python_passes",
        score=round(share, 4),
        passed=share == 1,
        weight=CODE_WEIGHT,
        detail=f"{sum(passed)} of {len(passed)} examples",
    )
