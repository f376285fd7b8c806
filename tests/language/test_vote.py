"""Votes: what most answers say, however they write it."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from crp.language.vote import elect, said


def test_the_majority_wins_however_it_is_written() -> None:
    assert elect(["React", "vue", "The **Vue**."]) == 1


def test_ties_go_to_the_earlier_answer() -> None:
    assert elect(["b", "a", "a", "b", "c"]) == 0


def test_a_field_is_voted_on() -> None:
    values: list[JsonValue] = [
        {"winner": "React", "why": "old"},
        {"winner": "Vue", "why": "small"},
        {"winner": "Vue", "why": "easy"},
    ]
    assert elect(values, "winner") == 1
    assert elect(values) == 0


def test_who_says_nothing_does_not_vote() -> None:
    assert elect([{"x": None}, {"x": ""}, {"x": "a"}], "x") == 2
    assert elect([None, None]) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1200, "1,200.0"),
        (-3.5, "-3.50"),
        ("$1,200.", 1200),
        (True, "Yes."),
        ("The Fir", "fir"),
        (["a", "B"], ["b", "A"]),
        ({"a": 1, "b": "X"}, {"b": "x", "a": 1.0}),
    ],
)
def test_these_are_one_vote(one: JsonValue, other: JsonValue) -> None:
    assert said(one) == said(other)


@pytest.mark.parametrize(
    ("one", "other"), [("C", "C++"), (5, -5), ("44", "45"), ("not Vue", "Vue"), (1, 10)]
)
def test_these_are_two(one: JsonValue, other: JsonValue) -> None:
    assert said(one) != said(other)
