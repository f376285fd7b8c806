"""Routing with reasons, and lists that code finds where they stand."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.language.lists import labels, split_list, subjects
from crp.language.match import FLOOR, find_list, guard, rank
from crp.language.schema import Extract, MatchRules, Step, Template
from crp.models import Task

LAPTOPS = """\
# Three laptops

## Aero 13
- weight: 1.1 kg
- price: 1200 euros
- battery: 10 hours, more than the others

## Bolt 15
- price: 800 euros
- weight: 2.0 kg
- colour: red

## Core 14
- Weight: 1.5 kg
- price: 900 euros
"""

THINGS = Extract(name="items", find="things", source=("task", "context"), min=2)
ASPECTS = Extract(name="aspects", find="aspects", source=("task", "context"))


def things(text: str, context: str = "") -> list[str] | None:
    found = find_list(THINGS, Task(text=text, context=context), {})
    return None if found is None else list(found)


def aspects(text: str, context: str = "") -> list[str] | None:
    found = find_list(ASPECTS, Task(text=text, context=context), {})
    return None if found is None else list(found)


def made(name: str, **rules: object) -> Template:
    return Template(
        template=name,
        match=MatchRules.model_validate(rules),
        steps=(Step(id="a", text="x"),),
    )


# -- routing ------------------------------------------------------------------------------


def test_a_keyword_counts_as_a_whole_word_only() -> None:
    templates = [made("compare", keywords=["compare", "difference between"])]
    assert rank("Compare A and B", templates)[0].score == 1
    assert rank("Tell me the DIFFERENCE between A and B", templates)[0].score == 1
    assert rank("a function that compares", templates)[0].score == 0


def test_the_reasons_say_what_spoke_for_and_against() -> None:
    template = made(
        "t",
        keywords=["compare", "vs"],
        patterns=[r"\bA \w+ B"],
        examples=["compare A vs B"],
        not_keywords=["code"],
        not_examples=["compare code A vs B"],
    )
    match = rank("compare code: A vs B", [template])[0]
    assert match.reasons == (
        'keyword "compare" +1.00',
        'keyword "vs" +0.25',
        'pattern on "A vs B" +1.00',
        "example 1 +0.80",
        'not with "code" -1.00',
        "not like example 1 -1.50",
    )
    assert match.score == pytest.approx(0.55)


def test_equal_scores_go_to_the_higher_priority_and_then_to_the_name() -> None:
    templates = [made("b", keywords=["x"]), made("a", keywords=["x"])]
    assert [m.template for m in rank("x", templates)] == ["a", "b"]
    templates.append(made("c", keywords=["x"], priority=1))
    assert rank("x", templates)[0].template == "c"


def test_a_request_that_nothing_is_for_stays_below_the_floor() -> None:
    templates = [made("a", keywords=["compare"], examples=["Compare tea and coffee"])]
    assert rank("Write a poem about tea", templates)[0].score < FLOOR


def test_patterns_and_requests_can_not_hang_the_router() -> None:
    template = made("t", patterns=["(a+)+$", "(a|aa)+b"], keywords=["a " * 50])
    started = time.process_time()
    rank("a" * 1_000_000, [template])
    rank("a " * 500_000, [template])
    assert time.process_time() - started < 1


# -- lists in the request -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_text", "found"),
    [
        ("Compare React, Vue, and Angular", ["React", "Vue", "Angular"]),
        ("compare React, Vue and Angular.", ["React", "Vue", "Angular"]),
        ("Which is better for a small team, PostgreSQL or MySQL?", ["PostgreSQL", "MySQL"]),
        ("What is the difference between a virus and a bacterium?", ["virus", "bacterium"]),
        ("Compare Django and Flask on speed, cost and ease of use", ["Django", "Flask"]),
        ("Compare Java and Kotlin in terms of safety", ["Java", "Kotlin"]),
        ("React vs Vue", ["React", "Vue"]),
        ("React vs. Vue vs. Angular for a startup", ["React", "Vue", "Angular"]),
        ("Pros and cons of electric cars and diesel cars", ["electric cars", "diesel cars"]),
        ("Should I learn Rust or Go?", ["Rust", "Go"]),
        ("Is Python or Java better for beginners?", ["Python", "Java"]),
        ("Tea or coffee: which is healthier?", ["Tea", "coffee"]),
        ("How do cats and dogs differ?", ["cats", "dogs"]),
        ("How does TCP differ from UDP?", ["TCP", "UDP"]),
        ("Compare Node.js with Deno.", ["Node.js", "Deno"]),
        ("Compare PostgreSQL to MySQL", ["PostgreSQL", "MySQL"]),
        ("Compare Dungeons and Dragons, Chess, and Go", ["Dungeons and Dragons", "Chess", "Go"]),
        ("Compare 'Sense and Sensibility' and 'Emma'", ["Sense and Sensibility", "Emma"]),
        ("I need a car. Compare the Golf, the Polo and the Passat.", ["Golf", "Polo", "Passat"]),
        ("Compare these phones:\n- Alpha One\n- Beta Two", ["Alpha One", "Beta Two"]),
        ("Compare A and B and tell me which is best", ["A", "B"]),
        ("Compare the kettles Kara and Oslo", ["Kara", "Oslo"]),
        ("Compare the evening schools at Port Hill and Weston", ["Port Hill", "Weston"]),
        ("Compare tea and Coffee", ["tea", "Coffee"]),
        ("What are the pros and cons of remote work?", None),
        ("Compare the three laptops for a travelling student", None),
        ("Write a poem about tea and coffee", None),
        ("Who wrote Dune?", None),
    ],
)
def test_things_are_found_where_the_request_names_them(
    request_text: str, found: list[str] | None
) -> None:
    assert things(request_text) == found


@pytest.mark.parametrize(
    ("request_text", "found"),
    [
        (
            "Compare Django and Flask on speed, cost and ease of use",
            ["speed", "cost", "ease of use"],
        ),
        ("Compare A and B in terms of safety.", ["safety"]),
        ("Compare A and B by price and size for a family", ["price", "size"]),
        ("Compare A and B across inflation, jobs, and growth", ["inflation", "jobs", "growth"]),
        ("Compare A and B on a budget", None),
        ("Compare A and B by Friday", None),
        ("Compare React, Vue, and Angular", None),
    ],
)
def test_aspects_are_found_behind_their_cue(request_text: str, found: list[str] | None) -> None:
    assert aspects(request_text) == found


def test_and_inside_an_entry_between_commas_stays() -> None:
    assert split_list("salt and pepper, oil, and vinegar") == ["salt and pepper", "oil", "vinegar"]


# -- lists in the facts -------------------------------------------------------------------


def test_the_three_laptops_are_the_headings_of_the_facts() -> None:
    found = things("Compare the three laptops for a travelling student", LAPTOPS)
    assert found == ["Aero 13", "Bolt 15", "Core 14"]


def test_headings_that_the_request_names_are_the_things() -> None:
    assert things("Compare the Core 14 and the Aero 13", LAPTOPS) == ["Core 14", "Aero 13"]


def test_aspects_are_the_labels_that_every_passage_has() -> None:
    assert aspects("Compare the three laptops", LAPTOPS) == ["weight", "price"]


def test_the_request_comes_before_the_facts() -> None:
    assert aspects("Compare the laptops on battery and colour", LAPTOPS) == ["battery", "colour"]


@pytest.mark.parametrize(
    "context",
    [
        "Aero: 1 kg\nBolt: 2 kg",
        "Aero:\nweight: 1 kg\n\nBolt:\nweight: 2 kg",
        "**Aero**\nIt is light.\n\n**Bolt**\nIt is cheap.",
        "### Aero\ntext\n### Bolt\ntext",
    ],
)
def test_subjects_are_found_in_facts_of_several_forms(context: str) -> None:
    assert subjects(context) == ["Aero", "Bolt"]


def test_plain_prose_has_no_subjects_and_no_labels() -> None:
    assert subjects("It rained. Then it stopped.\nNobody was there.") is None
    assert labels("It rained. Then it stopped.") is None


def test_a_list_that_may_not_be_looked_for_is_not_found() -> None:
    nowhere = Extract(name="items", source=())
    assert find_list(nowhere, Task(text="Compare A and B"), {}) is None


# -- the guard ----------------------------------------------------------------------------


def test_the_guard_cleans_and_keeps_the_first_of_equal_entries() -> None:
    extract = Extract(name="items", min=2, max=3)
    values = ['"React".', "react", "**Vue**", "  the   Angular ", "Svelte"]
    assert guard(extract, values, Task(text="x"), {}) == (("React", "Vue", "Angular"), "")


def test_the_guard_takes_out_what_a_model_invented() -> None:
    extract = Extract(name="items", min=2, must_appear=True)
    task = Task(text="Compare React and Vue", context="Angular is old.")
    assert guard(extract, ["react", "Svelte", "Angular"], task, {})[0] == ("react", "Angular")
    assert guard(extract, ["React", "Svelte"], task, {}) == (
        ("React",),
        "items: 1 of at least 2 found; not in the request: Svelte",
    )


def test_an_empty_list_is_a_problem_unless_the_minimum_is_zero() -> None:
    task = Task(text="x")
    assert guard(Extract(name="l", min=1), ["", " - "], task, {})[1] == "l: 0 of at least 1 found"
    assert guard(Extract(name="l", min=0), [], task, {}) == ((), "")


@pytest.mark.parametrize(
    "text",
    [
        "Compare " + "a, " * 2_000,
        "or " * 2_000,
        "vs " * 2_000,
        "between " * 1_000,
        "which " + ", " * 2_000 + "or x",
        "how do " * 1_000 + "differ",
        "'" * 4_000,
        "on " * 2_000,
        "\n- " * 2_000,
    ],
)
def test_no_request_can_hang_the_search(text: str) -> None:
    started = time.process_time()
    things(text, "#" * 50_000 + "\n" + "**a" * 20_000 + "\n" + "a: b; " * 20_000)
    aspects(text, "a: b\n" * 20_000)
    assert time.process_time() - started < 1


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=120).filter(str.strip), st.text(max_size=120))
def test_whatever_is_found_is_a_list_of_different_names(text: str, context: str) -> None:
    for found in (things(text, context), aspects(text, context)):
        assert found is None or len({f.casefold() for f in found}) == len(found) > 0
