"""Time-outs and retry policies of every stage, a reason each. Temporal owns all retries.

place    start_to_close     heartbeat   retries
code     60 s               none        5: CPU only; what fails five times is a bug
model    profile + 1 h      10 s        every 1 s .. 60 s, 66 times: a model server restarts
store    120 s              none        for ever when recording: an answer must leave a trace;
                                        one minute when reading: examples are worth no waiting
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy

from crp.models import ModelProfile
from crp.stages import model_queue


class Options(TypedDict, total=False):
    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy


HEARTBEAT = timedelta(seconds=10)
"""How soon a killed worker is noticed. Shorter than some server outages on purpose: the answer
journal makes a second run of an answered call free."""

BREATH = timedelta(seconds=30)
"""Of what does nothing, on a machine that may stand still."""

SLOT_WAIT = timedelta(hours=1)
"""How long a call may wait in its worker while others have all slots of its model."""

RAISED_OUTSIDE = ("NotFound", "StoreError", "PayloadsTooLarge", "PayloadSizeError")
"""What can never succeed and is raised where payloads are read and written, by name. All other
errors carry it themselves whether they do (`crp.failures`); every name stands in the history of
every step."""

MODEL_ATTEMPTS = 66
"""1 + 2 + 4 + ... + 32 s, then every 60 s: about an hour before a model server that refuses fails
a job; one that takes calls and never answers costs its time-out each time."""


def code() -> Options:
    # No queue: the workflow's own.
    return Options(
        start_to_close_timeout=timedelta(seconds=60),
        retry_policy=_policy(5),
    )


def model(profile: ModelProfile, seconds: float | None = None) -> Options:
    """`seconds`: what is left of the job's time. A call that is under way then may end; the worker
    begins no new try."""
    made = Options(
        task_queue=model_queue(profile.alias),
        # The provider ends a call after profile.timeout; heartbeats tell of a dead worker.
        start_to_close_timeout=timedelta(seconds=profile.timeout) + SLOT_WAIT,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=_policy(MODEL_ATTEMPTS),
    )
    if seconds is not None:  # also where no worker is there to see that the time is up
        made["schedule_to_close_timeout"] = timedelta(seconds=max(0, seconds) + profile.timeout)
    return made


def pressure() -> Options:
    # Not on the model's queue: where that is full, nobody would hear of it.
    return Options(
        schedule_to_close_timeout=timedelta(seconds=120),
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_policy(2),
    )


def reading(queue: str) -> Options:
    return Options(
        task_queue=queue,
        schedule_to_close_timeout=timedelta(seconds=60),
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_policy(0),
    )


def recording(queue: str) -> Options:
    return Options(
        task_queue=queue,
        start_to_close_timeout=timedelta(seconds=120),
        retry_policy=_policy(0),
    )


def curating(queue: str) -> Options:
    return Options(
        task_queue=queue,
        schedule_to_close_timeout=timedelta(minutes=5),
        start_to_close_timeout=timedelta(seconds=120),
        retry_policy=_policy(3),
    )


def _policy(attempts: int) -> RetryPolicy:
    """`attempts` = 0 means without end."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(seconds=60),
        maximum_attempts=attempts,
        non_retryable_error_types=list(RAISED_OUTSIDE),
    )
