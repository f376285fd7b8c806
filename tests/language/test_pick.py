"""Choosing by code: by shared words, by a rule, never by chance."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language.pick import Picked, picked
from crp.language.schema import Pick

FACTS = """# Aero 13
- weight: 1.2 kg
- price: 900 euros

# Bolt 15
- weight: 1.8 kg
- price: 1,200 euros

# Crest
It costs nothing to speak of, and nobody knows its weight."""
SHEET: dict[str, JsonValue] = {
    "Aero 13": {"price": "900 euros"},
    "Bolt 15": {"price": "1,200 euros"},
    "Crest": {"price": "n/a"},
    "Dune": {"price": "80 euros"},
}
NAMES: dict[str, JsonValue] = {
    "context": FACTS,
    "items": [*SHEET],
    "sheet": SHEET,
    "rows": [{"name": "a", "score": 3}, {"name": "b", "score": 5}, {"name": "c", "score": 5}],
    "notes": {"React": "Fast and old", "Vue": "Small and easy"},
    "story": "The dog runs. The cat sleeps. A bird sings about a cat.",
    "nothing": [],
}


def pick(about: str = "", names: dict[str, JsonValue] = NAMES, **rule: Any) -> Picked:
    return picked(Pick(**rule), about, names)


# -- by shared words ------------------------------------------------------------------------------


def test_the_passage_that_shares_the_rarest_words_comes_first() -> None:
    found = pick("What is the weight of the Bolt 15?", top=2)
    assert found.entries == ["Bolt 15: weight: 1.8 kg", "Bolt 15: price: 1,200 euros"]


def test_a_passage_that_shares_nothing_is_left_out() -> None:
    assert pick("the price", top=9).entries == [
        "Aero 13: price: 900 euros",
        "Bolt 15: price: 1,200 euros",
    ]


def test_where_nothing_shares_a_word_the_first_are_taken_and_that_is_said() -> None:
    found = pick("zebra", top=1)
    assert found == Picked(["Aero 13: weight: 1.2 kg"], shared=False)


def test_a_text_without_passages_is_split_into_its_sentences() -> None:
    found = pick("Where is the cat?", source="story", top=9)
    assert found.entries == ["The cat sleeps.", "A bird sings about a cat."]


def test_about_nothing_the_sentences_that_say_most_are_taken_in_their_order() -> None:
    found = pick("", source="story", top=2)
    assert found.entries == ["The cat sleeps.", "A bird sings about a cat."]


def test_entries_of_a_list_all_stay_whatever_they_share() -> None:
    assert pick("the Crest", source="items").entries == ["Crest", "Aero 13", "Bolt 15"]
    assert pick("zebra", source="items", top=1) == Picked(["Aero 13"], shared=True)


def test_of_a_fan_out_the_items_are_picked_by_their_answers() -> None:
    assert pick("which is small?", source="notes", top=1).entries == ["Vue"]


# -- by a rule ------------------------------------------------------------------------------------


def test_numbers_in_texts_are_compared_as_numbers_and_what_is_missing_comes_last() -> None:
    by: dict[str, Any] = {"source": "items", "by": "sheet[entry].price", "top": 9}
    assert pick(**by).entries == ["Bolt 15", "Aero 13", "Dune", "Crest"]
    assert pick(**by, order="lowest").entries == ["Dune", "Aero 13", "Bolt 15", "Crest"]


def test_values_without_numbers_are_compared_as_texts() -> None:
    found = pick(source="notes", by="notes[entry]", order="lowest")
    assert found.entries == ["React", "Vue"]


def test_a_condition_leaves_entries_out() -> None:
    found = pick(source="items", by="sheet[entry].price", where="sheet[entry].price < 1000")
    assert found.entries == ["Aero 13", "Dune"]


def test_an_entry_may_have_fields_and_ties_keep_their_order() -> None:
    found = pick(source="rows", by="entry.score")
    assert found.entries == ["name: b; score: 5", "name: c; score: 5", "name: a; score: 3"]


# -- nothing to pick ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"source": "nothing"}, 'there is nothing in "nothing" to pick from'),
        ({"source": "unknown"}, 'there is nothing in "unknown" to pick from'),
        ({"source": "items", "where": "entry == 'x'"}, """of "items" meets: entry == 'x'"""),
    ],
)
def test_nothing_to_pick_from_is_a_problem(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        pick(**rule)
    assert message in str(caught.value)


def test_no_facts_are_nothing_to_pick_from() -> None:
    with pytest.raises(TemplateError, match="facts"):
        pick("anything", {"context": ""})
