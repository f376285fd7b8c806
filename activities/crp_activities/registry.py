"""The activities by the names that Temporal knows them by, bound to what they work with.

`WorkActivities` runs on any worker, `StoreActivities` in the store's owner alone. Synchronous ones
run in the worker's thread pool, so that nothing blocks its event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from temporalio import activity

from crp import facts
from crp.blobs import BlobStore
from crp.errors import NotFound
from crp.models import (
    Attempt,
    Call,
    Candidate,
    CurationReport,
    Job,
    JobRecord,
    Library,
    MetaLearningConfig,
    Plan,
    Reading,
    ReasoningTrace,
    Recorded,
    Retrieved,
    Score,
    TemplateSource,
)
from crp.stages import Brief, PlanRequest, Route
from crp_activities import deciding, traces
from crp_activities.ask import ask
from crp_activities.sampling import sampled
from crp_activities.tools import Tools
from crp_analytics.checking import Checked
from crp_analytics.comparing import Comparison
from crp_analytics.desk import Undone
from crp_analytics.erasing import Forgotten
from crp_analytics.facts import CurationFact
from crp_analytics.publish import Published
from crp_analytics.scoring import Scored
from crp_analytics.sql import Table
from crp_analytics.store import TraceStore


class WorkActivities:
    """Everything but the store."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @activity.defn
    def route(self, job: Job, library: Library, forced: str | None) -> Route:
        return deciding.route(facts.whole(job, self._tools.blobs), library, forced)

    @activity.defn
    def decompose(self, brief: Brief, request: PlanRequest) -> Plan:
        return deciding.decompose(self._whole(brief), request)

    @activity.defn
    def render(self, brief: Brief, call: Call) -> Attempt:
        return deciding.render(self._whole(brief), call)

    @activity.defn
    def score(
        self, brief: Brief, candidates: tuple[Candidate, ...], outputs: dict[str, JsonValue]
    ) -> tuple[Score, ...]:
        return deciding.score(self._whole(brief), candidates, outputs)

    @activity.defn
    async def breathe(self) -> None:
        """Nothing: a long activation of a workflow is cut in two where it waits for this."""

    @activity.defn
    async def sample_pressure(self, alias: str) -> Reading:
        return await sampled(self._tools, alias)

    @activity.defn
    async def probe(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    @activity.defn
    async def extract(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    @activity.defn
    async def outline(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    @activity.defn
    async def execute(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    @activity.defn
    async def synthesize(self, brief: Brief, call: Call) -> Attempt:
        return await self._ask(brief, call)

    async def _ask(self, brief: Brief, call: Call) -> Attempt:
        if brief.job.task.context_sha256:
            brief = await asyncio.to_thread(self._whole, brief)
        return await ask(self._tools, brief, call)

    def _whole(self, brief: Brief) -> Brief:
        """With the facts, when they travelled by reference."""
        if not brief.job.task.context_sha256:
            return brief
        return brief.model_copy(update={"job": facts.whole(brief.job, self._tools.blobs)})

    @property
    def deciding(self) -> list[Callable[..., Any]]:
        """What runs beside the workflows."""
        return [
            self.breathe,
            self.sample_pressure,
            self.route,
            self.decompose,
            self.render,
            self.score,
        ]

    @property
    def asking(self) -> list[Callable[..., Any]]:
        """What runs where a model's calls are counted."""
        return [
            self.probe,
            self.extract,
            self.outline,
            self.execute,
            self.synthesize,
        ]


class StoreActivities:
    """What the store's owner does for jobs and for people."""

    def __init__(self, store: TraceStore, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs

    @activity.defn
    def retrieve(
        self, job: Job, source: TemplateSource, limit: int, min_quality: float
    ) -> Retrieved:
        return traces.retrieve(self._store, job, source, limit, min_quality)

    @activity.defn
    def record(self, record: JobRecord) -> Recorded:
        return traces.record(self._store, self._blobs, record)

    @activity.defn
    def curate(self, config: MetaLearningConfig) -> CurationReport:
        return traces.curate(self._store, config)

    @activity.defn
    def store_sql(self, query: str, row_cap: int, seconds: float, memory_mb: int) -> Table:
        return self._store.sql(query, row_cap=row_cap, seconds=seconds, memory_mb=memory_mb)

    @activity.defn
    def store_publish(self, folder: str, with_texts: bool, parquet: bool) -> Published:
        return self._store.publish(Path(folder), with_texts=with_texts, parquet=parquet)

    @activity.defn
    def store_jobs(self, limit: int) -> list[dict[str, Any]]:
        return self._store.jobs(limit)

    @activity.defn
    def store_job(self, job_id: str) -> dict[str, Any]:
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"the trace store has no job {job_id!r}: see `crp traces list`")
        return job

    @activity.defn
    def store_record(self, job_id: str) -> JobRecord:
        record = self._store.record_of(job_id)
        if record is None:
            raise NotFound(f"the trace store has no record of job {job_id!r}")
        return record

    @activity.defn
    def store_add_trace(self, trace: ReasoningTrace) -> bool:
        return self._store.add_trace(trace)

    @activity.defn
    def store_traces(
        self, task_type: str | None, limit: int, active_only: bool
    ) -> list[ReasoningTrace]:
        return self._store.traces(task_type, limit, active_only)

    @activity.defn
    def store_similar(
        self, task: str, task_type: str, model_class: str, limit: int, min_quality: float
    ) -> Comparison:
        return self._store.desk.similar(task, task_type, model_class, limit, min_quality)

    @activity.defn
    def store_score(self, job_id: str, value: float, by: str, note: str) -> Scored:
        return self._store.desk.score(job_id, value, by, note)

    @activity.defn
    def store_add_all(self, traces: list[ReasoningTrace]) -> list[str]:
        return self._store.desk.add_all(traces)

    @activity.defn
    def store_retire(self, trace_id: str, why: str) -> bool:
        return self._store.desk.retire(trace_id, why)

    @activity.defn
    def store_restore(self, trace_id: str, why: str) -> bool:
        return self._store.desk.restore(trace_id, why)

    @activity.defn
    def store_undo(self, run_id: int) -> Undone:
        return self._store.desk.undo(run_id)

    @activity.defn
    def store_curate(self, config: MetaLearningConfig) -> CurationFact:
        return self._store.desk.curate(config)

    @activity.defn
    def store_would_retire(self, config: MetaLearningConfig) -> CurationFact:
        return self._store.desk.would_retire(config)

    @activity.defn
    def store_forget(self, job_id: str) -> Forgotten:
        return self._store.forget(job_id)

    @activity.defn
    def store_check(self) -> Checked:
        return self._store.check()

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [
            self.retrieve,
            self.record,
            self.curate,
            self.store_sql,
            self.store_publish,
            self.store_jobs,
            self.store_job,
            self.store_record,
            self.store_add_trace,
            self.store_traces,
            self.store_similar,
            self.store_score,
            self.store_add_all,
            self.store_retire,
            self.store_restore,
            self.store_undo,
            self.store_curate,
            self.store_would_retire,
            self.store_forget,
            self.store_check,
        ]
