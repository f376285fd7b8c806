"""Ask until an answer is good enough or the ladder ends: for every stage that asks a model.

One try is several samples with a vote, where the step says so, and then the judges; or the answer
of another template. Transport failures are not climbed: they come here when Temporal has given up
on them, and end the job. What each rung means is decided in `ladder`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import JsonValue

from crp.errors import JobFailed, ModelError
from crp.language.checks import mean
from crp.language.schema import Check, Step
from crp.language.vote import elect
from crp.models import Attempt, Call, Candidate, Rung, Verdict
from crp.stages import stage_of
from crp_workflows import ladder
from crp_workflows.state import JobState

T = TypeVar("T")

JUDGE = "judge"
"""The alias of the model that judges; the default model where none is configured."""

JUDGE_CAPABILITY = 1
"""A judge below this is at chance (shared/bench.md, section 2): it is not asked."""


class OverLimit(JobFailed):
    """A limit holds the job back; what it has so far is its answer."""


class Climbed(NamedTuple):
    """How a ladder ended."""

    how: Literal["ok", "accepted", "skip", "fail"]
    taken: Attempt | None
    reason: str = ""
    tries: int = 0


async def climb(
    state: JobState, call: Call, rungs: Sequence[Rung], step: Step | None = None
) -> Climbed:
    """Ask until the answer is good enough or the ladder ends.

    `step` is what the template says of the samples and judges; None where it says nothing.
    """
    assert state.brief is not None
    tried: list[Attempt] = []
    while True:
        try:
            attempt = await _try(state, call, step)
        except OverLimit as limit:
            taken = ladder.best(tried)
            return Climbed("accepted" if taken else "skip", taken, str(limit), len(tried))
        tried.append(attempt)
        if attempt.status == "ok":
            return Climbed("ok", attempt, tries=len(tried))
        why = attempt.error or "; ".join(v.check for v in attempt.verdicts if not v.passed)
        if attempt.stop:
            raise JobFailed(f"{attempt.step or 'the answer'}: a check says stop ({why})")
        move = ladder.next_move(rungs, call, attempt, tried)
        match move.move:
            case "again":
                assert move.call is not None
                call = move.call
            case "accept":
                return Climbed("accepted", ladder.best(tried), why, len(tried))
            case "skip":
                return Climbed("skip", None, why, len(tried))
            case "stop":
                raise JobFailed(f"{attempt.step}: the ladder says stop ({why})")
            case "fail":
                return Climbed("fail", None, why, len(tried))


async def asked(state: JobState, call: Call) -> Attempt:
    """Ask once and count it, also when no answer comes. Raises OverLimit, ModelError.

    A limit holds back only what costs something: not what an earlier history of the job has, nor
    what a fork is given.
    """
    call = call.model_copy(
        update={"origin": state.origin_of(call), "seconds": state.root.seconds_left()}
    )
    if state.stages.known(call):
        return await _answered(state, call)
    if call.origin and (state.root.job.budget.calls or _limit_reached(state)):
        free = await _answered(state, call.model_copy(update={"free": True}))
        if free.status != "unknown":
            return free
    _hold_back(state)
    state.root.asked += 1
    attempt = await _answered(state, call)
    state.root.spent += attempt.usage
    return attempt


async def _answered(state: JobState, call: Call) -> Attempt:
    assert state.brief is not None
    try:
        attempt: Attempt = await getattr(state.stages, stage_of(call))(state.brief, call)
    except ModelError as error:
        _tell_unanswered(state, call, error)
        left = state.root.seconds_left()
        if left is not None and left <= 0:
            _hold_back(state)  # it was the time that ended it
        raise
    if attempt.status != "unknown" and not state.ledger.knows(attempt):
        state.ledger.tried(attempt)
    return attempt


def _hold_back(state: JobState) -> None:
    if limit := _limit_reached(state):
        raise OverLimit(limit)


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do several things at once; the first that fails stops the others, and its error is told."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


# -- one try ----------------------------------------------------------------------------------


async def _try(state: JobState, call: Call, step: Step | None) -> Attempt:
    if call.use:
        return await _from_other_template(state, call)
    if step is None:
        return await asked(state, call)
    attempt = await _sampled(state, call, step)
    return await _judged(state, call, step.checks, attempt)


async def _sampled(state: JobState, call: Call, step: Step) -> Attempt:
    """Ask as often as the step says, and let the answers that pass their checks vote."""
    if step.samples == 1:
        return await asked(state, call)
    calls = [call.model_copy(update={"sample": n}) for n in range(step.samples)]
    told = await together([_or_limit(asked(state, one)) for one in calls])
    attempts = [one for one in told if isinstance(one, Attempt)]
    if not attempts:
        raise next(one for one in told if isinstance(one, OverLimit))
    good = [a for a in attempts if a.status == "ok"]
    if not good:
        return ladder.best(attempts) or attempts[0]
    winner = good[elect([a.value for a in good], step.vote)]
    state.ledger.say(
        "voted", stage=call.stage, step=call.step, sample=winner.sample, of=len(attempts)
    )
    return winner


async def _or_limit(work: Coroutine[Any, Any, Attempt]) -> Attempt | OverLimit:
    """A limit in the middle of several samples: those that are there vote."""
    try:
        return await work
    except OverLimit as limit:
        return limit


async def _from_other_template(state: JobState, call: Call) -> Attempt:
    """The rung `use`: another template solves what the step's prompt asks."""
    assert state.brief is not None
    if not state.stages.known(call):
        _hold_back(state)
    given = await state.stages.render(state.brief, call)
    if given.status != "ok":
        return given
    return await state.solve_part(call, call.use, given)


# -- judges -----------------------------------------------------------------------------------


async def _judged(
    state: JobState, call: Call, checks: Sequence[Check], attempt: Attempt
) -> Attempt:
    """Ask the judges of a step about an answer that its other checks let pass."""
    for check in checks:
        if check.kind != "judge" or attempt.status != "ok":
            continue
        score = await _asked_judge(state, call, str(check.value), attempt.output)
        if score is None:
            continue
        passed = score == 1.0 or check.otherwise == "warn"
        verdict = Verdict(
            check=check.label,
            score=score,
            passed=passed,
            weight=check.weight,
            detail="the judge says yes" if score else "the judge says no",
            hint="" if passed else check.hint or f"The answer must be yes: {check.value}",
        )
        verdicts = (*attempt.verdicts, verdict)
        changes: dict[str, object] = {"verdicts": verdicts, "quality": mean(verdicts)}
        if not passed:
            changes |= {"status": "content", "stop": check.otherwise == "stop"}
        attempt = attempt.model_copy(update=changes)
    return attempt


async def judged_candidate(
    state: JobState, candidate: Candidate, outputs: dict[str, JsonValue]
) -> Candidate:
    """Ask the judges of `quality` about one text that may become the answer, each once."""
    assert state.brief is not None
    said = dict(candidate.judged)
    for check in state.brief.template.quality.score:
        question = str(check.value)
        if check.kind == "judge" and question not in said:
            call = Call(stage="synthesize", within=state.within, outputs=outputs)
            score = await _asked_judge(state, call, question, candidate.text)
            said |= {} if score is None else {question: score}
    return candidate.model_copy(update={"judged": said})


async def _asked_judge(state: JobState, call: Call, question: str, text: str) -> float | None:
    """1 or 0; None when there is no judge that is able to, or no call left for it."""
    if state.job.model(JUDGE).capability < JUDGE_CAPABILITY:
        return None
    changes = {"part": "judge", "model": JUDGE, "question": question, "draft": text, "hints": ()}
    try:
        attempt = await asked(state, call.model_copy(update=changes))
    except OverLimit:
        return None
    return 1.0 if attempt.value in (True, "yes") else 0.0


# -- the end of it ------------------------------------------------------------------------------


def _tell_unanswered(state: JobState, call: Call, error: ModelError) -> None:
    """Keep an attempt that never got an answer: it explains why the job failed."""
    state.ledger.tried(
        Attempt(
            stage=call.stage,
            step=state.ledger.path(call.step_id),
            part=call.part,
            number=call.number,
            round=call.round,
            sample=call.sample,
            level=call.level,
            model=call.model,
            status="transport",
            transport=error.transport,
            error=str(error),
            finished_at=state.ledger.now(),
        )
    )


def _limit_reached(state: JobState) -> str:
    """Say which limit holds the job back: of its template, of those that it is a part of, or of
    the job's budget."""
    assert state.brief is not None
    limits, usage = state.brief.template.limits, state.ledger.usage
    if spent := state.root.budget_spent():
        return spent
    if usage.calls >= limits.calls:
        return f"the limit of {limits.calls} calls is reached"
    if usage.tokens >= limits.tokens:
        return f"the limit of {limits.tokens} tokens is reached"
    return _limit_reached(state.whole) if state.whole else ""
