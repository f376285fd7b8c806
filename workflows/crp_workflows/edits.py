"""What a person or a fork changes in a job: its template and inputs, steps left out, steps asked
anew. Pure functions of plan and job; the path decides when.
"""

from __future__ import annotations

from crp.errors import UsageError
from crp.models import Approval, Job, Library, Origin, Plan, Task


def job_as_wanted(job: Job, said: Approval) -> Job:
    """Give the job with the inputs that a person wants."""
    task: Task = job.task.model_copy(update={"inputs": {**job.task.inputs, **said.inputs}})
    return job.model_copy(update={"task": task})


def library_as_wanted(library: Library, said: Approval) -> Library:
    """Give the library with the template that a person wants; it may use the others."""
    if said.template is None:
        return library
    others = (t for t in library.templates if t.name != said.template.name)
    return library.model_copy(update={"templates": (said.template, *others)})


def left_out(plan: Plan, said: Approval) -> dict[str, str]:
    """Give the planned steps that a person leaves out, with who that is."""
    unwanted = {step.id for step in plan.steps if {step.id, step.step} & {*said.drop}}
    return dict.fromkeys(sorted(unwanted), said.by)


def asked_anew(plan: Plan, origin: Origin | None) -> frozenset[str]:
    """Give the planned steps that a fork asks again: where it begins, and all that depend on that.

    UsageError when the plan has no such step.
    """
    if origin is None or not origin.step:
        return frozenset()
    begins, fresh = {origin.step, *origin.also}, set[str]()
    for step in plan.steps:  # each stands after what it needs
        if {step.id, step.step, *step.needs, *step.optional_needs} & (begins | fresh):
            fresh.add(step.id)
    if not fresh and origin.step != "synthesize":
        raise UsageError(f"a fork can not begin with {origin.step!r}: the plan has no such step")
    return frozenset(fresh)
