"""The ladder: what follows an answer that was not good enough."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from crp.language.schema import DEFAULT_LADDER
from crp.models import Attempt, Call, Level, Rung, Verdict
from crp_workflows.ladder import best, next_move, reasons

CALL = Call(stage="execute", step="a", level=Level.LIGHT)


def bad(quality: float = 0.3, hints: tuple[str, ...] = ("Name React.",), **more: Any) -> Attempt:
    verdicts = tuple(Verdict(check="c", score=0, passed=False, hint=hint) for hint in hints)
    data = {"status": "content", "output": "x", "value": "x", "verdicts": verdicts, **more}
    return Attempt(stage="execute", step="a", quality=quality, **data)


def rung(action: Any, value: Any = None) -> tuple[Rung, ...]:
    return (Rung(action=action, value=value),)


def test_the_default_ladder_gives_three_attempts_then_the_best_of_them() -> None:
    call, tried, levels = CALL, [bad()], [CALL.level]
    while (move := next_move(DEFAULT_LADDER, call, tried[-1], tried)).move == "again":
        assert move.call is not None
        call = move.call
        levels.append(call.level)
        tried.append(bad())
    assert (move.move, len(tried), call.number) == ("accept", 3, 3)
    assert levels == [Level.LIGHT, Level.MEDIUM, Level.HEAVY]


def test_help_never_goes_beyond_heavy() -> None:
    heavy = CALL.model_copy(update={"level": Level.HEAVY})
    move = next_move(rung("heavier"), heavy, bad(), [bad()])
    assert move.call is not None
    assert move.call.level == Level.HEAVY


@pytest.mark.parametrize(
    ("action", "value", "field", "expected"),
    [
        ("scaffold", "heavy", "level", Level.HEAVY),
        ("model", "larger", "model", "larger"),
        ("temperature", 0.7, "temperature", 0.7),
        ("retry", None, "level", Level.LIGHT),
    ],
)
def test_a_rung_changes_what_it_says(action: str, value: Any, field: str, expected: Any) -> None:
    move = next_move(rung(action, value), CALL, bad(), [bad()])
    assert move.call is not None
    assert getattr(move.call, field) == expected
    assert (move.call.number, move.call.hints) == (2, ("Name React.",))


@pytest.mark.parametrize("action", ["skip", "stop"])
def test_a_rung_may_end_the_climb(action: Literal["skip", "stop"]) -> None:
    assert next_move(rung(action), CALL, bad(), [bad()]).move == action


def test_a_ladder_that_is_used_up_means_failure() -> None:
    assert next_move((), CALL, bad(), [bad()]).move == "fail"


def test_nothing_usable_can_not_be_accepted() -> None:
    empty = bad(output="", value=None)
    assert next_move(rung("accept_best"), CALL, empty, [empty]).move == "fail"


def test_a_prompt_that_was_too_long_gets_shorter_and_no_more_help() -> None:
    over = Attempt(stage="execute", step="a", status="overflow")
    move = next_move(rung("heavier"), CALL, over, [over])
    assert move.call is not None
    assert (move.call.shrink, move.call.level) == (1, Level.LIGHT)


def test_the_best_attempt_is_the_earlier_one_of_equals() -> None:
    first, second, worse = bad(0.5, output="first"), bad(0.5, output="second"), bad(0.1)
    assert best([worse, first, second]) == first


def test_the_model_is_told_each_reason_once_and_only_what_failed() -> None:
    passed = Verdict(check="p", score=1, passed=True, hint="never said")
    attempt = bad(hints=("Be brief.", "Be brief.", ""))
    attempt = attempt.model_copy(update={"verdicts": (*attempt.verdicts, passed)})
    assert reasons(attempt) == ("Be brief.",)
