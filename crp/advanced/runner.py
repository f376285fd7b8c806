"""One job of an engine, run here or on Temporal: the same orchestration either way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from crp.advanced.durable import Durable
from crp.advanced.in_process import InProcessStages, PlanningStages
from crp.advanced.workshop import Workshop
from crp.language.load import load
from crp.models import (
    Job,
    JobResult,
    Library,
    MetaLearningConfig,
    ModelProfile,
    ReasoningTrace,
    Task,
)
from crp.stages import STORE_QUEUE
from crp_workflows.orchestration import Reasoning
from crp_workflows.state import trace_of


class Ran(NamedTuple):
    """A job that ended, with its trace as an example for others."""

    result: JobResult
    trace: ReasoningTrace | None


@dataclass(frozen=True)
class Runner:
    """What all jobs of an engine have in common."""

    config: MetaLearningConfig
    profile: ModelProfile
    library: Library
    workshop: Workshop
    pauses: Sequence[float]
    durable: Durable | None

    def job(self, task: Task, job_id: str | None = None) -> Job:
        """Freeze a task into a job; without an id it gets one of its own."""
        return Job(
            job_id=job_id or f"job-{uuid.uuid4().hex}",
            task=task,
            config=self.config,
            models={"default": self.profile},
            submitted_at=datetime.now(UTC),
            store_queue=self.durable.store_queue if self.durable else STORE_QUEUE,
        )

    async def run(self, task: Task, job_id: str | None = None) -> Ran:
        """Solve a task where the engine's jobs run."""
        job = self.job(task, job_id)
        return await (self._run_here(job) if self.durable is None else self._submit(job))

    async def preview(self, task: Task, job_id: str | None = None) -> Ran:
        """Make the plan and nothing else; no model is asked."""
        stages = PlanningStages(self.workshop.tools, self.workshop.store)
        return Ran(await Reasoning(self.job(task, job_id), self.library, stages).preview(), None)

    async def _run_here(self, job: Job) -> Ran:
        stages = InProcessStages(self.workshop.tools, self.workshop.store, self.pauses)
        reasoning = Reasoning(job, self.library, stages)
        result = await reasoning.run()
        if result.status == "cancelled":  # recorded as such; the caller's cancellation goes on
            raise asyncio.CancelledError(result.error)
        return Ran(result, reasoning.trace())

    async def _submit(self, job: Job) -> Ran:
        assert self.durable is not None
        result = await self.durable.wait(await self.durable.submit(job, self.library))
        return Ran(result, await asyncio.to_thread(self._trace, job, result))

    def _trace(self, job: Job, result: JobResult) -> ReasoningTrace | None:
        """The trace of a job that ran elsewhere; a plan that the model made is known there only."""
        source = self.library.get(result.template)
        if source is None or source.sha256 != result.template_sha256:
            return None
        return trace_of(job, result, load(source.text, source.name), datetime.now(UTC))
