"""What a job hands on to its next history comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from crp.errors import CRPError, JobFailed, ModelUnavailable, RateLimited, TemplateError
from crp.models import Attempt, Call, Carried, Library, Problem, Score, TransportFailure
from crp_workflows.carrying import Results, call_key
from crp_workflows.ledger import Ledger


def handed_on(results: Results) -> Results:
    """Through JSON, as Temporal carries it."""
    carried = Carried(
        library=Library(), started_at=datetime.now(UTC), results=results.all(), events=()
    )
    return Results(Carried.model_validate_json(carried.model_dump_json()))


def test_answers_of_every_kind_come_back_through_many_histories() -> None:
    attempt = Attempt(stage="execute", step="a/b", output="x", value={"y": [1]}, quality=0.5)
    scores = [Score(candidate="joined", value=0.25)]
    results = Results()
    results.keep("execute a", attempt, Attempt)
    results.keep("score 1", scores, list[Score])
    for _ in range(3):
        results = handed_on(results)
    assert results.again("execute a", Attempt) == attempt
    assert results.again("score 1", list[Score]) == scores
    assert not results.known("score 2")


def _failures() -> list[CRPError]:
    failed = ModelUnavailable("it hangs")
    failed.transport = (
        TransportFailure(at=datetime(2026, 1, 1, tzinfo=UTC), kind="ModelUnavailable", message="m"),
    )
    problem = Problem(file="t.yaml", line=1, column=2, message="wrong", code="F001")
    return [failed, RateLimited("slow down", 3.0), TemplateError([problem]), JobFailed("no")]


@pytest.mark.parametrize("error", _failures(), ids=lambda e: type(e).__name__)
def test_an_error_is_the_same_error_again(error: CRPError) -> None:
    results = Results()
    results.keep("probe", error, Attempt)
    with pytest.raises(type(error)) as caught:
        handed_on(results).again("probe", Attempt)
    for name in ("transport", "retry_after", "problems"):
        assert getattr(caught.value, name, None) == getattr(error, name, None)
    assert str(caught.value) == str(error)


def test_a_call_is_known_by_its_place_not_by_what_others_made_meanwhile() -> None:
    call = Call(stage="execute", step="a", item="b", number=2)
    same = call.model_copy(update={"outputs": {"c": "d"}, "hints": ("shorter",), "origin": "j"})
    assert call_key("execute", call) == call_key("execute", same)
    for change in ({"number": 3}, {"item": "c"}, {"round": 1}, {"sample": 1}, {"draft": "x"}):
        assert call_key("execute", call.model_copy(update=change)) != call_key("execute", call)
    assert call_key("render", call) != call_key("execute", call)


def test_what_was_told_in_an_earlier_history_is_not_told_again(tmp_path: Path) -> None:
    times = iter(datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 20))
    first = Ledger(lambda: next(times))
    first.say("step.started", step="a")
    first.say("job.paused", by="Ann")
    first.say("step.started", step="b")
    told: list[str] = []
    again = Ledger(lambda: next(times))
    again.go_on_from(first.events)
    again.on_event = lambda event: told.append(event.step)
    assert again.say("step.started", step="b") == first.events[2]  # in another order
    assert again.say("step.started", step="a") == first.events[0]
    again.say("step.started", step="a")  # a second time is news
    assert told == ["a"]
    assert [e.sequence for e in again.events] == [0, 1, 2, 3]
