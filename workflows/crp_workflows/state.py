"""What a job works with and what it knows so far; what follows: its result, record and trace.

`Reasoning` fills it in while the job takes its path; nothing here decides what happens next.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crp.language.schema import Template
from crp.models import (
    Attempt,
    Call,
    Candidate,
    Carried,
    GateDecision,
    Job,
    JobRecord,
    JobResult,
    JobStatus,
    Library,
    ModelProfile,
    Origin,
    Plan,
    PlannedStep,
    Reading,
    ReasoningStep,
    ReasoningTrace,
    Retrieved,
    Score,
    Usage,
)
from crp.stages import Brief, Route, Stages
from crp_workflows.ledger import Ledger

MOST_NAMES = 20
"""Steps that a note names."""


class JobState:
    """Everything that a job has found out.

    Where a step lets another template solve a part of the task, that part is a job of its own:
    `whole` is the job that it belongs to, `within` the step there, as the whole job calls it.
    """

    def __init__(
        self,
        job: Job,
        library: Library,
        stages: Stages,
        whole: JobState | None = None,
        within: str = "",
    ) -> None:
        self.job = job
        self.library = library
        self.stages = stages
        self.whole = whole
        self.within = within
        self.ledger: Ledger = Ledger(stages.now, whole.ledger if whole else None, within)
        self.started_at = stages.now()
        self.route: Route | None = None
        self.brief: Brief | None = None
        self.reading: Reading | None = None
        self.sampled_at = self.started_at
        """When the pressure was read."""
        self.retrieved = Retrieved()
        self.gate: GateDecision | None = None
        self.plan: Plan | None = None
        self.probe_attempt: Attempt | None = None
        self.candidates: dict[str, Candidate] = {}
        self.scores: dict[str, Score] = {}
        self.asked = 0
        """Calls that were begun, answered or not, in all histories of the job."""
        self.spent = Usage()
        """What they cost."""
        self.fresh: frozenset[str] = frozenset()
        """Planned steps that a fork asks anew."""
        self.dropped: dict[str, str] = {}
        """Planned steps that a person took out, and who."""
        self.result: JobResult | None = None
        """The answer, as soon as it is known; what became of its trace follows."""

    def go_on_from(self, carried: Carried) -> None:
        """Begin where the last history of the job ended."""
        self.started_at = carried.started_at
        self.asked, self.spent = carried.asked, carried.spent
        self.ledger.go_on_from(carried.events)

    @property
    def root(self) -> JobState:
        """The job that this is a part of, or the job itself."""
        return self.whole.root if self.whole else self

    def budget_spent(self) -> str:
        """Say which part of the job's budget is used up, and tell it once; or nothing."""
        budget, usage, left = self.job.budget, self.spent, self.seconds_left()
        spent = ""
        if budget.calls is not None and self.asked >= budget.calls:
            spent = f"{budget.calls} calls"
        elif budget.tokens is not None and usage.tokens >= budget.tokens:
            spent = f"{budget.tokens} tokens"
        elif budget.cost is not None and usage.cost >= budget.cost:
            spent = f"{budget.cost:g} of money"
        elif left is not None and left <= 0:
            spent = f"{budget.seconds:g} seconds"
        if spent:
            self.ledger.note(f"the budget of {spent} is used up: this is the best answer so far")
        return f"the budget of {spent} is used up" if spent else ""

    def seconds_left(self) -> float | None:
        """How long the job may still work, without the time that it waited for a person."""
        if self.job.budget.seconds is None:
            return None
        passed = (self.ledger.now() - self.started_at).total_seconds()
        return self.job.budget.seconds - (passed - self.ledger.stood())

    def origin_of(self, call: Call) -> str:
        """The job whose answer to a call is given again; empty when a model is to be asked."""
        origin = self.job.origin
        if origin is None or self._is_fresh(call, origin):
            return ""
        return origin.job_id

    def _is_fresh(self, call: Call, origin: Origin) -> bool:
        """Whether a call belongs to the step of which a fork begins, or to what depends on it."""
        if call.stage == "probe":
            return origin.whole_task
        if not origin.step:
            return False
        if call.stage == "synthesize":
            return True
        if call.stage != "execute":
            return False
        return self.ledger.path(call.step_id).split(">")[0] in self.root.fresh

    @property
    def profile(self) -> ModelProfile:
        return self.job.model("default")

    @property
    def depth(self) -> int:
        """How many templates this part is inside of; 0 for the job itself."""
        return 1 + self.whole.depth if self.whole else 0

    async def solve_part(self, call: Call, template: str, given: Attempt) -> Attempt:
        """Let another template solve a part of the task; `given` holds its task and inputs."""
        raise NotImplementedError

    def best(self) -> str:
        """The chain's best against the probe; a tie goes to the cheaper.

        The model's synthesis counts when it scores at least as well as the joined version.
        """
        value = {kind: score.value for kind, score in self.scores.items()}
        chain = [kind for kind in ("synthesized", "joined", "direct") if kind in value]
        order = ["probe", *chain] if "probe" in value else chain
        return max(order, key=lambda kind: value[kind], default="")

    def status(self) -> JobStatus:
        wanted = self._wanted()
        failed = [
            step.id
            for step in self.ledger.steps.values()
            if step.status == "failed" or (step.status == "skipped" and step.step in wanted)
        ]
        if failed:
            names = ", ".join(failed[:MOST_NAMES]) + (", ..." if len(failed) > MOST_NAMES else "")
            self.ledger.note(
                f"incomplete: {len(failed)} of {len(self.ledger.steps)} steps ({names})"
            )
        return "incomplete" if failed and self.best() in ("joined", "synthesized") else "completed"

    def _wanted(self) -> set[str]:
        """The steps whose output is missed when they were skipped: nobody reads it, so it is for
        the answer, or somebody who reads it can not do without."""
        planned = {step.step for step in self.ledger.steps.values()}
        if self.brief is None:
            return planned
        template = self.brief.template
        there = [s for s in template.steps if s.id in planned]
        there += [template.synthesize] if template.synthesize else []
        readers = {
            name: [s for s in there if name in (*s.reads, *s.reads_item)] for name in planned
        }
        return {
            name
            for name, who in readers.items()
            if not who or any(name not in s.optional for s in who)
        }

    def outcome(self, status: JobStatus, error: str = "") -> JobResult:
        chosen = self.best() if self.scores else next(iter(self.candidates), "")
        score = self.scores.get(chosen)
        answer = self.candidates[chosen].text if chosen else ""
        fields: dict[str, Any] = {
            "job_id": self.job.job_id,
            "status": status,
            "answer": answer,
            "chosen": chosen,
            "quality": score.value if score else None,
            "scores": tuple(self.scores.values()),
            "probe_text": self.probe_attempt.output if self.probe_attempt else None,
            "template": self.brief.template.template if self.brief else "",
            "template_sha256": self.route.source.sha256 if self.route else "",
            "complexity": self.brief.complexity if self.brief else 0,
            "gate": self.gate,
            "plan": self.plan,
            "steps": tuple(self.ledger.steps.values()),
            "usage": self.ledger.usage,
            "seconds": (self.ledger.now() - self.started_at).total_seconds(),
            "notes": tuple(self.ledger.notes),
            "error": error,
        }
        return JobResult(**fields)

    def record(self) -> JobRecord:
        """Everything that the store keeps about this job."""
        assert self.result is not None
        template = self.brief.template if self.brief else None
        config = self.job.config
        above = template.quality.store_above if template else None
        return JobRecord(
            job=self.job,
            result=self.result,
            started_at=self.started_at,
            finished_at=self.ledger.now(),
            template_source=self.route.source if self.route else None,
            template_version=template.version if template else "",
            matches=self.route.matches if self.route else (),
            reading=self.reading,
            retrieved=self.retrieved,
            attempts=tuple(self.ledger.attempts),
            events=tuple(self.ledger.events),
            trace=self.trace() if config.rtl_enabled else None,
            store_above=config.rtl_min_quality_for_storage if above is None else above,
        )

    def trace(self) -> ReasoningTrace | None:
        """The library entry, where the job made a plan and got a score."""
        if self.brief is None or self.result is None:
            return None
        return trace_of(self.job, self.result, self.brief.template, self.ledger.now())


def trace_of(
    job: Job, result: JobResult, template: Template, at: datetime
) -> ReasoningTrace | None:
    """Say as an example for others how a task was split, and how well that went."""
    if result.plan is None or result.quality is None:
        return None
    return ReasoningTrace(
        trace_id=job.job_id,
        task_type=template.template,
        task_summary=job.task.text[:500],
        steps=[_reasoning_step(s, template) for s in result.plan.steps],
        model_class=job.model("default").model_class,
        quality_score=result.quality,
        created_at=at.timestamp(),
    )


def _reasoning_step(planned: PlannedStep, template: Template) -> ReasoningStep:
    step = template.step(planned.step)
    return ReasoningStep(
        step_description=planned.description or planned.title,
        system_prompt_template=step.text,
        expected_output_format=step.output.label,
        scaffold_level=int(planned.level),
    )
