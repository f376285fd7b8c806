"""All jobs there are: Temporal knows those under way, the trace store the finished ones."""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from crp.client import JOBS, RUNNING, Engine, executions
from crp.config import Settings
from crp.errors import CRPError
from crp.records import Records, records

_COLUMNS = ("job_id", "status", "quality", "template", "calls", "seconds", "submitted_at", "task")


async def listed(settings: Settings, limit: int, *, only_running: bool) -> list[dict[str, Any]]:
    """Give jobs as rows, those under way first, then the newest ones first."""
    store = await records(settings)
    known = {row["job_id"]: row for row in await _finished(store, 0 if only_running else limit)}
    rows = [*await _in_temporal(store.engine, known, limit, only_running), *known.values()]
    return rows[:limit]


async def _finished(store: Records, limit: int) -> list[dict[str, Any]]:
    if not limit:
        return []
    return [{name: row.get(name) for name in _COLUMNS} for row in await store.jobs(limit)]


async def _in_temporal(
    engine: Engine | None, known: dict[str, Any], limit: int, only_running: bool
) -> list[dict[str, Any]]:
    """Jobs under way, and those that ended without a record."""
    if engine is None:
        return []
    query = RUNNING if only_running else JOBS
    found = [e async for e in executions(engine, query, limit)]
    rows = [await _row(e) for e in found if e.id not in known]
    return sorted(rows, key=lambda row: row["status"] != "running")


async def _row(found: WorkflowExecution) -> dict[str, Any]:
    status = found.status.name.lower() if found.status else "unknown"
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    row |= {"job_id": found.id, "status": status, "task": await _task(found)}
    row["submitted_at"] = found.start_time.isoformat()
    if found.close_time and found.status != WorkflowExecutionStatus.RUNNING:
        row["seconds"] = (found.close_time - found.start_time).total_seconds()
    return row


async def _task(found: WorkflowExecution) -> str:
    try:
        return str((await found.memo()).get("task", ""))
    except CRPError:  # its payload is in another home
        return ""
