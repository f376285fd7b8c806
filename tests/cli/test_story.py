"""What is told of a job while it runs."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from crp.cli.lines import line_of
from crp.cli.story import Story
from crp.cli.views import LiveView, PlainView, state_of
from crp.models import Event


def events(*facts):
    return [
        Event(sequence=i, at=datetime.now(UTC), kind=kind, **rest)
        for i, (kind, rest) in enumerate(facts)
    ]


def attempt(step, number, status="ok", **body):
    return (
        "attempt.finished",
        {
            "stage": "execute",
            "step": step,
            "attempt": number,
            "body": {"status": status, "level": "none", "tokens": 10, "seconds": 1.5, **body},
        },
    )


PLAN = (
    "planned",
    {
        "body": {
            "steps": [
                {"id": "profile/Vue", "title": "Study each thing: Vue", "level": "none"},
                {"id": "contrast", "title": "Compare them", "level": "none"},
            ]
        }
    },
)


def story(*facts):
    told = Story()
    for event in events(*facts):
        told.add(event)
    return told


def test_a_step_waits_until_it_starts():
    told = story(PLAN, ("step.started", {"step": "profile/Vue"}))
    assert [row.state for row in told.rows.values()] == ["running", "waiting"]


def test_the_item_of_a_fan_out_comes_first_so_that_rows_differ_when_they_are_cut_off():
    assert story(PLAN).rows["profile/Vue"].title == "Vue: Study each thing"


def test_a_failed_attempt_shows_the_next_one_and_why():
    told = story(
        PLAN,
        ("step.started", {"step": "contrast"}),
        attempt("contrast", 1, "content", failed=["covers: items"]),
    )
    assert "attempt 2 (covers: items)" in state_of(told.rows["contrast"])


def test_a_finished_step_shows_its_quality_and_its_attempts():
    told = story(PLAN, ("step.done", {"step": "contrast", "attempt": 2, "body": {"quality": 0.5}}))
    assert state_of(told.rows["contrast"]) == "done 0.50, 2 attempts"


def test_calls_and_tokens_are_counted():
    told = story(PLAN, attempt("contrast", 1), attempt("profile/Vue", 1))
    assert (told.calls, told.tokens) == (2, 20)


def test_the_end_of_all_steps_is_the_beginning_of_the_answer():
    told = story(
        PLAN, ("step.done", {"step": "contrast"}), ("step.skipped", {"step": "profile/Vue"})
    )
    assert told.doing == "putting the parts together"


def test_a_line_about_a_failed_attempt_names_the_checks():
    (event,) = events(attempt("contrast", 1, "content", failed=["covers: items", "no_echo"]))
    assert "not good enough: covers: items, no_echo" in line_of(event)


def test_a_line_never_holds_what_a_model_put_into_an_event():
    (event,) = events(("extracted", {"step": "items", "body": {"values": ["\x1b[2Ja\nb"]}}))
    assert line_of(event) == "items: a b (found)"


@pytest.mark.parametrize(
    "kind", ["new.kind", "planned", "step.started", "routed", "gated", "attempt.finished"]
)
def test_events_of_another_version_do_not_break_it(kind):
    for event in events((kind, {"body": {"steps": "?", "reasons": 3, "tokens": "many"}})):
        Story().add(event)
        line_of(event)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_live_view_fits_its_width(width):
    view = LiveView()
    view.__enter__()
    try:
        for event in events(
            ("routed", {"body": {"template": "comparison" * 5, "complexity": 3}}),
            PLAN,
            ("step.started", {"step": "profile/Vue"}),
            attempt("profile/Vue", 1, "content", failed=["a very long check " * 5]),
        ):
            view.event(event)
        view.note("profile/Vue: connection refused " * 5)
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(view)
        lines = console.export_text().splitlines()
    finally:
        view.__exit__(None, None, None)
    assert len(lines) == 5
    assert all(len(line.rstrip()) <= width for line in lines)


def test_a_note_that_only_counts_on_is_not_repeated_in_a_pipe(capsys):
    view = PlainView()
    for text in ("waiting, 10 tokens", "waiting, 20 tokens", "refused, attempt 2"):
        view.note(text)
    assert capsys.readouterr().err == "... waiting, 10 tokens\n... refused, attempt 2\n"
