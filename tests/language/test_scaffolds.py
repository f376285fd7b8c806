"""Scaffolds: which help a prompt gets, and what of its traces is taken off the answer."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crp.errors import TemplateError
from crp.language.scaffolds import defaults, help_text, take_off
from crp.language.schema import Scaffolds, Step, Template
from crp.models import Level

LIBRARY = """
light: Think about the key factors.
medium: |
  Work step by step.
heavy: |
  Five parts.
"""
STEP = Step(id="a", text="x", scaffolds=Scaffolds(light="The step's light."))
TEMPLATE = Template(
    template="t",
    steps=(STEP,),
    scaffolds=Scaffolds(light="The template's light.", medium="About {{ item }}."),
)
FIVE_PARTS = """1. Key concepts
React, Vue
2. Relevant facts
- React has hooks
3. Organised by theme
Speed: both are fast
4. Draft
React suits large teams.
Vue suits small ones.
5. Review
Nothing is missing."""


def test_the_library_s_texts_are_read_once() -> None:
    assert defaults(LIBRARY).medium == "Work step by step.\n"
    assert defaults(LIBRARY) is defaults(LIBRARY)
    assert defaults("") == Scaffolds()


def test_a_broken_library_is_an_error_with_a_place() -> None:
    with pytest.raises(TemplateError, match=r"scaffolds\.yaml:2:1"):
        defaults("light: [")


def test_a_step_s_own_text_wins_over_the_template_s_and_that_over_the_library_s() -> None:
    library = defaults(LIBRARY)
    assert help_text(Level.LIGHT, STEP, TEMPLATE, library, {}) == "The step's light."
    assert help_text(Level.LIGHT, None, TEMPLATE, library, {}) == "The template's light."
    assert help_text(Level.HEAVY, STEP, TEMPLATE, library, {}) == "Five parts."
    assert help_text(Level.NONE, STEP, TEMPLATE, library, {}) == ""


def test_a_text_about_an_item_is_passed_over_where_there_is_none() -> None:
    library = defaults(LIBRARY)
    assert help_text(Level.MEDIUM, STEP, TEMPLATE, library, {"item": "Vue"}) == "About Vue."
    assert help_text(Level.MEDIUM, None, TEMPLATE, library, {}) == "Work step by step."


@pytest.mark.parametrize(
    "mark", ["Answer:", "**Answer:**", "## Answer:", "Final answer:", "answer :", "Result:"]
)
def test_only_what_stands_behind_the_last_mark_stays(mark: str) -> None:
    text = f"Answer: a first try\nSome doubts.\n\n{mark} Paris is\nthe capital."
    assert take_off(Level.HEAVY, text) == "Paris is\nthe capital."


@pytest.mark.parametrize("form", ["{}", "**{}**", "## {}", "{}:"])
def test_of_the_five_parts_the_draft_stays(form: str) -> None:
    lines = [form.format(line) if line[:1].isdigit() else line for line in FIVE_PARTS.split("\n")]
    assert take_off(Level.HEAVY, "\n".join(lines)) == (
        "React suits large teams.\nVue suits small ones."
    )


def test_an_answer_that_has_facts_and_a_draft_among_its_headings_is_left_alone() -> None:
    text = "Facts:\n- a\n\nDraft:\nb"
    assert take_off(Level.HEAVY, text) == text


@pytest.mark.parametrize("level", [Level.NONE, Level.LIGHT, Level.MEDIUM])
def test_without_the_heavy_help_an_answer_stays_as_it_is(level: Level) -> None:
    text = "answer: Frank Herbert\nsource: the cover"
    assert take_off(level, text) == text


@pytest.mark.parametrize("level", list(Level))
def test_a_reasoning_model_s_thoughts_are_no_part_of_its_answer(level: Level) -> None:
    assert take_off(level, "<think>Hm. Paris?</think>\n\nParis.") == "Paris."


@pytest.mark.parametrize(
    "text", ["Answer:", "<think></think>", "<think>never closed", "a\nAnswer: "]
)
def test_nothing_behind_the_mark_leaves_the_text(text: str) -> None:
    assert take_off(Level.HEAVY, text)


@given(st.sampled_from(list(Level)), st.text(min_size=1))
def test_a_text_that_is_not_empty_stays_so(level: Level, text: str) -> None:
    assert take_off(level, text)


@pytest.mark.parametrize(
    "text",
    ["answer" + " " * 3_000_000, "draft" + " " * 3_000_000 + "x", "<think>" * 600_000,
     "*" * 3_000_000, "Answer:\n" * 500_000],
    ids=["label", "part", "think", "stars", "marks"],
)  # fmt: skip
def test_megabytes_are_read_in_seconds(text: str) -> None:
    start = time.process_time()
    take_off(Level.HEAVY, text)
    assert time.process_time() - start < 4
