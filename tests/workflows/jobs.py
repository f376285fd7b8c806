"""Run one job through the in-process stages with a scripted model, and look at everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crp.advanced.in_process import InProcessStages
from crp.blobs import BlobStore
from crp.models import (
    Job,
    JobResult,
    Library,
    MetaLearningConfig,
    ModelProfile,
    Pressure,
    ReasoningStep,
    ReasoningTrace,
    Task,
)
from crp.templates import find_library, pinned
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import ScriptedModel
from crp_activities.providers.base import Provider
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore
from crp_workflows.orchestration import Reasoning

TASK = "Plan my garden"
GARDEN = """
format: 1
template: garden
match: {keywords: [garden]}
complexity: 3
steps:
  roots:
    prompt: Describe the ROOTS.
    scaffold: none
    checks: [{mentions: root, hint: Say the word root.}]
  leaves:
    prompt: Describe the LEAVES.
    scaffold: none
    checks: [{mentions: leaf, hint: Say the word leaf.}]
  advice:
    prompt: |
      {{ roots }} / {{ leaves }}
      Give the ADVICE.
    scaffold: none
quality:
  score:
    - words: 1-400
    - mentions: [root, leaf]
      weight: 9
"""
"""Two steps that do not need each other, and one that needs both; its output is the answer."""

ROOTS = "The root drinks water from the soil."
LEAVES = "The leaf drinks light from the sun."
ADVICE = "Water every root in the evening and keep each leaf dry."
GOOD: dict[str, Any] = {
    "Give the ADVICE": ADVICE,
    "Describe the ROOTS": ROOTS,
    "Describe the LEAVES": LEAVES,
    TASK: "Buy flowers and hope for the best.",
}
"""The last line is the probe: it names neither root nor leaf and scores 0.1."""


def library(*texts: str, box: bool = False) -> Library:
    """A library of templates given as text, with those of the box behind them if wanted."""
    shelf = find_library().library
    ours = tuple(pinned(text)[0] for text in (texts or (GARDEN,)))
    return Library(templates=(*ours, *(shelf.templates if box else ())), scaffolds=shelf.scaffolds)


@dataclass
class Ran:
    """A job that ended."""

    result: JobResult
    model: ScriptedModel
    reasoning: Reasoning

    @property
    def prompts(self) -> list[str]:
        """What the model saw, one text a call."""
        return ["\n\n".join(m.content for m in r.messages) for r in self.model.requests]

    def prompts_of(self, words: str) -> list[str]:
        return [prompt for prompt in self.prompts if words in prompt]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.reasoning.ledger.events]


@dataclass
class Bench:
    """Where jobs run: a directory and a store that they share."""

    directory: Path
    store: TraceStore

    def reasoning(
        self,
        model: Provider,
        task: str | Task = TASK,
        *templates: str,
        box: bool = False,
        job_id: str = "job",
        capability: int = 1,
        store: TraceStore | None = None,
        **config: Any,
    ) -> Reasoning:
        tools = Tools(
            Models.of({"default": model}),
            AnswerJournal(self.directory / "answers"),
            BlobStore(self.directory / "blobs"),
        )
        asked = Task(text=task) if isinstance(task, str) else task
        job = Job(
            job_id=job_id,
            task=asked.model_copy(update={"pressure": asked.pressure or Pressure.NONE}),
            config=MetaLearningConfig(**config),
            models={"default": ModelProfile(alias="default", name="m", capability=capability)},
            submitted_at=datetime.now(UTC),
        )
        stages = InProcessStages(tools, store or self.store, pauses=())
        return Reasoning(job, library(*templates, box=box), stages)

    async def run(self, script: Any, task: str | Task = TASK, *templates: str, **more: Any) -> Ran:
        model = script if isinstance(script, ScriptedModel) else ScriptedModel(script)
        reasoning = self.reasoning(model, task, *templates, **more)
        return Ran(await reasoning.run(), model, reasoning)


def example(summary: str = TASK, **changes: Any) -> ReasoningTrace:
    """A library entry that resembles TASK."""
    data: dict[str, Any] = {
        "task_type": "garden",
        "task_summary": summary,
        "steps": [
            ReasoningStep(step_description="Look at the soil"),
            ReasoningStep(step_description="Look at the sun"),
        ],
        "model_class": "0.5B-1B",
        "quality_score": 0.9,
        "created_at": 1.0,
    }
    return ReasoningTrace(**{**data, **changes})
