"""The story of one job, from the trace store or, while it runs, from the workflow itself."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

from temporalio.client import RPCError, WorkflowQueryFailedError

from crp.cli.answers import summary
from crp.cli.lines import hint_of, line_of
from crp.cli.terminal import one_line, out, print_json, print_markdown, print_table
from crp.client import Engine, completed, executions, exists, handle
from crp.config import Settings
from crp.control import stored_events
from crp.errors import CRPError, EngineError, NotFound
from crp.failures import from_failure
from crp.following import RESULT
from crp.jobs_past import past
from crp.models import Event
from crp.records import Records, records
from crp.stuck import why_stuck

_WAITS = {"paused": "job.paused", "awaits approval": "approval.awaited"}
"""The event that makes a job wait, by its status since then."""


async def tell(settings: Settings, given: str, *, as_json: bool) -> None:
    """Print everything about one job. Raises NotFound."""
    store = await records(settings)
    job_id = await find(store, given)
    stored = await store.job(job_id)
    if stored is not None:
        print_json(stored) if as_json else _print_stored(stored)
    elif store.engine is not None:
        await _tell_running(store.engine, job_id, as_json=as_json)
    else:
        raise NotFound(f"no job {given!r}")


async def find(store: Records, given: str) -> str:
    """Complete a job's id among the finished jobs and, with an engine, those that it knows."""
    if store.engine is not None and await exists(store.engine, given):
        return given
    ids = await store.job_ids(given)
    if store.engine is not None:
        query = f"WorkflowId STARTS_WITH '{_quoted(given)}'"
        ids += [found.id async for found in executions(store.engine, query, 20)]
    near = [] if ids else [row["job_id"] for row in await store.jobs(200)]
    return completed(given, sorted(set(ids)), near=near)


def _quoted(text: str) -> str:
    return text.replace("\\", "").replace("'", "")[:200]


def _print_stored(job: dict[str, Any]) -> None:
    out(f"job       {job['job_id']}  {job['status']}")
    out(f"task      {one_line(str(job['task']), 500)}")
    out(f"model     {job['model_name']}, capability {job['capability']}")
    out(f"when      {job['submitted_at']}, {float(job['seconds'] or 0):.1f} s")
    out(f"cost      {job['calls']} calls, {job['input_tokens']} + {job['output_tokens']} tokens\n")
    _print_events(stored_events(job))
    _print_attempts(job["attempts"])
    quality = f", quality {job['quality']:.2f}" if job["quality"] is not None else ""
    out(f"\nanswer ({job['chosen'] or 'none'}{quality})\n")
    print_markdown(str(job["answer"] or ""))


def _print_events(events: list[Event]) -> None:
    start = events[0].at if events else None
    for event in events:
        if start and (line := line_of(event)):
            out(f"{(event.at - start).total_seconds():7.1f} s  {line}")


def _print_attempts(attempts: list[dict[str, Any]]) -> None:
    if not attempts:
        return
    rows = [
        (
            a["step_id"] or a["stage"],
            a["attempt"],
            a["status"],
            a["quality"],
            ", ".join(a["checks_failed"] or []),
            a["gen_ai_usage_input_tokens"],
            a["gen_ai_usage_output_tokens"],
            a["model_seconds"],
        )
        for a in attempts
    ]
    out("")
    names = ("step", "attempt", "status", "quality", "checks failed", "in", "out", "seconds")
    print_table(names, rows)


async def _silent(engine: Engine, job_id: str, error: Exception) -> CRPError:
    """Say why a job does not answer."""
    with contextlib.suppress(RPCError):
        if why := await why_stuck(engine.client, job_id):
            return EngineError(f"the job {job_id} is stuck: {why}")
    if isinstance(error, RPCError):
        return from_failure(error)
    return EngineError(f"the job {job_id} does not say how it is: {error}")


async def _tell_running(engine: Engine, job_id: str, *, as_json: bool) -> None:
    job, wait = handle(engine, job_id), timedelta(seconds=10)
    try:
        status = (await job.describe(rpc_timeout=wait)).status
        events: list[Event] = await job.query(
            "events", 0, result_type=list[Event], rpc_timeout=wait
        )
        result = await job.query("result", result_type=RESULT, rpc_timeout=wait)
    except (WorkflowQueryFailedError, RPCError) as error:
        raise await _silent(engine, job_id, error) from None
    was = past(events)
    word = status.name.lower() if status else "unknown"
    waits = _WAITS.get(was.status, "") if word == "running" else ""
    word = was.status if waits else word
    if as_json:
        shown = result.model_dump(mode="json") if result else None
        data = [e.model_dump(mode="json") for e in events]
        print_json({"job_id": job_id, "status": word, "events": data, "result": shown})
        return
    by = f" by {was.paused_by}" if was.paused_by else ""
    out(f"job       {job_id}  {word}{by}")
    out(f"          {hint_of(waits, job_id)}\n" if waits else "")
    _print_events(events)
    if result is not None:
        out("\n".join(["", *summary(result), ""]))
        print_markdown(result.answer)
