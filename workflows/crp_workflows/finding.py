"""What the plan needs before it can be made: the lists of the template, or an outline by the model
where no template fits. Decisions only, over the stages protocol.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from crp.errors import JobFailed
from crp.language.plan import OUTLINE, outline_template
from crp.language.schema import Extract
from crp.models import Call, Rung
from crp_workflows.climbing import climb
from crp_workflows.state import JobState

LADDER = (Rung(action="retry"),)


async def outline(job: JobState) -> bool:
    """Ask the model for a plan, when no template fits; False when it has none."""
    assert job.brief is not None
    call = Call(stage="decompose", step=OUTLINE, within=job.within)
    climbed = await climb(job, call, ())
    steps = _texts(climbed.taken.value) if climbed.taken else ()
    if not steps:
        return False
    names = {**job.brief.names, OUTLINE: list(steps)}
    job.brief = job.brief.model_copy(update={"template": outline_template(steps), "names": names})
    return True


async def find_lists(job: JobState) -> Extract | None:
    """Fill in the lists that did not stand in the request; give the one that sends the job to
    another template, if there is one. Raises JobFailed when one is missing."""
    assert job.brief is not None
    for wanted in job.brief.template.extract:
        if wanted.name in job.brief.names:
            continue
        found, by = await _asked_for(job, wanted), "model"
        if len(found) < max(1, wanted.min):
            if wanted.otherwise_use:
                return wanted
            if wanted.otherwise is None:
                raise JobFailed(f"the task names no {wanted.name}, and the model found none")
            found, by = wanted.otherwise, "otherwise"
        names = {**job.brief.names, wanted.name: list(found)}
        job.brief = job.brief.model_copy(update={"names": names})
        job.ledger.say("extracted", stage="extract", step=wanted.name, values=list(found), by=by)
    return None


async def _asked_for(job: JobState, wanted: Extract) -> Sequence[str]:
    """What the model finds, when the template lets it be asked and it is able to."""
    if not wanted.ask or job.job.model(wanted.model).capability < wanted.min_capability:
        return ()
    call = Call(stage="extract", step=wanted.name, model=wanted.model, within=job.within)
    climbed = await climb(job, call, LADDER)
    return _texts(climbed.taken.value) if climbed.how == "ok" and climbed.taken else ()


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value) if isinstance(value, list) else ()
