"""What is different between two templates, told in the words of the language."""

from __future__ import annotations

import pytest

from crp.authoring.difference import differences, word_difference
from crp.language.load import load
from crp.templates import find_library

OLD = """
template: t
match: [a, b]
extract: {items: {ask: Which?, min: 2}}
steps:
  profile: {for_each: items, prompt: "Say what {{ item }} is.\\nBe short."}
  verdict: "Choose of {{ profile }}"
"""


def told(new: str) -> list[str]:
    return [str(change) for change in differences(load(OLD, "t"), load(new, "t"))]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('verdict: "Choose of {{ profile }}"',
         'verdict: {prompt: "Choose of {{ profile }}", samples: 3}',
         "step verdict: samples 1 -> 3"),
        ("Be short.", "Be very short.", "step profile: prompt changed"),
        ("min: 2", "min: 3", "list items: min 2 -> 3"),
        ("[a, b]", "[a, c]", "match: keywords - b, + c"),
        ("[a, b]", "[b, a]", "match: keywords in another order"),
        ("template: t", "template: t\nlimits: {calls: 90}", "limits: calls 40 -> 90"),
        ("template: t", "template: t\nprobe: no", "probe: yes -> no"),
        ("template: t", "template: t\ninputs: {who: Who?}", "input who: added"),
    ],
)  # fmt: skip
def test_one_change_is_one_line(old: str, new: str, said: str) -> None:
    assert old in OLD
    assert told(OLD.replace(old, new)) == [said]


def test_comments_short_forms_and_the_order_of_keys_are_no_difference() -> None:
    longer = OLD.replace("match: [a, b]", "match: {keywords: [a, b]}  # the same")
    assert (
        told("note: x\n" + longer.replace("{ask: Which?, min: 2}", "{min: 2, ask: Which?}")) == []
    )


def test_a_changed_text_shows_the_words_that_went_and_came() -> None:
    (change,) = differences(load(OLD, "t"), load(OLD.replace("Be short", "Be very brief"), "t"))
    assert change.text == ("Be [-short-]{+very brief+}.",)


def test_a_line_that_only_came_is_marked_as_a_whole() -> None:
    assert list(word_difference("one\ntwo", "one\nnew\ntwo")) == ["{+new+}"]


def test_a_template_is_not_different_from_itself() -> None:
    for template in find_library().templates.values():
        assert differences(template, template) == []
