"""One planned step, from the moment that what it needs is there until its output is kept.

Its `when` comes first, then what it is: a text, a sum or a choice made by code, another template,
or a prompt with its ladder, and rounds of it until the critique is content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import JsonValue

from crp.language.schema import Repeat, Step
from crp.models import Attempt, Call, Level, PlannedStep, Rung
from crp_workflows.climbing import Climbed, climb
from crp_workflows.state import JobState

CRITIQUE_LADDER = (Rung(action="retry"),)


async def run_step(
    job: JobState, planned: PlannedStep, needs: Sequence[asyncio.Task[None]]
) -> None:
    """Run one step of the plan as soon as what it needs has ended."""
    for need in needs:
        await need
    if missing := _missing(job, planned):
        reason = f"it needs {', '.join(missing)}"
        job.ledger.finish(planned, "skipped", reason=reason)
        return
    if planned.id in job.dropped:
        job.ledger.finish(planned, "unneeded", reason=f"taken out by {job.dropped[planned.id]}")
        return
    assert job.brief is not None
    step = job.brief.template.step(planned.step)
    call = _call(job, planned, step)
    if planned.late and not await _holds(job, call, "when"):
        job.ledger.finish(planned, "unneeded", reason=f"not needed: {step.when}")
        return
    job.ledger.begin(planned)
    match step.kind:
        case "prompt":
            _finish(job, planned, await _rounds(job, planned, step, call))
        case "use":
            _finish(job, planned, _ended(await _used(job, step, call)))
        case _:
            _finish(job, planned, _ended(await job.stages.render(job.brief, call)))


def _missing(job: JobState, planned: PlannedStep) -> list[str]:
    must = [n for n in planned.needs if n not in planned.optional_needs]
    return [n for n in must if not job.ledger.steps[n].fulfilled]


def _call(job: JobState, planned: PlannedStep, step: Step) -> Call:
    """A step sees the outputs that it reads, not those of all steps."""
    made = job.ledger.outputs
    outputs = {n: made[n] for n in step.reads if n in made}
    assert job.brief is not None
    for name in step.reads_item:
        items = made.get(name)
        if not isinstance(items, dict) or planned.item not in items:
            continue
        # An item of a sequence may speak of the answers to those before it: `[1]`.
        whole = job.brief.template.step(name).order == "in_sequence"
        outputs.setdefault(name, items if whole else {planned.item: items[planned.item]})
    if step.order == "in_sequence" and step.id in made:
        outputs[step.id] = made[step.id]
    return Call(
        stage="execute",
        step=planned.step,
        within=job.within,
        item=planned.item,
        index=planned.index,
        level=planned.level,
        model=planned.model,
        temperature=step.temperature,
        outputs=outputs,
    )


async def _holds(job: JobState, call: Call, part: str) -> bool:
    """Decide a condition by code; one that can not be decided does not hold."""
    assert job.brief is not None
    decided = await job.stages.render(job.brief, call.model_copy(update={"part": part}))
    if decided.error:
        job.ledger.note(f"{call.step_id}: its {part} can not be decided: {decided.error}")
    return decided.value is True


# -- what needs no ladder -------------------------------------------------------------------------


async def _used(job: JobState, step: Step, call: Call) -> Attempt:
    """`use:` the step's text is the task of another template."""
    assert job.brief is not None
    assert step.use is not None
    given = await job.stages.render(job.brief, call)
    if given.status != "ok":
        return given
    return await job.solve_part(call, step.use.template, given)


def _ended(attempt: Attempt) -> Climbed:
    """What code made is taken or not; asking again would make the same."""
    if attempt.status == "ok":
        return Climbed("ok", attempt)
    failed = [v for v in attempt.verdicts if not v.passed]
    why = "; ".join(f"{v.check} ({v.detail})" if v.detail else v.check for v in failed)
    return Climbed("fail", None, attempt.error or why)


def _finish(job: JobState, planned: PlannedStep, climbed: Climbed) -> None:
    ledger = job.ledger
    match climbed.how:
        case "ok":
            ledger.finish(planned, "done", climbed.taken)
        case "accepted":
            ledger.finish(planned, "accepted", climbed.taken, climbed.reason)
            ledger.note(f"{planned.title}: the best of the attempts was taken ({climbed.reason})")
        case "skip":
            ledger.finish(planned, "skipped", reason=climbed.reason)
        case "fail":
            ledger.finish(planned, "failed", reason=climbed.reason)


# -- repeat ---------------------------------------------------------------------------------------


async def _rounds(job: JobState, planned: PlannedStep, step: Step, call: Call) -> Climbed:
    """Ask, and ask again until the condition of `repeat` holds or its rounds are used up.

    A round that fails, or is worse, does not cost the answer of the one before it.
    """
    best = climbed = await climb(job, call, planned.ladder, step)
    for number in range(1, step.repeat.max + 1 if step.repeat else 1):
        assert step.repeat is not None
        if climbed.taken is None:
            break
        looked = call.model_copy(update={"draft": climbed.taken.value, "round": number - 1})
        critique = await _critique(job, step.repeat, looked)
        looked = looked.model_copy(update={"critique": critique})
        if (step.repeat.critique and critique is None) or await _holds(job, looked, "until"):
            break
        call = looked.model_copy(update={"round": number, "number": call.number + climbed.tries})
        climbed = await climb(job, call, planned.ladder, step)
        best = _better(best, climbed)
    return best


def _better(before: Climbed, after: Climbed) -> Climbed:
    if before.taken is None or after.taken is None:
        return before if after.taken is None else after
    return after if after.taken.quality >= before.taken.quality else before


async def _critique(job: JobState, repeat: Repeat, call: Call) -> JsonValue:
    """Let a model look at the answer; None when it has nothing readable to say."""
    asked = repeat.critique
    if asked is None:
        return None
    changes = {"part": "critique", "model": asked.model, "level": Level.NONE, "number": 1}
    call = call.model_copy(update={**changes, "temperature": asked.temperature})
    climbed = await climb(job, call, CRITIQUE_LADDER)
    return climbed.taken.value if climbed.taken else None
