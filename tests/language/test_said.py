"""What a request says outright: sentences, texts, choices, fields, the topic."""

from __future__ import annotations

import pytest

from crp.language.lists import find_list, guard
from crp.language.schema import Extract, FindWord
from crp.models import Task


def found(find: FindWord, text: str, context: str = "") -> list[str]:
    extract = Extract(name="l", find=find, source=("task", "context"), min=1, max=50)
    task = Task(text=text, context=context)
    return list(guard(extract, find_list(extract, task) or (), task)[0])


@pytest.mark.parametrize(
    "text",
    [
        "Check these claims: 1. The bridge is long. 2. Dr. Osric built it.",
        "Check these claims:\n- The bridge is long.\n- Dr. Osric built it.",
        'Is this right? "The bridge is long. Dr. Osric built it."',
        "Check this: The bridge is long. Dr. Osric built it.",
    ],
)
def test_the_sentences_of_what_a_request_brings_along_are_found(text: str) -> None:
    assert found("sentences", text) == ["The bridge is long.", "Dr. Osric built it."]


def test_one_statement_is_found_behind_is_it_true_that() -> None:
    assert found("sentences", "Is it true that honey never spoils?") == ["honey never spoils"]


def test_a_question_alone_brings_no_text_along_so_the_facts_are_split() -> None:
    assert found("sentences", "Why does it rain?", "# Rain\nIt is wet. It falls.") == [
        "It is wet.",
        "It falls.",
    ]


def test_texts_are_the_entries_of_a_list_or_all_of_it_as_one() -> None:
    assert found("texts", "Label these:\n- It is late.\n- It broke. Help.") == [
        "It is late.",
        "It broke. Help.",
    ]
    assert found("texts", "Label this: It is late. It broke.") == ["It is late. It broke."]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Classify this message as billing, sales or support: I paid.", "billing sales support"),
        ("Sort it into one of these categories: billing, sales.\n\nI paid.", "billing sales"),
        ("Is this review positive or negative? It was cold.", "positive negative"),
        ("Decide whether this comment is polite or rude: Go!", "polite rude"),
        ("Sort this into one of these groups: gold, silver. Ola paid late.", "gold silver"),
    ],
)
def test_choices_are_what_a_request_leaves_to_choose_from(text: str, labels: str) -> None:
    assert found("choices", text) == labels.split()


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Extract the name, the price and the weight of each tent.", ["name", "price", "weight"]),
        ("Return JSON with the keys title, author and year: It is.", ["title", "author", "year"]),
        ("Pull out due date and sender from this letter", ["due date", "sender"]),
        ("Extract all facts from this text.", []),
    ],
)
def test_fields_are_what_a_request_asks_for(text: str, fields: list[str]) -> None:
    assert found("fields", text) == fields


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("What are the pros and cons of remote work?", ["remote work"]),
        ("Give the arguments for and against a ban on phones. Be short.", ["a ban on phones"]),
        ("Should cities make buses free?", []),
    ],
)
def test_the_topic_is_what_a_request_wants_weighed(text: str, topic: list[str]) -> None:
    assert found("topic", text) == topic


@pytest.mark.parametrize("find", ["sentences", "texts", "choices", "fields", "topic"])
@pytest.mark.parametrize(
    "text", ["1. " * 20_000, 'Extract "' * 9_000, "pros and cons of " * 9_000, ": \n" * 50_000]
)
def test_no_request_can_hang_a_worker(find: FindWord, text: str) -> None:
    assert len(found(find, text)) <= 50
