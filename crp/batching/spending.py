"""What a batch may cost, and whether one more job may start. Pure but for the clock it is given.

Nobody knows what a job costs before the first one has ended, so with a limit the first one runs
alone. Then a job may start while what was used, and the mean of a job for each that is under way,
leave room for one more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from crp.models import Usage


@dataclass(frozen=True)
class Limits:
    """The most that a batch may cost, all of its runs together; `seconds` is of this run."""

    calls: float | None = None
    tokens: float | None = None
    cost: float | None = None
    seconds: float | None = None


@dataclass
class Spending:
    """What was used so far, against the limits."""

    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = monotonic
    used: Usage = field(default_factory=Usage)
    jobs: int = 0
    """How many jobs `used` is the sum of."""
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def add(self, usage: Usage) -> None:
        """Count a job that has ended."""
        self.used += usage
        self.jobs += 1

    def refusal(self, under_way: int) -> str:
        """Say why no further job may start beside those under way; empty when one may."""
        if (most := self.limits.seconds) is not None and self.clock() - self.began >= most:
            return f"the batch may take {most:g} seconds, and they are over"
        used = {"calls": self.used.calls, "tokens": self.used.tokens, "cost": self.used.cost}
        for name, spent in used.items():
            most = getattr(self.limits, name)
            if most is not None and (why := self._too_much(name, spent, most, under_way)):
                return why
        return ""

    def _too_much(self, name: str, spent: float, most: float, under_way: int) -> str:
        of = "money" if name == "cost" else name
        if spent >= most:
            return f"the limit of {most:g} {of} is reached: {spent:g} were used"
        if not self.jobs:
            return f"a first job shows how many {of} one takes" if under_way else ""
        mean = spent / self.jobs
        if spent + mean * (under_way + 1) <= most:
            return ""
        return (
            f"of {most:g} {of}, {spent:g} were used, and a job takes {mean:.3g}: another one would "
            "go over it"
        )
