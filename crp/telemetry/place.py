"""Where in which job this code works, for logs and spans: set around an activity, read anywhere.

Kept in a context variable, so that tasks and threads that are started for a call know it too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from temporalio import activity, workflow

_PLACE: ContextVar[dict[str, Any] | None] = ContextVar("crp_place", default=None)


@contextlib.contextmanager
def at(**place: Any) -> Iterator[None]:
    """Say where the block works: `job_id`, `stage`, `step`, `attempt`."""
    token = _PLACE.set({name: value for name, value in place.items() if value})
    try:
        yield
    finally:
        _PLACE.reset(token)


def here() -> dict[str, Any]:
    """Give what is known: Temporal knows the job and the activity, `at` the rest."""
    place: dict[str, Any] = {}
    if activity.in_activity():
        info = activity.info()
        place = {"job_id": info.workflow_id, "activity": info.activity_type}
        if info.attempt > 1:
            place["activity_attempt"] = info.attempt
    elif workflow.in_workflow():
        place = {"job_id": workflow.info().workflow_id}
    return {**{name: value for name, value in place.items() if value}, **(_PLACE.get() or {})}
