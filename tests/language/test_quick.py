"""The fast reader of texts sees what the tree sees, or leaves the text to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.language.quick import quick
from crp.language.shapes import ANY, NUMBER, TEXT, TEXTS, Reference, Shape
from crp.language.syntax import check, parse

NAMES = {
    "task": TEXT,
    "items": TEXTS,
    "n": NUMBER,
    "any": ANY,
    "item": TEXT,
    "record": Shape("record", fields={"a": TEXT, "b": NUMBER}),
    "answers": Shape("answers", TEXT),
}
WORDS = [
    *NAMES,
    *("and", "or", "not", "in", "is", "if", "else", "true", "none"),
    *("loop", "length", "default", "join", "first", "words", "x"),
]
SIGNS = ["1", "2.5", "'x'", '"y\\n"', *"=!<>+-|.[](),*~%", "==", "!=", "<=", "not in"]
TAGS = [
    "{{ task }}",
    "{{ x }}",
    "{{- any[item] -}}",
    "{{ answers[item] }}",
    "{{ any[item].a | default('-') }}",
    "{{ items | join(', ') }}",
    "{{ record.b + 1 }}",
    "{{loop.index}}",
    "{% for x in items %}",
    "{% for x in answers if x %}",
    "{% endfor %}",
    "{% if any %}",
    "{% if not any and record.a %}",
    "{% elif n > 1 %}",
    "{% else %}",
    "{% endif %}",
    "{% set x = 1 %}",
    "text\n",
    "{",
    "}",
    "{#",
    "{{",
    "}}",
]


def agrees(text: str, *, condition: bool) -> bool:
    """Whether the fast reader took a text; then it must have seen what the tree sees."""
    found = quick(text, NAMES, condition)
    if found is None:
        return False
    assert check(text, NAMES, condition=condition) == []
    assert found == parse(text, condition).references
    return True


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, *SIGNS]), min_size=1, max_size=8), st.booleans())
def test_it_never_contradicts_the_tree_about_a_condition(parts: list[str], tight: bool) -> None:
    agrees(("" if tight else " ").join(parts), condition=True)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8))
def test_it_never_contradicts_the_tree_about_a_text(parts: list[str]) -> None:
    agrees("".join(parts), condition=False)


@pytest.mark.parametrize(
    "text",
    [
        "nothing to fill in",
        "{{ task }} and { braces }",
        "{% for x in items if x != 'a' %}- {{ loop.index }}. {{ x }}\n{% endfor %}",
        "{% if any[item].a == 'no' %}{{ any }}{% elif n > 1 %}{{ n }}{% else %}-{% endif %}",
        "{{ (any or items) | join('\\n') }}{{ items | words(20) }}",
    ],
)
def test_what_templates_mostly_say_is_read_fast(text: str) -> None:
    assert agrees(text, condition=False)


@pytest.mark.parametrize(
    "text",
    [
        "{{ unknown }}",
        "{{ task.name }}",
        "{{ task | join }}",
        "{{ task() }}",
        "{% set x = 1 %}",
        "{# a remark #}",
        "{{ 'a' if task }}",
        "{{ x is defined }}",
        "{{ -n }}",
        "{% if task %}",
        "{{ " + "not " * 60 + "task }}",
    ],
)
def test_everything_else_is_left_to_the_tree(text: str) -> None:
    assert quick(text, NAMES, condition=False) is None


def test_every_use_has_its_place_and_says_whether_it_can_be_missing() -> None:
    text = "About {{ task }}\n{% if any %}{{ any }}{% endif %}\n  {{ answers[item] }}"
    assert quick(text, NAMES, condition=False) == (
        Reference("task", line=1, column=10),
        Reference("any", guarded=True, tested=True, line=2, column=7),
        Reference("any", guarded=True, line=2, column=16),
        Reference("answers", index="item", line=3, column=6),
        Reference("item", line=3, column=14),
    )
