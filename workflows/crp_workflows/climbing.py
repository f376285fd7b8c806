"""Ask until an answer is good enough or the ladder ends: for every stage that asks a model.

Transport failures are not climbed: they come here when Temporal has given up on them, and end the
job. What each rung means is decided in `ladder`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from crp.errors import JobFailed, ModelError
from crp.models import Attempt, Call, Rung
from crp.stages import Brief
from crp_workflows import ladder
from crp_workflows.state import JobState

Ask = Callable[[Brief, Call], Awaitable[Attempt]]


class Climbed(NamedTuple):
    """How a ladder ended."""

    how: Literal["ok", "accepted", "skip", "fail"]
    taken: Attempt | None
    reason: str = ""


async def climb(state: JobState, ask: Ask, call: Call, rungs: Sequence[Rung]) -> Climbed:
    """Ask until the answer is good enough or the ladder ends."""
    assert state.brief is not None
    tried: list[Attempt] = []
    while True:
        if limit := _limit_reached(state):
            taken = ladder.best(tried)
            return Climbed("accepted" if taken else "skip", taken, limit)
        attempt = await asked(state, ask, call)
        tried.append(attempt)
        if attempt.status == "ok":
            return Climbed("ok", attempt)
        why = attempt.error or "; ".join(v.check for v in attempt.verdicts if not v.passed)
        if attempt.stop:
            raise JobFailed(f"{attempt.step or 'the answer'}: a check says stop ({why})")
        move = ladder.next_move(rungs, call, attempt, tried)
        match move.move:
            case "again":
                assert move.call is not None
                call = move.call
            case "accept":
                return Climbed("accepted", ladder.best(tried), why)
            case "skip":
                return Climbed("skip", None, why)
            case "stop":
                raise JobFailed(f"{attempt.step}: the ladder says stop ({why})")
            case "fail":
                return Climbed("fail", None, why)


async def asked(state: JobState, ask: Ask, call: Call) -> Attempt:
    """Ask once and count it, also when no answer comes."""
    assert state.brief is not None
    try:
        attempt = await ask(state.brief, call)
    except ModelError as error:
        _tell_unanswered(state, call, error)
        raise
    if not state.ledger.knows(attempt):
        state.ledger.tried(attempt)
    return attempt


def _tell_unanswered(state: JobState, call: Call, error: ModelError) -> None:
    """Keep an attempt that never got an answer: it explains why the job failed."""
    step = call.step if call.item is None else f"{call.step}/{call.item}"
    state.ledger.tried(
        Attempt(
            stage=call.stage,
            step=step,
            number=call.number,
            level=call.level,
            model=call.model,
            status="transport",
            transport=error.transport,
            error=str(error),
            finished_at=state.ledger.now(),
        )
    )


def _limit_reached(state: JobState) -> str:
    assert state.brief is not None
    limits, usage = state.brief.template.limits, state.ledger.usage
    if usage.calls >= limits.calls:
        return f"the limit of {limits.calls} calls is reached"
    if usage.tokens >= limits.tokens:
        return f"the limit of {limits.tokens} tokens is reached"
    return ""
