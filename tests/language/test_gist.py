"""Parts of a long text, its telling sentences, and what `pick: sentences` makes of them."""

from __future__ import annotations

from crp.language import gist
from crp.language.lists import find_list, guard
from crp.language.pick import picked
from crp.language.schema import Extract, Pick
from crp.models import Task

NOTES = """\
The council of Varn met on Tuesday. It was warm and the windows stood open.

The council voted for a new bridge. The bridge costs 3.9 million euros, and the old bridge is shut.

A swimmer sang. The council wants the pool to open in May, because the pool was shut for a year.
"""
SHOP = """\
# Notes

## Staff
Two people work here. They live in town.

## Sales
Milk sells best. In May it sold for 300 euros.
"""


def test_a_text_without_headings_is_split_into_numbered_parts_at_paragraphs() -> None:
    long = "\n\n".join(" ".join(["word"] * 50) for _ in range(3))
    assert list(gist.parts(long)) == ["Part 1", "Part 2", "Part 3"]
    assert list(gist.parts("One short paragraph.\n\nAnd another.")) == ["Part 1"]


def test_parts_are_called_like_their_headings_and_hold_what_stands_under_them() -> None:
    found = gist.parts(SHOP)
    assert list(found) == ["Staff", "Sales"]
    assert "Milk sells best." in found["Sales"]
    assert "Milk" not in found["Staff"]


def test_no_more_parts_than_wanted_and_nothing_is_lost() -> None:
    long = "\n\n".join(f"number{n} " + "word " * 80 for n in range(40))
    found = gist.parts(long, 6)
    assert 1 < len(found) <= 6
    assert all(f"number{n}" in " ".join(found.values()) for n in range(40))


def test_two_parts_under_equal_headings_have_two_names() -> None:
    assert len(gist.parts("## A\none\n\n## B\ntwo\n\n## A\nthree")) == 3


def test_telling_sentences_come_in_the_order_of_the_text() -> None:
    found = gist.telling(
        ["The bridge is shut.", "A dog barked.", "The council voted for a new bridge."], 2
    )
    assert found == ["The bridge is shut.", "The council voted for a new bridge."]
    assert gist.telling([], 2) == []


def test_a_pick_of_sentences_takes_those_that_speak_of_something_in_their_order() -> None:
    found = picked(Pick(source="sentences", top=3), "pool and bridge", {"sentences": NOTES})
    assert [entry.split()[-1] for entry in found.entries] == ["bridge.", "shut.", "year."]


def test_a_pick_of_sentences_under_a_heading_of_that_name_takes_all_of_it() -> None:
    found = picked(Pick(source="sentences", top=9), "Sales", {"sentences": SHOP})
    assert found.entries == ["Milk sells best.", "In May it sold for 300 euros."]


def test_a_pick_about_nothing_takes_telling_sentences() -> None:
    found = picked(Pick(source="sentences", top=1), "", {"sentences": NOTES})
    assert found.entries[0] in NOTES


def test_passages_that_speak_of_something_else_are_not_picked() -> None:
    facts = "Opened doors let cats in.\n\nThe shop opens at nine.\n\nRain fell."
    found = picked(Pick(source="facts", top=3), "When does the shop open?", {"context": facts})
    assert found.entries[0] == "The shop opens at nine."
    assert "Rain fell." not in found.entries


def _sections(request: str) -> tuple[str, ...] | None:
    wanted = Extract(name="sections", find="sections", min=2)
    return find_list(wanted, Task(text=request))


def test_sections_are_read_from_a_brief() -> None:
    assert _sections("A report with sections on costs, use and risks.") == ("costs", "use", "risks")
    assert _sections("Report. Sections: Background and Findings") == ("Background", "Findings")
    assert _sections("Draft a report covering staff, sales and plans for the board") == (
        "staff",
        "sales",
        "plans",
    )
    assert _sections("With a section on cost, one on noise and one on safety") == (
        "cost",
        "noise",
        "safety",
    )
    assert _sections("Write a report on the mill") is None


def test_parts_come_from_the_facts_or_from_the_text_that_the_request_brings_along() -> None:
    wanted = Extract(name="parts", find="parts", source=("context", "task"), max=5)
    assert find_list(wanted, Task(text="Summarize", context=SHOP)) == ("Staff", "Sales")
    brought = find_list(wanted, Task(text=f"Summarize this:\n{NOTES}"))
    assert brought == ("Part 1",)
    assert guard(wanted, ("The Market",), Task(text="x"))[0] == ("The Market",)
