"""Ask the trace store: through its owner while an engine runs, else by owning it for a moment.

Only one process may own the store. While an engine runs that is its store worker, and each question
is an activity of its own; otherwise the store is opened here, without starting anything.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from temporalio.client import ActivityFailureError, RPCError
from temporalio.common import RetryPolicy

from crp.client import Engine, connect_running
from crp.config import Settings
from crp.errors import NON_RETRYABLE, EngineError, NotFound
from crp.failures import from_failure
from crp.models import JobRecord, ReasoningTrace
from crp.stages import STORE_QUEUE
from crp_analytics.checking import Checked
from crp_analytics.erasing import Forgotten
from crp_analytics.publish import Published
from crp_analytics.sql import Table
from crp_analytics.store import TraceStore

T = TypeVar("T")

SQL_SECONDS = 60.0
SQL_MEMORY_MB = 1024
PUBLISH_SECONDS = 1800.0
LONG_SECONDS = 3600.0
"""For what goes through all files of the store."""
ANSWER_WITHIN = timedelta(seconds=30)
"""How long the store's owner may be away before it counts as not there."""
CHANGING_WITHIN = 60.0
"""Seconds that an engine may take to start or to end before the store is asked anyway."""


class Records:
    """The trace store, whoever owns it."""

    def __init__(self, settings: Settings, engine: Engine | None) -> None:
        self.settings = settings
        self.engine = engine

    async def sql(self, query: str, limit: int, seconds: float = SQL_SECONDS) -> Table:
        """Run an analyst's query. Raises QueryError with one line."""
        if self.engine:
            args = [query, limit, seconds, SQL_MEMORY_MB]
            return await self._ask("store_sql", args, Table, seconds + 30)
        with self._open() as store:
            return store.sql(query, row_cap=limit, seconds=seconds, memory_mb=SQL_MEMORY_MB)

    async def publish(self, folder: Path, with_texts: bool, parquet: bool) -> Published:
        """Write a snapshot into a folder: of the owner's machine, when an engine runs."""
        if self.engine:
            args = [str(folder), with_texts, parquet]
            return await self._ask("store_publish", args, Published, PUBLISH_SECONDS)
        with self._open() as store:
            return store.publish(folder, with_texts=with_texts, parquet=parquet)

    async def jobs(self, limit: int) -> list[dict[str, Any]]:
        """Give the latest finished jobs, newest first."""
        if self.engine:
            return await self._ask("store_jobs", [limit], list[dict[str, Any]])
        with self._open() as store:
            return store.jobs(limit)

    async def job(self, job_id: str) -> dict[str, Any] | None:
        """Give everything about a finished job, or None."""
        if self.engine:
            try:
                return await self._ask("store_job", [job_id], dict[str, Any])
            except NotFound:
                return None
        with self._open() as store:
            return store.job(job_id)

    async def record(self, job_id: str) -> JobRecord | None:
        """Give a finished job's whole record with its prompts and answers, or None."""
        if self.engine:
            try:
                return await self._ask("store_record", [job_id], JobRecord)
            except NotFound:
                return None
        with self._open() as store:
            return store.record_of(job_id)

    async def add_trace(self, trace: ReasoningTrace) -> bool:
        """Put a trace into the library; False when it is there already."""
        if self.engine:
            return await self._ask("store_add_trace", [trace], bool)
        with self._open() as store:
            return store.add_trace(trace)

    async def at_desk(self, what: str, args: list[Any], kind: type[T]) -> T:
        """Let the store's desk do what one of its methods does: score, retire, restore ..."""
        if self.engine:
            return await self._ask(f"store_{what}", args, kind)
        with self._open() as store:
            done: T = getattr(store.desk, what)(*args)
            return done

    async def job_ids(self, beginning: str) -> list[str]:
        """Give the ids of finished jobs that begin like this, the latest first, at most 20."""
        return await self._ids("jobs", "job_id", beginning)

    async def trace_ids(self, beginning: str) -> list[str]:
        """Give the ids of library entries that begin like this, the latest first, at most 20."""
        return await self._ids("traces", "trace_id", beginning)

    async def _ids(self, table: str, column: str, beginning: str) -> list[str]:
        pattern = "".join(f"\\{c}" if c in "\\%_" else c for c in beginning).replace("'", "''")
        query = (
            f"SELECT {column} FROM {table} WHERE {column} LIKE '{pattern}%' ESCAPE '\\' "
            "ORDER BY journal_sequence DESC"
        )
        return [str(row[0]) for row in (await self.sql(query, 20)).rows]

    async def traces(
        self, task_type: str | None, limit: int, active_only: bool
    ) -> list[ReasoningTrace]:
        """Give library entries, newest first."""
        if self.engine:
            args = [task_type, limit, active_only]
            return await self._ask("store_traces", args, list[ReasoningTrace])
        with self._open() as store:
            return store.traces(task_type, limit, active_only)

    async def forget(self, job_id: str) -> Forgotten:
        """Remove a job's texts from the store. Raises NotFound."""
        if self.engine:
            return await self._ask("store_forget", [job_id], Forgotten, LONG_SECONDS)
        with self._open() as store:
            return store.forget(job_id)

    async def check(self) -> Checked:
        """Read the whole journal and say what is damaged, and whether the tables have it all."""
        if self.engine:
            return await self._ask("store_check", [], Checked, LONG_SECONDS)
        with self._open() as store:
            return store.check()

    def _open(self) -> TraceStore:
        return TraceStore.open(self.settings.home / "traces")

    async def _ask(self, what: str, args: list[Any], kind: type[T], seconds: float = 60) -> T:
        assert self.engine is not None
        try:
            answer: T = await self.engine.client.execute_activity(
                what,
                args=args,
                id=f"ask-{what}-{uuid.uuid4().hex[:12]}",
                task_queue=STORE_QUEUE,
                result_type=kind,
                schedule_to_start_timeout=ANSWER_WITHIN,
                start_to_close_timeout=timedelta(seconds=seconds),
                retry_policy=RetryPolicy(
                    maximum_attempts=3, non_retryable_error_types=list(NON_RETRYABLE)
                ),
            )
        except (ActivityFailureError, RPCError) as error:
            raise from_failure(error) from None
        return answer


async def records(settings: Settings) -> Records:
    """Find out how the store of these settings can be asked. Raises EngineError."""
    if not settings.temporal.address:
        await _settled(settings)
    return Records(settings, await connect_running(settings))


async def _settled(settings: Settings) -> None:
    """Wait while the engine starts or ends: the store changes hands then."""
    from crp import local

    deadline = time.monotonic() + CHANGING_WITHIN
    while (running := local.status(settings)) is not None and running.phase != "running":
        if time.monotonic() > deadline:
            raise EngineError(f"the engine is {running.phase} for a minute: see `crp up`")
        await asyncio.sleep(0.1)
