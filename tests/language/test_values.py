"""Filters that read a text: its numbers, what another lacks, the value of a field."""

from __future__ import annotations

import pytest

from crp.language.details import missing
from crp.language.text import render
from crp.language.values import value_of

ORDER = (
    "The customer is Velna Osric, who lives at 14 Tarn Street in Maddow. She ordered 3 copper "
    "kettles at 41 crowns each on 12 March 2024. Delivery is planned for 19 March 2024 by the "
    "carrier Swiftlane. Her phone number is 555-0182. Write to velna@osric.org."
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customer", "Velna Osric"),
        ("quantity", "3"),
        ("price", "41 crowns"),
        ("delivery date", "19 March 2024"),
        ("order date", "12 March 2024"),
        ("carrier", "Swiftlane"),
        ("phone number", "555-0182"),
        ("city", "Maddow"),
        ("email", "velna@osric.org"),
        ("colour", ""),
        ("", ""),
    ],
)
def test_the_value_of_a_field_is_copied_from_a_text(field: str, value: str) -> None:
    assert value_of(ORDER, field) == value


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("Name: Ola Kim\n- **Start date:** 2021-04-01", "start date", "2021-04-01"),
        ("The tent weighs 2.4 kg and costs $189.", "weight", "2.4 kg"),
        ("A light tent of 1.7 kg for two people.", "weight", "1.7 kg"),
        ("The novel The Glass Orchard was written by Imre Tolvaj.", "title", "The Glass Orchard"),
        ("The novel The Glass Orchard was written by Imre Tolvaj.", "author", "Imre Tolvaj"),
        ("Hale Orvik is the director of the institute.", "director", "Hale Orvik"),
        ("Its colour is forest green, and it is big.", "colour", "forest green"),
    ],
)
def test_values_are_found_in_several_forms(text: str, field: str, value: str) -> None:
    assert value_of(text, field) == value


def test_what_another_text_lacks_is_numbers_and_names() -> None:
    assert missing("In May Ola paid 1,200 euros.", "Ola paid 1200 euros in June.") == ["May"]
    assert missing("The Senn is 300 m long.", "It is 320 m long, the Senn.") == ["300"]
    assert missing("nothing to compare", "other words") == []


def test_the_filters_are_part_of_the_language() -> None:
    names = {"a": "Ola has 3 of 1,200", "b": "Ola has 3", "t": "It costs 12 euros."}
    text = '{{ a | numbers }}; {{ a | missing(b) }}; {{ t | value("price") }}'
    assert render(text, names) == "3 and 1200; 1200; 12 euros"


@pytest.mark.parametrize(
    "text", ["a" * 99_999, "A " * 50_000, "1 1 " * 25_000, "x is the " * 9_000]
)
@pytest.mark.parametrize("field", ["price", "author", "email", "x", "delivery date"])
def test_no_text_can_hang_a_worker(text: str, field: str) -> None:
    assert len(value_of(text, field)) <= 20_000
