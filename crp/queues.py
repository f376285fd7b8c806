"""What Temporal says of a task queue: whether anybody works on it, and how long its work waits.

Asks the server, changes nothing. A worker counts as there when it asked for work within the last
minutes: one whose slots were all taken for longer is not seen.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from crp.stages import model_queue

WITHIN = timedelta(seconds=3)


class Queue(NamedTuple):
    """The activities of one task queue."""

    polled: bool
    """Whether a worker asked for some lately."""
    waiting: int
    """How many wait for a worker; about."""
    age: float
    """Seconds that the oldest of them waits; the server looks every 5 s."""
    rate: float
    """How many a second were taken in the last half minute."""

    def wait(self, up: float) -> float:
        """Guess how long one more would wait, for workers that are up since so many seconds.

        What stands there since an outage is old, and gone soon: its age alone says nothing.
        """
        return min(self.age, self.waiting / self.rate if self.rate else up)


async def look_at(client: Client, name: str) -> Queue:
    """Ask for the state of a queue. Raises RPCError."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=name),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    found = await client.workflow_service.describe_task_queue(request, timeout=WITHIN)
    stats = found.stats
    return Queue(
        polled=bool(found.pollers),
        waiting=stats.approximate_backlog_count,
        age=stats.approximate_backlog_age.ToTimedelta().total_seconds(),
        rate=stats.tasks_dispatch_rate,
    )


def model_of(queue: str) -> str:
    """Give the alias of the model whose calls a queue holds; empty for other queues."""
    begin = model_queue("")
    return queue.removeprefix(begin) if queue.startswith(begin) else ""


def nobody_calls(alias: str) -> str:
    """Say that no worker takes the calls of a model, and the way out."""
    return (
        f"no worker has asked for calls of the model {alias!r} lately: if none runs, start one "
        f"with settings that have models.{alias} (`crp worker`); the job waits until then"
    )
