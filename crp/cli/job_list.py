"""All jobs there are: Temporal knows those under way, the trace store the finished ones.

With a condition both are asked for what fits it. A Temporal without our search attributes can not
say which of its jobs fit: then the finished ones are listed, and a line says so.
"""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowExecution

from crp.cli.terminal import say
from crp.client import JOBS, RUNNING, Engine, executions
from crp.config import Settings
from crp.errors import CRPError
from crp.records import Records, records
from crp.searching import searchable
from crp.stuck import reported
from crp.where import Condition, for_store, for_temporal, needs, stored
from crp_workflows.attributes import QUALITY, STATUS, TEMPLATE

_COLUMNS = ("job_id", "status", "quality", "template", "calls", "seconds", "submitted_at", "task")

UNKNOWN = (
    "this Temporal does not know the search attributes of jobs, so only finished ones are listed: "
    "register them with `crp temporal setup`"
)


async def listed(
    settings: Settings, limit: int, *, only_running: bool, where: Condition | None = None
) -> list[dict[str, Any]]:
    """Give jobs as rows, those under way first, then the newest ones first."""
    store = await records(settings)
    finished = await _finished(store, 0 if only_running else limit, where)
    known = {row["job_id"]: row for row in finished}
    rows = [*await _in_temporal(store.engine, known, limit, only_running, where), *known.values()]
    return rows[:limit]


async def _finished(store: Records, limit: int, where: Condition | None) -> list[dict[str, Any]]:
    if not limit or (where and not stored(where)):
        return []
    if where is None:
        return [{name: row.get(name) for name in _COLUMNS} for row in await store.jobs(limit)]
    query = (
        f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE {for_store(where)} "
        "ORDER BY journal_sequence DESC"
    )
    found = await store.sql(query, limit)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


async def _in_temporal(
    engine: Engine | None,
    known: dict[str, Any],
    limit: int,
    only_running: bool,
    where: Condition | None,
) -> list[dict[str, Any]]:
    """Jobs under way, and those that ended without a record."""
    if engine is None:
        return []
    query = RUNNING if only_running else JOBS
    if where is not None:
        if needs(where) and not await searchable(engine.client):
            say(UNKNOWN)
            return []
        query = f"{query} AND {for_temporal(where)}"
    found = [e async for e in executions(engine, query, limit)]
    rows = [await _row(e) for e in found if e.id not in known]
    return sorted(rows, key=lambda row: row["seconds"] is not None)


async def _row(found: WorkflowExecution) -> dict[str, Any]:
    attributes = found.typed_search_attributes
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    row |= {"job_id": found.id, "status": _status(found), "task": await _task(found)}
    row |= {"template": attributes.get(TEMPLATE), "quality": attributes.get(QUALITY)}
    row["submitted_at"] = found.start_time.isoformat()
    if found.close_time:
        row["seconds"] = (found.close_time - found.start_time).total_seconds()
    return row


def _status(found: WorkflowExecution) -> str:
    """Say it in our words: what the job says of itself, unless it was ended from outside."""
    status = found.status.name.lower() if found.status else "unknown"
    if status == "running" and reported(found.typed_search_attributes):
        return "stuck"  # `crp jobs show` says why
    says = found.typed_search_attributes.get(STATUS)
    if status in ("running", "completed") and says:
        return says
    return "cancelled" if status == "canceled" else status


async def _task(found: WorkflowExecution) -> str:
    try:
        return str((await found.memo()).get("task", ""))
    except CRPError:  # its payload is in another home
        return ""
