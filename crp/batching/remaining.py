"""What of a batch is still to be done, and under which ids. Pure but for the files of the tasks.

A task is done when a line of the results has its outcome; what was changed since is another task. A
task that failed is done too, until it is asked to be tried again: under a new id then, because the
record of the job that failed stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crp.batching.results import Outcome
from crp.batching.task import Batch, BatchTask


@dataclass(frozen=True)
class Remaining:
    """A batch, and what earlier runs of it gave."""

    batch: Batch
    known: Mapping[str, Outcome] = field(default_factory=dict)
    """By task id."""
    retry_failed: bool = False

    def of(self, tasks: Iterable[BatchTask]) -> list[BatchTask]:
        """Give the tasks that are to be done."""
        return [task for task in tasks if self.outcome(task) is None]

    def outcome(self, task: BatchTask) -> Outcome | None:
        """Give the outcome that counts for a task; None when it is to be done."""
        last = self._last(task)
        if last is None or not last.over:
            return None
        return last if last.good or not self.retry_failed else None

    def job_id(self, task: BatchTask) -> str:
        """Name the job of a task; a task that is tried again gets a new one."""
        first = self.batch.job_id(task)
        last = self._last(task)
        if last is None or last.good or not last.over:
            return first
        number = last.job_id.removeprefix(first).lstrip("-")
        return self.batch.job_id(task, int(number) + 1 if number.isdigit() else 2)

    def before(self, task: BatchTask) -> str:
        """Name the job of a task that failed, when it is tried again."""
        last = self._last(task)
        return last.job_id if last and last.over and not last.good else ""

    def _last(self, task: BatchTask) -> Outcome | None:
        last = self.known.get(task.id)
        return last if last and last.digest == self.batch.digest(task) else None
