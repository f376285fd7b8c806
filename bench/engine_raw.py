"""The lower bound of `bench engine`: a workflow of Temporal alone, with steps that do nothing.

No engine, no journal, no texts by reference, the default converter; pollers as ours.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

with workflow.unsafe.imports_passed_through():
    from bench.engine_jobs import ANSWER, PROFILE, STEPS, note

QUEUE = "raw"


@workflow.defn
class RawWorkflow:
    """As many steps as the job of the engine has; in a sequence each gets the last answer."""

    @workflow.run
    async def run(self, job: int, shape: str) -> list[str]:
        numbers = range(1, STEPS + 1)
        if shape == "parallel":
            return list(await asyncio.gather(*(_step(job, n, "") for n in numbers)))
        answers: list[str] = []
        for number in numbers:
            answers.append(await _step(job, number, answers[-1] if answers else ""))
        return answers


async def _step(job: int, number: int, before: str) -> str:
    answer: str = await workflow.execute_activity(
        "step", args=[job, number, before], start_to_close_timeout=timedelta(seconds=60)
    )
    return answer


class Steps:
    """The one activity; it notes that it was called."""

    def __init__(self, calls: Path) -> None:
        self._file = os.open(calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @activity.defn
    async def step(self, job: int, number: int, before: str) -> str:
        note(self._file, job, number)
        return ANSWER


def raw_worker(client: Client, calls: Path) -> Worker:
    pollers = PollerBehaviorAutoscaling(minimum=1, maximum=20, initial=2)
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[RawWorkflow],
        activities=[Steps(calls).step],
        max_concurrent_activities=PROFILE.concurrency,
        workflow_task_poller_behavior=pollers,
        activity_task_poller_behavior=pollers,
    )
