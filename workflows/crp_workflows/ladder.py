"""What to do after an attempt whose answer was not good enough (spec, section 4). Pure.

Only content climbs the ladder. Transport failures are Temporal's to retry and use up no rung.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from crp.models import Attempt, Call, Level, Rung

Move = Literal["again", "accept", "skip", "stop", "fail"]


class Next(NamedTuple):
    move: Move
    call: Call | None = None
    """The next attempt, when `move` is `again`."""


def next_move(ladder: Sequence[Rung], call: Call, last: Attempt, tried: Sequence[Attempt]) -> Next:
    """Read the rung for the attempt that just failed, the last of those that were tried; a ladder
    that is used up means failure."""
    if len(tried) > len(ladder):
        return Next("fail")
    rung = ladder[len(tried) - 1]
    match rung.action:
        case "accept_best":
            return Next("accept" if best(tried) is not None else "fail")
        case "skip":
            return Next("skip")
        case "stop":
            return Next("stop")
    again = call.model_copy(update={"number": call.number + 1, "hints": reasons(last), "use": ""})
    if last.status == "overflow":  # more help would only make the prompt longer
        return Next("again", again.model_copy(update={"shrink": call.shrink + 1}))
    return Next("again", again.model_copy(update=_change(rung, call)))


def best(tried: Sequence[Attempt]) -> Attempt | None:
    """The usable attempt of highest quality, one that was cut off only where all were; the
    earlier one of equals."""
    usable = [attempt for attempt in tried if attempt.usable]
    return max(usable, key=lambda a: (a.finish_reason != "length", a.quality), default=None)


def reasons(attempt: Attempt) -> tuple[str, ...]:
    """Why an attempt failed, as it is told to the model."""
    failed = [v.hint or v.detail for v in attempt.verdicts if not v.passed]
    return tuple(dict.fromkeys(text for text in failed if text))


def _change(rung: Rung, call: Call) -> dict[str, object]:
    match rung.action:
        case "heavier":
            return {"level": call.level.heavier()}
        case "scaffold":
            return {"level": Level.named(str(rung.value))}
        case "model":
            return {"model": str(rung.value)}
        case "temperature":
            return {"temperature": float(rung.value or 0.0)}
        case "use":
            return {"use": str(rung.value)}
    return {}
