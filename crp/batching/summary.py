"""How a batch went: counts, failures by reason, quality, cost. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from pydantic import Field

from crp.batching.results import Outcome
from crp.models import Usage, Wire

MOST_REASONS = 20
LONGEST_REASON = 160
_DIFFERS = re.compile(r"\b(?![45]\d\d\b)\d+(\.\d+)?")
"""Sums, times, ports: numbers differ from job to job; the status of an answer does not."""


class Summary(Wire):
    """The whole batch, earlier runs too."""

    tasks: int
    completed: int = 0
    incomplete: int = 0
    failed: int = 0
    cancelled: int = 0
    not_started: int = 0
    done_before: int = 0
    """Tasks that earlier runs had finished."""
    found: int = 0
    """Jobs that were there already, under way or finished, and were not started again."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Why jobs failed, most often first."""
    median_quality: float | None = None
    usage: Usage = Usage()
    stopped: str = ""
    """Why no further jobs were started."""
    seconds: float = 0.0
    """Of this run."""
    results: str = ""

    @property
    def done(self) -> int:
        return self.completed + self.incomplete

    @property
    def bad(self) -> int:
        return self.failed + self.cancelled


@dataclass
class Tally:
    """Counts outcomes as they come; holds no answers."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    qualities: list[float] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    def add(self, outcome: Outcome) -> None:
        """Count one task."""
        self.counts[outcome.status] += 1
        self.usage += outcome.usage
        if outcome.quality is not None and outcome.good:
            self.qualities.append(outcome.quality)
        if not outcome.good:
            self.reasons[reason(outcome)] += 1

    def add_all(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.add(outcome)

    @property
    def good(self) -> int:
        return self.counts["completed"] + self.counts["incomplete"]

    @property
    def bad(self) -> int:
        return self.counts["failed"] + self.counts["cancelled"]

    def summary(self, tasks: int) -> Summary:
        """Make the summary of a batch of so many tasks."""
        most = self.reasons.most_common(MOST_REASONS)
        if other := sum(self.reasons.values()) - sum(count for _, count in most):
            most.append(("other reasons", other))
        return Summary(
            tasks=tasks,
            completed=self.counts["completed"],
            incomplete=self.counts["incomplete"],
            failed=self.counts["failed"],
            cancelled=self.counts["cancelled"],
            not_started=tasks - self.good - self.bad,
            reasons=dict(most),
            median_quality=median(self.qualities) if self.qualities else None,
            usage=self.usage,
        )


def reason(outcome: Outcome) -> str:
    """Say why a task failed so that the same failure of many tasks is one reason."""
    if outcome.status == "cancelled":
        return "cancelled"
    lines = outcome.error.strip().splitlines() or ["without a reason"]
    line = lines[0].replace(outcome.job_id or "\0", "JOB")
    return _DIFFERS.sub("N", line)[:LONGEST_REASON]
