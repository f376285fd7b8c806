"""Facts: whole passages, in their order, the ones that the question needs."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from crp.language.facts import about, cut, joined, passages, select, tokens

CONTEXT = """# Zorb

- weight: 3.5 kg
- price: 1,200

# Blib
Blib weighs 7 kg. It was built in Paris.

It is red."""


def test_a_context_is_split_at_headings_list_lines_and_paragraphs() -> None:
    found = passages(CONTEXT)
    assert [p.text for p in found] == [
        "- weight: 3.5 kg",
        "- price: 1,200",
        "Blib weighs 7 kg. It was built in Paris.",
        "It is red.",
    ]
    assert [p.heading for p in found] == ["# Zorb", "# Zorb", "# Blib", "# Blib"]


def test_a_huge_paragraph_is_split_between_sentences() -> None:
    found = passages("One sentence about a thing. " * 200)
    assert len(found) > 1
    assert all(p.text.endswith(".") for p in found)


def test_everything_is_given_when_it_fits() -> None:
    text, dropped = select(passages(CONTEXT), "anything", 500)
    assert not dropped
    assert text.split() == CONTEXT.split()


def test_the_passages_that_share_words_with_the_question_are_taken() -> None:
    text, dropped = select(passages(CONTEXT), "What is the price of the Zorb?", 14)
    assert dropped
    assert text == "# Zorb\n- price: 1,200"


def test_what_is_taken_keeps_the_order_of_the_document() -> None:
    context = "Cats purr a lot.\n\nDogs bark loudly.\n\nFish swim in water.\n\nBirds sing songs."
    text, _ = select(passages(context), "birds and cats", 16)
    assert text == "Cats purr a lot.\n\nBirds sing songs."


def test_a_passage_is_cut_only_when_it_alone_is_over_the_budget() -> None:
    text, dropped = select(passages("First one is here. Second one is here."), "second", 6)
    assert dropped
    assert text == "First one is here."


def test_about_finds_the_passages_of_one_thing() -> None:
    assert joined(about(passages(CONTEXT), "Zorb")) == "# Zorb\n- weight: 3.5 kg\n- price: 1,200"
    assert about(passages(CONTEXT), "Wumpus") == ()


def test_a_name_of_two_words_is_not_mixed_up_with_its_sibling() -> None:
    context = "Zorb Mini weighs 3 kg.\n\nZorb Maxi weighs 9 kg."
    assert [p.text for p in about(passages(context), "Zorb Maxi")] == ["Zorb Maxi weighs 9 kg."]


@settings(deadline=None)
@given(st.text(max_size=400), st.text(max_size=40), st.integers(0, 200))
def test_a_selection_fits_its_budget(context: str, query: str, budget: int) -> None:
    text, _ = select(passages(context), query, budget)
    assert tokens(text) <= budget + 2


@given(st.text(max_size=300), st.integers(0, 60))
def test_cut_gives_a_beginning_that_fits(text: str, budget: int) -> None:
    head = cut(text, budget)
    assert text.startswith(head)
    assert tokens(head) <= budget


def test_tokens_count_digits_one_by_one_and_other_scripts_by_their_bytes() -> None:
    assert tokens("") == 0
    assert tokens("12345678") == 8
    assert tokens("word") < tokens("wörd") < tokens("слово")
    assert tokens("a" * 3600) == 1000


@given(st.text(max_size=100), st.text(max_size=100))
def test_more_text_never_has_fewer_tokens(first: str, second: str) -> None:
    assert tokens(first + second) >= max(tokens(first), tokens(second))


def test_five_megabytes_are_split_and_searched_in_seconds() -> None:
    context = "The tower is 324 metres tall. It stands in Paris.\n\n" * 100_000
    start = time.process_time()
    select(passages(context), "How tall is the tower?", 300)
    assert time.process_time() - start < 8
