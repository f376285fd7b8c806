"""`bench templates --live`: each template against the direct answer, on tasks of its kind.

Both arms have the same model, decoding, facts and checks. `direct` is one plain dispatch: facts
and task, no help. `template` is the whole engine with this template and no probe. Asked one item
after the other; each result is a line of the results file, and what is there is not asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.items import Item, ItemFile
from bench.model import Model
from bench.results import Line, add_line, read_lines, stamp
from bench.scoring import score
from crp.language.schema import Step, Template
from crp.models import (
    Attempt,
    Call,
    Job,
    JobResult,
    Library,
    MetaLearningConfig,
    ModelProfile,
    Pressure,
    Task,
    TemplateSource,
    Usage,
)
from crp.stages import Brief
from crp_workflows.orchestration import Reasoning

PLAIN = Template(template="direct", steps=(Step(id="reply", text="{{ task }}"),))
WARM = 0.7
"""Temperature of the second and later answers of `--best-of`."""


class Try(NamedTuple):
    """One answer that is to be got: which item, by which arm."""

    template: str
    item: Item
    arm: str
    source: TemplateSource | None = None

    @property
    def task(self) -> Task:
        """The item as a job of the template's: the chain, no probe, nothing cut."""
        return Task(
            text=self.item.task,
            context=self.item.context,
            inputs=self.item.inputs,
            template=self.template,
            orc="on",
            pressure=Pressure.NONE,
            examples=(),
        )

    def key(self, profile: ModelProfile) -> tuple[str, ...]:
        """What makes a result the same result."""
        sha = self.source.sha256 if self.source else ""
        model = (profile.name, str(profile.capability))
        return self.template, self.arm, self.item.sha256, sha, *model


def key_of(line: Line) -> tuple[str, ...]:
    """The key of a line of the results file; see `Try.key`."""
    fields = ("template", "arm", "item_sha256", "template_sha256", "model", "capability")
    return tuple(str(line.get(name, "")) for name in fields)


def tries(files: list[ItemFile], library: Library, best_of: int = 0) -> list[Try]:
    """List everything that there is to measure; a template that is not there is left out."""
    return list(_tries(files, library, best_of))


def _tries(files: list[ItemFile], library: Library, best_of: int) -> Iterator[Try]:
    for file in files:
        source = library.get(file.template)
        if source is None:
            continue
        for item in file.items:
            yield Try(file.template, item, "direct")
            if best_of > 1:
                yield Try(file.template, item, f"best of {best_of}")
            yield Try(file.template, item, "template", source)


def missing(wanted: list[Try], lines: list[Line], profile: ModelProfile) -> list[Try]:
    """Those that have no result yet."""
    done = {key_of(line) for line in lines}
    return [one for one in wanted if one.key(profile) not in done]


@dataclass
class Live:
    """One run over a list of tries."""

    model: Model
    library: Library
    path: Path
    tell: Callable[[Line], None] = lambda line: None

    def open(self, wanted: list[Try]) -> list[Try]:
        """Those that have no result yet."""
        return missing(wanted, read_lines(self.path), self.model.profile)

    async def run(self, wanted: list[Try]) -> None:
        """Get and note these results. Raises ModelError when no server answers."""
        marks = stamp()
        for one in wanted:
            line = {**_head(one, self.model), **await self._measure(one), **marks}
            add_line(self.path, line)
            self.tell(line)

    async def _measure(self, one: Try) -> Line:
        if one.arm == "template":
            return await self._by_template(one)
        if one.arm == "direct":
            return await self._direct(one.item, 1)
        count = int(one.arm.rpartition(" ")[2])
        lines = [await self._direct(one.item, number) for number in range(1, count + 1)]
        best = max(lines, key=lambda line: float(line["score"]))
        return {**best, **{name: sum(line[name] for line in lines) for name in _COSTS}}

    # -- the arms --------------------------------------------------------------------------------

    async def _direct(self, item: Item, number: int) -> Line:
        task = Task(text=item.task, context=item.context)
        job = self._job(task, f"direct-{item.question_sha256[:24]}", enabled=False)
        brief = Brief(job=job, template=PLAIN, complexity=1)
        call = Call(stage="probe", number=number, temperature=WARM if number > 1 else None)
        began = time.monotonic()
        attempt = await self.model.stages.probe(brief, call)
        seconds = time.monotonic() - began
        scored = score(item, attempt.output, attempt.finish_reason)
        return {
            "score": scored.value,
            "missed": scored.missed,
            "answer": attempt.output,
            **_costs(attempt.usage, attempt.usage.seconds if attempt.replayed else seconds),
        }

    async def _by_template(self, one: Try) -> Line:
        item, source = one.item, one.source
        assert source is not None
        job = self._job(one.task, f"template-{source.sha256[:12]}-{item.question_sha256[:24]}")
        reasoning = Reasoning(job, self.library, self.model.stages)
        result = await reasoning.run()
        if result.status == "failed" and self.model.provider.failure is not None:
            raise self.model.provider.failure
        if result.status == "cancelled":
            raise asyncio.CancelledError(result.error)
        chosen = reasoning.candidates.get(result.chosen)
        scored = score(item, result.answer, chosen.finish_reason if chosen else "stop")
        attempts = reasoning.ledger.attempts
        replayed = any(attempt.replayed for attempt in attempts)
        return {
            "score": scored.value,
            "missed": scored.missed,
            "answer": result.answer,
            **_costs(result.usage, result.usage.seconds if replayed else result.seconds),
            **_story(result, attempts),
        }

    def _job(self, task: Task, job_id: str, *, enabled: bool = True) -> Job:
        config = self.model.config.model_copy(update={"enabled": enabled})
        return job_of(task, job_id, self.model.profile, config)


def job_of(task: Task, job_id: str, profile: ModelProfile, config: MetaLearningConfig) -> Job:
    """Freeze a task into a job. The same id again finds the answers that were paid for."""
    return Job(
        job_id=f"bench-{job_id}",
        task=task,
        config=config,
        models={"default": profile},
        submitted_at=datetime.now(UTC),
    )


_COSTS = ("calls", "tokens", "completion_tokens", "seconds")


def _costs(usage: Usage, seconds: float) -> Line:
    return {
        "calls": usage.calls,
        "tokens": usage.tokens,
        "completion_tokens": usage.completion_tokens,
        "seconds": round(seconds, 2),
    }


def _head(one: Try, model: Model) -> Line:
    return {
        "bench": "templates --live",
        "template": one.template,
        "arm": one.arm,
        "item": one.item.name,
        "item_sha256": one.item.sha256,
        "template_sha256": one.source.sha256 if one.source else "",
        "model": model.profile.name,
        "capability": model.profile.capability,
        "max_tokens": model.profile.max_tokens,
    }


def _story(result: JobResult, attempts: list[Attempt]) -> Line:
    """How the steps went."""
    statuses = [step.status for step in result.steps]
    return {
        "status": result.status,
        "chosen": result.chosen,
        "used": result.template,
        "steps": len(statuses),
        "failed": sum(status in ("failed", "skipped") for status in statuses),
        "accepted": statuses.count("accepted"),
        "retried": sum(step.attempts > 1 for step in result.steps),
        "error": result.error,
        "attempts": len(attempts),
    }
