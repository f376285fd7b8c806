"""One run of `crp batch`, from the connection to the summary; and what Ctrl-C leaves."""

from __future__ import annotations

import asyncio
import time

import typer

from crp.batching.remaining import Remaining
from crp.batching.results import Outcome, Results, writing
from crp.batching.running import BatchRun
from crp.batching.spending import Limits, Spending
from crp.batching.summary import Summary, Tally
from crp.batching.task import BatchTask
from crp.cli.batch_input import Given
from crp.cli.batch_view import PlainBatch, batch_view, duration
from crp.cli.loop import interruptible
from crp.cli.stages import told
from crp.cli.terminal import one_line, print_json, say
from crp.client import connect


class BatchCommand:
    """Runs what is left of a batch, and tells how all of it stands."""

    def __init__(
        self,
        given: Given,
        limits: Limits,
        *,
        at_once: int,
        limit: int | None,
        retry_failed: bool,
        cancel_on_interrupt: bool,
        as_json: bool,
    ) -> None:
        self.given = given
        self.spending = Spending(limits)
        self.at_once = at_once
        self.limit = limit
        self.retry_failed = retry_failed
        self.cancel_on_interrupt = cancel_on_interrupt
        self.as_json = as_json
        self.tally = Tally()
        self.done_before = 0
        self.left_out = 0
        """Tasks that --limit left for another time."""
        self.jobs: BatchRun | None = None
        self.began = time.monotonic()

    def run(self) -> None:
        """Run the batch. Exits with 1 when tasks failed or were not started."""
        interruptible(self._work, self._goodbye)
        self._tell()

    async def _work(self) -> None:
        with writing(self.given.out) as results:
            before = results.before
            self.spending.used, self.spending.jobs = before.used, before.jobs
            remaining = Remaining(self.given.batch, before.known, self.retry_failed)
            if todo := self._todo(remaining):
                await self._run(remaining, todo, results)

    def _todo(self, remaining: Remaining) -> list[BatchTask]:
        done = [o for task in self.given.tasks if (o := remaining.outcome(task))]
        todo = remaining.of(self.given.tasks)
        self.done_before = len(done)
        self.tally.add_all(done)
        self.left_out = len(todo[self.limit :]) if self.limit else 0
        todo = todo[: self.limit]
        before = f", {len(done)} are done" if done else ""
        say(f"batch {self.given.batch.name}: {len(todo)} tasks to do{before}")
        return todo

    async def _run(self, remaining: Remaining, todo: list[BatchTask], results: Results) -> None:
        with told() as tell:
            engine = await connect(self.given.settings, tell)
        with batch_view(len(self.given.tasks), self.tally) as view:
            engine.say = view.note
            jobs = BatchRun(engine, remaining, self.spending, self.at_once, view.note)
            self.jobs = jobs
            try:
                async for outcome in jobs.outcomes(todo):
                    self._keep(outcome, results, view)
            except asyncio.CancelledError:
                if self.cancel_on_interrupt and jobs.under_way:
                    await self._cancel(jobs, results, view)
                raise

    def _keep(self, outcome: Outcome, results: Results, view: PlainBatch) -> None:
        results.write(outcome)
        self.tally.add(outcome)
        assert self.jobs is not None
        view.show(len(self.jobs.under_way))

    async def _cancel(self, jobs: BatchRun, results: Results, view: PlainBatch) -> None:
        """End what is under way; a second Ctrl-C leaves it as it is."""
        view.note(f"cancelling {len(jobs.under_way)} jobs; Ctrl-C again leaves them running")
        async for outcome in jobs.cancelled():
            self._keep(outcome, results, view)

    # -- telling ----------------------------------------------------------------------------------

    def _goodbye(self) -> None:
        if self.jobs is None:
            say("stopped before anything was started")
            return
        for line in lines(self._summary()):
            say(line)
        if under_way := len(self.jobs.under_way):
            say(f"{under_way} jobs go on in the background: see `crp jobs list --running`")
        say("the same command goes on where this one stopped")
        if self.tally.counts["cancelled"]:
            say("  with --retry-failed it also starts those again that were cancelled")

    def _summary(self) -> Summary:
        changes = {
            "done_before": self.done_before,
            "found": self.jobs.found if self.jobs else 0,
            "stopped": self.jobs.stopped if self.jobs else "",
            "seconds": round(time.monotonic() - self.began, 3),
            "results": str(self.given.out or ""),
        }
        return self.tally.summary(len(self.given.tasks)).model_copy(update=changes)

    def _tell(self) -> None:
        summary = self._summary()
        if self.as_json:
            print_json(summary.model_dump(mode="json"))
        else:
            for line in lines(summary):
                say(line)
        if self.left_out:
            say(f"{self.left_out} tasks are left for another time (--limit)")
        if missing := summary.not_started - self.left_out:
            why = summary.stopped or "see the errors above"
            say(f"error: {missing} tasks were not started: {why}")
        if summary.bad:
            say(f"error: {summary.bad} tasks failed; --retry-failed starts them again")
        if missing or summary.bad:
            raise typer.Exit(1)


def lines(summary: Summary) -> list[str]:
    """Tell a summary, a fact a line."""
    used = summary.usage
    counts = {
        "completed": summary.completed,
        "incomplete": summary.incomplete,
        "failed": summary.failed,
        "cancelled": summary.cancelled,
        "not started or under way": summary.not_started,
    }
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    money = f", {used.cost:.4f} money" if used.cost else ""
    quality = summary.median_quality
    made = [
        f"{summary.tasks} tasks: {told}",
        *(f"  {count:>5} failed: {one_line(why)}" for why, count in summary.reasons.items()),
        "" if quality is None else f"median quality {quality:.2f}",
        f"cost: {used.calls} calls, {used.tokens} tokens{money}, {duration(summary.seconds)}",
        f"{summary.found} jobs were there already and were not started again"
        if summary.found
        else "",
        f"results: {summary.results}" if summary.results else "",
    ]
    return [line for line in made if line]
