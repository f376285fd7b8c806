"""The Python API: give the engine a function that calls your model, and solve tasks with it.

    engine = MetaLearningEngine(dispatch_fn=my_dispatch, model_capability=2)
    print(engine.solve("Compare tea and coffee").answer)

`my_dispatch(prompt, context)` returns `(output, metadata)` and may be async. Everything runs in
the caller's process, without a server; with a Temporal client the same engine submits durable
jobs. It is the same orchestration in both cases (`crp_workflows.orchestration`).

Touches: a temporary directory (prompts, and answers that are paid for), or the one that is given;
a trace store in memory, or the one that is given.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from temporalio.client import Client

from crp.advanced import blocking, given
from crp.advanced.durable import Durable, Handle
from crp.advanced.in_process import PAUSES
from crp.advanced.results import ORCResult
from crp.advanced.runner import Ran, Runner
from crp.advanced.workshop import Workshop
from crp.errors import ConfigError, UsageError
from crp.language.envelope import scaffold_for, with_examples
from crp.language.plan import start_level
from crp.language.scaffolds import defaults
from crp.models import (
    JobResult,
    Library,
    MetaLearningConfig,
    ModelProfile,
    Plan,
    Pressure,
    ReasoningStep,
    ReasoningTrace,
    Task,
)
from crp.templates import find_library
from crp_activities import deciding, traces
from crp_activities.providers.callable import DispatchFn
from crp_analytics.store import TraceStore
from crp_workflows import activation

__all__ = [
    "MetaLearningConfig",
    "MetaLearningEngine",
    "ORCResult",
    "ReasoningStep",
    "ReasoningTrace",
]

FORMAT = 1
"""Of `to_dict`."""

ALL = 1_000_000_000
"""Traces; no library has more."""


class MetaLearningEngine:
    """Solve tasks with a small model, and learn from what went well.

    dispatch_fn       calls the model; None: plans are made and nothing is run
    model_capability  0 to 3, see the table in the README
    config            how the engine decides
    profile           more about the model: context window, calls at once, time-out, prices
    library           templates; by default those of the box (`find_library(...).library`)
    store             where traces are kept; by default in memory, for as long as the engine lives
    directory         keeps paid answers, so that a restarted script with the same `job_id` does
                      not pay again; by default a temporary one
    pauses            seconds between the tries of a call that did not answer (in-process only)
    client            a Temporal client with `plugins=[CRPPlugin(...)]`: jobs become durable
    task_queue        where they run; see `worker`

    `dispatch_fn` is called from several threads, or several times at once when it is async;
    `profile=ModelProfile(concurrency=1)` makes that one call at a time. Raises ConfigError for
    values that make no sense. Close the engine, or use it in a `with` block, to free its files at
    once; otherwise they go with it.
    """

    def __init__(
        self,
        dispatch_fn: DispatchFn | None = None,
        model_capability: int = 1,
        config: MetaLearningConfig | None = None,
        *,
        profile: ModelProfile | None = None,
        library: Library | None = None,
        store: TraceStore | None = None,
        directory: str | Path | None = None,
        pauses: Sequence[float] = PAUSES,
        client: Client | None = None,
        task_queue: str = "crp-python",
    ) -> None:
        if dispatch_fn is not None and not callable(dispatch_fn):
            raise ConfigError(
                f"dispatch_fn must be a function of (prompt, context), not {dispatch_fn!r}"
            )
        self.config = given.config(config)
        self.model_capability = given.whole("model_capability", model_capability, 0, 3)
        self._dispatch_fn = dispatch_fn
        self._durable = Durable(client, task_queue) if client is not None else None
        self._profile = self._completed(profile or ModelProfile())
        self._library = library
        self._pauses = tuple(pauses)
        self._workshop = Workshop(dispatch_fn, store, Path(directory) if directory else None)
        self._serving: asyncio.AbstractEventLoop | None = None

    # -- solving -------------------------------------------------------------------------------

    def solve(self, task: str | Task, *, context: str = "", job_id: str | None = None) -> JobResult:
        """Solve a task the whole way: template, gate, probe or chain, answer.

        `context` holds the facts to answer from; a `Task` can say more. The result says what
        happened (`status`, `error`, `notes`): a job that fails does not raise. The same `job_id`
        in the same `directory` pays for no answer twice. Works inside a running loop, too, in a
        thread; `await asolve(...)` is better there.
        """
        self._refuse_to_block()
        return blocking.run(self.asolve(task, context=context, job_id=job_id))

    async def asolve(
        self, task: str | Task, *, context: str = "", job_id: str | None = None
    ) -> JobResult:
        """Do what `solve` does, for async callers. Cancelling it records the job as cancelled."""
        result, _ = await self._run(given.task(task, context), job_id)
        return result

    def orchestrated_reasoning(
        self,
        task: str | Task,
        task_complexity: int = 3,
        resource_pressure: str | Pressure = "NONE",
        *,
        job_id: str | None = None,
    ) -> ORCResult:
        """Run the chain for a task, whatever the gate would say.

        Ask `should_use_orc` first, or use `solve`, which does. `resource_pressure` caps the number
        of steps: 5 at MODERATE, 3 above.
        """
        self._refuse_to_block()
        work = self.aorchestrated_reasoning(task, task_complexity, resource_pressure, job_id=job_id)
        return blocking.run(work)

    async def aorchestrated_reasoning(
        self,
        task: str | Task,
        task_complexity: int = 3,
        resource_pressure: str | Pressure = "NONE",
        *,
        job_id: str | None = None,
    ) -> ORCResult:
        """Do what `orchestrated_reasoning` does, for async callers."""
        asked = given.chain(task, task_complexity, resource_pressure)
        return ORCResult.of(*await self._run(asked, job_id))

    def plan(self, task: str | Task, *, context: str = "") -> Plan:
        """Make the plan of a task without asking the model for anything.

        Lists that only the model could find are taken from the template's `otherwise`. Raises
        JobFailed when there is none, and TemplateError or UsageError for what is wrong.
        """
        result, _ = blocking.run(self._runner.preview(given.task(task, context)))
        assert result.plan is not None
        return result.plan

    async def _run(self, task: Task, job_id: str | None) -> Ran:
        if self._dispatch_fn is None:
            return await self._runner.preview(task, job_id)
        return await self._runner.run(task, job_id)

    # -- deciding --------------------------------------------------------------------------------

    def should_use_orc(
        self,
        task_complexity: int = 3,
        resource_pressure: str | Pressure = "NONE",
        probe_quality: float = 0.0,
    ) -> bool:
        """Say whether the gate's rules are for a chain. Nothing is asked of model or store."""
        complexity = given.whole("task_complexity", task_complexity, 1, 5)
        pressure = Pressure.named(resource_pressure)
        quality = given.quality("probe_quality", probe_quality)
        job = self._runner.job(Task(text="any"))
        gate = activation.cheap_gates(job, complexity=complexity, pressure=pressure)
        return activation.after_probe(gate, quality, self.config.orc_probe_threshold).orc

    # -- prompts ---------------------------------------------------------------------------------

    def build_reasoning_scaffold(self, task: str) -> str:
        """Give the help text that a prompt for this task starts with; empty at level none."""
        if not (self.config.enabled and self.config.icml_enabled):
            return ""
        level = start_level("auto", self.config.scaffold_level, self.model_capability)
        return scaffold_for(task, level, defaults(self.library.scaffolds))

    def build_metacognitive_envelope(
        self,
        task: str,
        base_envelope: str = "",
        few_shot_traces: Sequence[ReasoningTrace] | None = None,
    ) -> str:
        """Put help and worked examples behind a prompt of your own.

        Without `base_envelope` the task itself is the prompt. None takes the examples from the
        library, which counts as a use of each; a list is taken as it is, an empty one means none.
        """
        base = base_envelope or task
        if not (self.config.enabled and self.config.icml_enabled):
            return base
        shown = self._retrieved(task) if few_shot_traces is None else few_shot_traces
        return with_examples(base, self.build_reasoning_scaffold(task), shown)

    def _retrieved(self, task: str) -> list[ReasoningTrace]:
        config = self.config
        if not config.rtl_enabled or config.icml_max_examples == 0:
            return []
        job = self._runner.job(given.task(task))
        # Not a job whose success is measured: nothing is held out.
        job = job.model_copy(update={"config": config.model_copy(update={"icml_hold_out": 0.0})})
        source = deciding.route(job, self.library).source
        found = traces.retrieve(
            self.store, job, source, config.icml_max_examples, config.rtl_min_quality_for_storage
        )
        return [example.trace for example in found.examples]

    # -- the library -----------------------------------------------------------------------------

    def store_trace(self, trace: ReasoningTrace) -> bool:
        """Put a trace into the library; False when it is not good enough, or there already."""
        config = self.config
        if not (config.enabled and config.rtl_enabled):
            return False
        if trace.quality_score < config.rtl_min_quality_for_storage:
            return False
        return self.store.add_trace(trace)

    @property
    def trace_count(self) -> int:
        """The number of traces in the library."""
        return self.store.trace_count

    @property
    def library(self) -> Library:
        """The templates, frozen at first use."""
        if self._library is None:
            self._library = find_library().library
        return self._library

    def to_dict(self) -> dict[str, Any]:
        """Give settings and library as JSON data, for `from_dict`. History stays in the store."""
        return {
            "format": FORMAT,
            "model_capability": self.model_capability,
            "config": self.config.model_dump(mode="json"),
            "profile": self._profile.model_dump(mode="json"),
            "traces": [trace.to_dict() for trace in self.store.traces(limit=ALL)],
        }

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], dispatch_fn: DispatchFn | None = None, **others: Any
    ) -> Self:
        """Make an engine of what `to_dict` gave; `others` are arguments of the constructor.

        Raises ConfigError when the data is not what `to_dict` writes.
        """
        if data.get("format", FORMAT) != FORMAT:
            raise ConfigError(f"engine data of format {data['format']!r}: {FORMAT} is known")
        try:
            config = MetaLearningConfig.model_validate(data.get("config", {}))
            profile = ModelProfile.model_validate(data.get("profile", {}))
            kept = [ReasoningTrace.from_dict(entry) for entry in data.get("traces", ())]
        except (ValidationError, TypeError) as error:
            raise ConfigError(f"this is not the data of an engine: {error}") from None
        capability = data.get("model_capability", profile.capability)
        engine = cls(dispatch_fn, capability, config, **{"profile": profile, **others})
        for trace in reversed(kept):  # oldest first, as they came in
            engine.store.add_trace(trace)
        return engine

    # -- durable ---------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Self]:
        """Run a Temporal worker that calls `dispatch_fn`, until the block is left.

        Jobs of this engine's `task_queue` run here, also those that were submitted elsewhere or
        before a crash. Several processes may serve a queue when they share `directory`, so that
        answers are paid for once; each then has its own trace store.
        """
        durable = self._need_durable()
        if self._dispatch_fn is None:
            raise UsageError("a worker needs a dispatch_fn to call")
        async with durable.worker(self._workshop.tools, self.store, self._profile):
            self._serving = asyncio.get_running_loop()
            try:
                yield self
            finally:
                self._serving = None

    async def submit(
        self, task: str | Task, *, context: str = "", job_id: str | None = None
    ) -> Handle:
        """Start a durable job and give its Temporal handle; `await handle.result()` waits for it.

        The same `job_id` again gives the same job: it is started anew only after a failure.
        """
        durable = self._need_durable()
        return await durable.submit(
            self._runner.job(given.task(task, context), job_id), self.library
        )

    def _need_durable(self) -> Durable:
        if self._durable is None:
            raise UsageError("durable jobs need a Temporal client: MetaLearningEngine(client=...)")
        return self._durable

    def _refuse_to_block(self) -> None:
        loop = blocking.running_loop()
        if self._durable is not None and loop is not None and loop is self._serving:
            raise UsageError(
                "this would stop the loop that the engine's own worker needs: "
                "use `await engine.asolve(...)` or `await engine.aorchestrated_reasoning(...)`"
            )

    # -- what it is made of ------------------------------------------------------------------------

    @property
    def _runner(self) -> Runner:
        return Runner(
            self.config,
            self._profile,
            self.library,
            self._workshop,
            self._pauses,
            self._durable,
        )

    def _completed(self, profile: ModelProfile) -> ModelProfile:
        """The profile with what only the engine knows; its alias names the queue of the calls."""
        fn = self._dispatch_fn
        name = getattr(fn, "__name__", type(fn).__name__) if fn is not None else ""
        return profile.model_copy(
            update={
                "alias": self._durable.task_queue if self._durable else "default",
                "provider": "callable",
                "name": profile.name or name,
                "capability": self.model_capability,
            }
        )

    @property
    def store(self) -> TraceStore:
        """The trace store, for analytics: `engine.store.sql(...)`."""
        return self._workshop.store

    def close(self) -> None:
        """Free files and memory; a store or directory that was given is left alone."""
        self._workshop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
