"""What Temporal is told of a job as it goes: its search attributes, and two counts.

A job that was started without our attributes runs on a Temporal that does not know them, where
setting one would stop it for ever: it sets none. Both are done from the workflow and never twice.
"""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from crp.attributes import ATTRIBUTES
from crp.models import Event, Job, Standing

TASK_TYPE = SearchAttributeKey.for_keyword(ATTRIBUTES["task_type"].temporal)
TEMPLATE = SearchAttributeKey.for_keyword(ATTRIBUTES["template"].temporal)
MODEL = SearchAttributeKey.for_keyword(ATTRIBUTES["model"].temporal)
STATUS = SearchAttributeKey.for_keyword(ATTRIBUTES["status"].temporal)
BATCH = SearchAttributeKey.for_keyword(ATTRIBUTES["batch"].temporal)
QUALITY = SearchAttributeKey.for_float(ATTRIBUTES["quality"].temporal)
COMPLEXITY = SearchAttributeKey.for_int(ATTRIBUTES["complexity"].temporal)

AWAITS = "awaits approval"
ENDED = ("job.completed", "job.incomplete", "job.failed", "job.cancelled")
TURNS = ("job.started", "job.paused", "job.resumed", "approval.awaited", "approved", *ENDED)
"""The events that may change the status."""


def at_start(job: Job, batch: str = "") -> TypedSearchAttributes:
    """Give what is known of a job before it runs."""
    model = job.model("default")
    known = [
        SearchAttributePair(STATUS, "running"),
        SearchAttributePair(MODEL, model.name or model.alias),
    ]
    return TypedSearchAttributes([*known, *([SearchAttributePair(BATCH, batch)] if batch else [])])


def follow(event: Event, standing: Standing) -> None:
    """Tell Temporal what an event says, from inside of a workflow."""
    _count(event)
    known = workflow.info().typed_search_attributes
    updates = [u for u in _updates(event, standing) if known.get(u.key) != u.value]
    if updates and known.get(STATUS) is not None:
        workflow.upsert_search_attributes(updates)


def _status(event: Event, standing: Standing) -> str:
    if event.kind in ENDED:
        return event.kind.removeprefix("job.")
    if standing.paused_by:
        return "paused"
    asks = event.kind == "approval.awaited" or standing.awaits_approval is not None
    return AWAITS if asks else "running"


def _updates(event: Event, standing: Standing) -> list[SearchAttributeUpdate[Any]]:
    said = event.body
    updates: list[SearchAttributeUpdate[Any]]
    if event.kind == "routed":
        template = str(said.get("template", ""))
        # The library is divided by task type, and every template is one.
        updates = [TEMPLATE.value_set(template), TASK_TYPE.value_set(template)]
        if complexity := said.get("complexity"):
            updates.append(COMPLEXITY.value_set(int(str(complexity))))
        return updates
    if event.kind not in TURNS:
        return []
    updates = [STATUS.value_set(_status(event, standing))]
    if (quality := said.get("quality")) is not None:
        updates.append(QUALITY.value_set(float(str(quality))))
    return updates


def _count(event: Event) -> None:
    if event.kind == "job.started":
        workflow.metric_meter().create_counter("crp_jobs_started", "Jobs that began.").add(1)
    elif event.kind in ENDED:
        meter = workflow.metric_meter()
        ended = meter.create_counter("crp_jobs_ended", "Jobs that ended.")
        ended.add(1, {"status": event.kind.removeprefix("job.")})
