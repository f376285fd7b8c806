"""Prompt texts: what may stand in them, how values read, and that work is bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language import text
from crp.language.shapes import NUMBER, TEXT, TEXTS, Shape
from crp.language.syntax import parse
from crp.language.text import Entry, check, holds, prints, references, render, value

NAMES = {
    "task": TEXT,
    "items": TEXTS,
    "n": NUMBER,
    "verdict": Shape("record", fields={"winner": TEXT}, label='step "verdict"'),
    "profile": Shape("answers", TEXT, label='step "profile"'),
}
VALUES: dict[str, JsonValue] = {
    "items": ["React", "Vue", "Angular"],
    "verdict": {"winner": "Vue", "reasons": ["small", "easy"], "items": 3},
    "profile": {"React": "One\ntwo", "Vue": "three"},
    "n": 3,
    "big": "x" * 1_000_000,
}


def failure(template: str, values: dict[str, JsonValue] = VALUES) -> str:
    with pytest.raises(TemplateError) as caught:
        render(template, values)
    return caught.value.problems[0].message.split("filled in: ")[1]


@pytest.mark.parametrize(
    ("template", "line", "column", "message"),
    [
        ("{{ ite }}", 1, 4, 'there is no "ite" here'),
        ("a\nb {{ verdict.winer }}", 2, 14, 'step "verdict" has no field "winer"'),
        ("{{ verdict.winner }} {{ verdict.x }}", 1, 33, 'step "verdict" has no field "x"'),
        ("{{ task.x }}", 1, 9, "this is text: it has no fields"),
        ("{{ profile.x }}", 1, 12, 'step "profile" has one answer for each item'),
        ("{{ task.upper() }}", 1, 14, "calls are not part of the language"),
        ("{{ n() }}", 1, 5, "calls are not part of the language"),
        ("{{ 'a' * 9 }}", 1, 8, "* is not part of the language"),
        ("{{ 9 ** 9 }}", 1, 6, "** is not part of the language"),
        ("{{ task ~ task }}", 1, 9, "~ is not part of the language"),
        ("{% set x = 1 %}", 1, 4, "set is not part of the language"),
        ("{% macro x() %}{% endmacro %}", 1, 4, "macro is not part of the language"),
        ("{% include 'x' %}", 1, 4, "include is not part of the language"),
        ("{% import 'x' as y %}", 1, 4, "import is not part of the language"),
        ("{{ [1, 2] }}", 1, 4, "a list written out is not part of the language"),
        ("{{ items[0:2] }}", 1, 11, "a slice is not part of the language"),
        ("{{ task is defined }}", 1, 9, '"is" is not part of the language'),
        ("{{ 1 if n else 2 }}", 1, 6, "an if inside {{ }} is not part of the language"),
        ("{{ items | map('upper') }}", 1, 12, 'there is no filter "map"'),
        ("{{ task | join }}", 1, 11, '"join" needs a list'),
        ("{{ task | upper(1) }}", 1, 11, 'the filter "upper" takes no value'),
        ("{{ task + task }}", 1, 4, "+ is for numbers; texts are put side by side"),
        ("{% for x in task %}{% endfor %}", 1, 13, '"task" is not a list'),
        ("{% for a, b in items %}{% endfor %}", 1, 4, "a loop has one name: {% for x in list %}"),
        ("{% for a in items %}{{ loop.foo }}{% endfor %}", 1, 29, '"loop" has no field "foo"'),
        ("{{ task", 1, 1, "something is missing at the end"),
        ("{{ task task }}", 1, 9, "'task' can not stand here"),
        ("{% frob %}", 1, 4, "encountered unknown tag 'frob'"),
        ("{# never closed", 1, 1, "missing end of comment tag"),
    ],
)
def test_what_is_not_allowed_is_refused_at_its_place(
    template: str, line: int, column: int, message: str
) -> None:
    first = check(template, NAMES)[0]
    assert (first.line, first.column, first.message) == (line, column, message)


@pytest.mark.parametrize(
    "template",
    [
        "{{ items }} and {{ verdict.winner }}",
        "{% for i in items if i != 'Vue' %}{{ loop.index }}{{ i }}{% else %}-{% endfor %}",
        "{% if n > 2 and not task %}a{% elif 'x' in items %}b{% else %}c{% endif %}",
        "{{ items | join(', ') | upper }} {{ n + 1 - 2 }} {{ profile['React'] }}",
        "a { single } brace, {{ 'quoted }}' }}",
    ],
)
def test_what_the_language_has_is_not_refused(template: str) -> None:
    assert check(template, NAMES) == []


def test_a_misspelled_name_gets_a_suggestion() -> None:
    assert check("{{ itms }}", NAMES)[0].help == 'did you mean "items"?'
    assert check("{{ verdict.winer }}", NAMES)[0].help == 'did you mean "winner"?'


def test_references_say_what_is_read_and_what_can_be_missing() -> None:
    found = references("{{ p[item] }}{% if s %}{{ s }}{% endif %}{{ q | default('') }}{{ r }}")
    assert [(r.name, r.index, r.guarded) for r in found] == [
        ("p", "item", False),
        ("item", "", False),
        ("s", "", True),
        ("s", "", True),
        ("q", "", True),
        ("r", "", False),
    ]


def test_asking_whether_something_is_there_is_not_putting_it_in() -> None:
    asked = "{% if context %}Use the facts.{% endif %}"
    assert not prints(asked, "context")
    assert prints(asked + "{{ context | words(9) }}", "context")


def test_names_that_a_loop_makes_are_not_references() -> None:
    found = references("{% for x in items %}{{ x }}{{ loop.index }}{% endfor %}")
    assert [r.name for r in found] == ["items"]


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ items }}", "React, Vue and Angular"),
        ("{{ items | join(' / ') }}", "React / Vue / Angular"),
        ("{{ items | bullets }}", "- React\n- Vue\n- Angular"),
        ("{{ items | numbered }}", "1. React\n2. Vue\n3. Angular"),
        ("{{ items | first }}{{ items | last }}{{ items | length }}", "ReactAngular3"),
        ("{{ verdict.winner | upper | quote }}", '"VUE"'),
        ("{{ verdict.items }}", "3"),
        ("{{ verdict | json }}", '{"winner": "Vue", "reasons": ["small", "easy"], "items": 3}'),
        ("{{ 'a b c' | words }} {{ 'a b c' | words(2) }}", "3 a b"),
        ("{{ missing | default('none') }}{{ missing.deep | default('!') }}", "none!"),
        ("{% if missing %}a{% else %}b{% endif %}", "b"),
        ("{{ profile }}", "## React\nOne\ntwo\n\n## Vue\nthree"),
        (
            "{% for i in profile %}{{ i }}={{ profile[i] }};{% endfor %}",
            "React=One\ntwo;Vue=three;",
        ),
        ("{{ n + 1 }} {{ n == 3 }}", "4 yes"),
        ("a\n{% if n %}\nb\n{% endif %}\nc", "a\nb\nc"),
        ("{ not a name } {{ '{{ n }}' }}", "{ not a name } {{ n }}"),
    ],
)
def test_values_read_as_a_person_writes_them(template: str, shown: str) -> None:
    assert render(template, VALUES) == shown


def test_long_entries_read_as_bullets() -> None:
    assert render("{{ x }}", {"x": ["It is fast.", "It is small."]}) == (
        "- It is fast.\n- It is small."
    )


def test_values_are_never_parsed() -> None:
    assert render("{{ task }}", {"task": "{{ n }}{% for %}{{ 9 * 9 }}"}) == (
        "{{ n }}{% for %}{{ 9 * 9 }}"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ missing }}", 'there is no "missing"'),
        ("{{ profile['Angular'] }}", 'there is no "Angular" in it'),
        ("{% for x in missing %}{% endfor %}", 'there is no "missing"'),
        ("{{ items.append }}", 'there is no "append" in it'),
        ("{{ verdict.keys }}", 'there is no "keys" in it'),
        ("{{ big.__class__ }}", 'there is no "__class__" in it'),
        ("{{ items + items }}", "+ is for numbers"),
        ("{{ items() }}", "calls are not part of the language"),
        ("{{ items < 'a' }}", "'<' not supported between instances of 'list' and 'str'"),
    ],
)
def test_what_can_not_be_filled_in_says_why(template: str, message: str) -> None:
    assert failure(template) == message


@pytest.mark.parametrize(
    "template",
    [
        "{{ big }}" * 5,
        "{{ big | upper | lower | upper | lower | upper }}",
        "{{ items | join(big) | trim | trim }}{{ items | join(big) }}",
        "{% for a in items %}" * 12 + "x" + "{% endfor %}" * 12,
        "{{ " + "(" * 5_000 + "n" + ")" * 5_000 + " }}",
        "{{ " + "not " * 3_000 + "n }}",
        "{{ n" + " + n" * 3_000 + " }}",
        "{{ n" + ".n" * 3_000 + " }}",
        "{% if n %}" * 500 + "{% endif %}" * 500,
        "{{ " + "9" * 10_000 + " }}",
        "x" * (text.MAX_TEXT + 1),
    ],
)
def test_no_text_can_hang_a_worker(template: str) -> None:
    started = time.process_time()
    failure(template)
    assert time.process_time() - started < 1


def test_conditions_are_expressions_and_missing_names_are_false() -> None:
    assert holds("items | length > 2", VALUES)
    assert holds("'Vue' in items and not missing", VALUES)
    assert not holds("missing.deep == 'x'", VALUES)


@pytest.mark.parametrize("condition", ["n }} {{ n", "{{ n }}", "n %}{% if n", "", "a b"])
def test_a_condition_is_one_expression_without_braces(condition: str) -> None:
    assert check(condition, None, condition=True)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="{}%#-ainx.|'()[]+ \n", max_size=60))
def test_any_text_is_refused_or_rendered(template: str) -> None:
    wrong = parse(template).mistakes
    try:
        rendered = render(template, VALUES)
    except TemplateError as error:
        rendered = str(error)
    assert rendered.startswith("template:1:1: error: ") or not wrong


# -- expressions ----------------------------------------------------------------------------------

DATA: dict[str, JsonValue] = {
    "sheet": {"Aero": {"price": "900 euros"}, "Bolt": {"price": "1,200 euros"}},
    "items": ["Aero", "Bolt"],
    "none": None,
    "tame": True,
    "sure": "no",
}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("sheet.Aero.price", "900 euros"),
        ("sheet[items | first].price", "900 euros"),
        ("items | length", 2),
        ("items", ["Aero", "Bolt"]),
        ("tame", True),
        ("none", None),
        ("nothing", None),
        ("sheet.Crest.price", None),
        ("sheet[nothing].price", None),
        ("items | length + 1", 3),
    ],
)
def test_an_expression_gives_data(expression: str, result: JsonValue) -> None:
    assert value(expression, DATA) == result


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("sheet.Aero.price < 1000", True),
        ("sheet.Bolt.price < 1000", False),
        ("1000 < sheet.Bolt.price", True),
        ("sheet.Aero.price < sheet.Bolt.price", True),
        ("1 < 2 < 3", True),
        ("1 < 2 < 2", False),
        ("'b' > 'a'", True),
        ("none < 5", False),
        ("none > 5", False),
        ("nothing.x < 5", False),
        ("sure < 5", False),
        ("'Aero' in items", True),
        ("'Aero' in none", False),
        ("'Aero' not in none", True),
        ("tame == 'yes'", True),
        ("tame != 'no'", True),
        ("sure == 'no' and items | length == 2", True),
    ],
)
def test_comparisons_read_numbers_and_survive_what_is_missing(
    condition: str, expected: bool
) -> None:
    assert holds(condition, DATA) is expected


def test_an_expression_that_can_not_be_worked_out_says_why() -> None:
    with pytest.raises(TemplateError, match=r"\+ is for numbers"):
        value("items | first + 1", DATA)
    with pytest.raises(TemplateError, match="calls are not part"):
        value("items()", DATA)


def test_an_entry_reads_as_it_is_now_and_is_found_as_it_was() -> None:
    names: dict[str, JsonValue] = {
        "item": Entry("When was Herbert born?", "When was [1] born?"),
        "answers": {"When was [1] born?": "1920"},
        "others": {"When was Herbert born?": "as it reads"},
    }
    said = render("{{ item }} {{ answers[item] }} {{ others[item] }}", names)
    assert said == "When was Herbert born? 1920 as it reads"
