"""What `orchestrated_reasoning` gives back, in the form of the reference implementation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from crp.models import JobResult, ReasoningTrace, StepRecord


class ORCResult(BaseModel):
    """A finished chain: the answer, how it came about, and the whole job behind it."""

    model_config = ConfigDict(frozen=True)

    steps_completed: int
    steps_total: int
    final_output: str
    """The best candidate's text; empty when there is none."""
    step_outputs: list[str]
    """The outputs of the completed steps, in the order of the plan."""
    quality_score: float
    """0 to 1; 0 when nothing was scored."""
    trace: ReasoningTrace | None
    """The chain as an example for others; None when no plan was made or nothing was scored."""
    steps: list[StepRecord]
    """Every planned step with its status, also those that failed, were skipped or never ran."""
    job: JobResult
    """Everything else: gate, plan, scores, usage, notes, the reason of a failure."""

    @property
    def complete(self) -> bool:
        """Whether every planned step was executed or turned out not to be needed."""
        return self.steps_completed == self.steps_total > 0

    @classmethod
    def of(cls, job: JobResult, trace: ReasoningTrace | None) -> ORCResult:
        """Sum a job up."""
        fulfilled = [step for step in job.steps if step.fulfilled]
        return cls(
            steps_completed=len(fulfilled),
            steps_total=len(job.steps),
            final_output=job.answer,
            step_outputs=[step.output for step in fulfilled if step.output],
            quality_score=job.quality or 0.0,
            trace=trace,
            steps=list(job.steps),
            job=job,
        )
