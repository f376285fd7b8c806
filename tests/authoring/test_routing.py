"""Where every example goes, and that one index for all templates scores as each alone would."""

from __future__ import annotations

import pytest

from crp.authoring.routing import routing_table, winner
from crp.language.match import rank
from crp.language.schema import MatchRules, Step, Template
from crp.templates import find_library


def made(name: str, **rules: object) -> Template:
    steps = (Step(id="a", text="x"),)
    return Template(template=name, match=MatchRules.model_validate(rules), steps=steps)


def problems(*templates: Template, fallback: str = "rest") -> dict[str, str]:
    return {row.text: row.problem for row in routing_table(templates, fallback)}


def test_an_example_that_goes_to_its_own_template_is_well() -> None:
    a = made("a", keywords=["apple"], examples=["eat an apple"], not_examples=["drive a car"])
    assert problems(a, made("b", keywords=["pear"])) == {"eat an apple": "", "drive a car": ""}


def test_an_example_that_another_template_takes_is_told() -> None:
    a = made("a", examples=["eat an apple now"])
    assert problems(a, made("b", keywords=["eat"], patterns=["apple"])) == {
        "eat an apple now": "goes to b"
    }


def test_a_tie_is_told_unless_the_priority_decides() -> None:
    a = made("a", keywords=["apple"], examples=["apple"])
    tie = made("b", keywords=["apple"], examples=["apple"])
    assert problems(a, tie)["apple"] == "goes to a"
    assert [row.problem for row in routing_table([a, tie], "rest")] == [
        "a tie with b: only the name decides",
        "goes to a",
    ]
    first = a.model_copy(update={"match": a.match.model_copy(update={"priority": 1})})
    assert routing_table([first, tie], "rest")[0].problem == ""


def test_a_counterexample_that_comes_to_its_own_template_is_told() -> None:
    a = made(
        "a", keywords=["compare"], patterns=["two", "strings"], not_examples=["compare two strings"]
    )
    assert problems(a) == {"compare two strings": "a counterexample comes here"}


def test_the_fallback_gets_what_nothing_else_fits() -> None:
    rest = made("rest", keywords=["why"], examples=["why is it so"])
    assert problems(rest, made("a", keywords=["apple"])) == {"why is it so": ""}
    assert winner(rank("nothing", [rest]), "rest") == "rest"


REQUESTS = [
    "",
    "Compare tea and coffee for the evening",
    "Write a function that compares two strings",
    "why why compare the the versus " + "x " * 3000,
    "lone \ud800 surrogate",
]


@pytest.mark.parametrize("request_text", REQUESTS)
def test_a_template_scores_in_a_library_as_it_does_alone(request_text: str) -> None:
    templates = list(find_library().templates.values())
    together = {m.template: m for m in rank(request_text, templates)}
    for template in templates:
        assert rank(request_text, [template]) == [together[template.template]]


def test_an_edited_template_is_not_scored_by_its_old_rules() -> None:
    old, new = made("a", keywords=["old"]), made("a", keywords=["new"])
    assert rank("new", [old])[0].score == 0
    assert rank("new", [new])[0].score == 1
    assert rank("new", [old])[0].score == 0
