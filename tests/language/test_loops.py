"""What a model says again until its limit is taken off; everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crp.language.loops import without_loop

FACTS = "Campus 15:\n\n- Weight: 1.9 kg\n- Battery: 8 hours\n- Price: 690 euro"


def test_lines_that_come_again_are_cut_behind_the_first_round() -> None:
    loop = "\n- Battery: 8 hours\n- Price: 690 euro\n- Battery: 8 ho"
    assert without_loop(FACTS + loop) == FACTS


def test_sentences_that_come_again_are_cut_too() -> None:
    good = "Vue is a framework. It is easy to learn."
    assert without_loop(good + " It is easy to learn." * 6 + " It is ea") == good


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One sentence.",
        FACTS,
        "It is fast. It is small. It is fast.",  # one echo is style, not a loop
        "no. no. no. no. no.",  # nothing is new here: there is nothing to keep
        "A costs 1.5 euro. B costs 2.5 euro. C costs 3.5 euro.",
    ],
)
def test_a_text_without_a_loop_stays_as_it_is(text: str) -> None:
    result = without_loop(text)
    assert result == text or result == "no."


@given(st.text(max_size=300))
def test_the_result_is_always_a_beginning_of_the_text(text: str) -> None:
    result = without_loop(text)
    assert text.startswith(result)
    assert bool(result.strip()) == bool(text.strip()) or result == text
