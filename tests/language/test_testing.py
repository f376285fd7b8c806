"""Tests of a template as data: where they stand, what they may say, and what is refused.

Most mistakes in them are in `broken_templates.txt`, under `tests:`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from crp.errors import TemplateError
from crp.language.load import lint, load
from crp.language.schema import Check, Template
from crp.language.testing import Expect, Span, Test, load_tests

EXAMPLES = Path(__file__).parent / "examples"
TEMPLATE = """\
template: t
inputs: {audience: who reads}
extract: {items: the things}
steps:
  profile: {for_each: items, prompt: 'Describe {{ item }} for {{ audience }}.'}
  table: Compare {{ profile }}
  joined: {render: '{{ table }}'}
"""


def template() -> Template:
    return load(TEMPLATE, "t.yaml")


def example(name: str) -> tuple[Test, ...]:
    text = (EXAMPLES / f"{name}.yaml").read_text()
    return load_tests(text, f"{name}.yaml", load(text, f"{name}.yaml"))


def one(fields: str) -> Test:
    return load_tests(f"one: {{{fields}}}\n", "t.tests.yaml", template())[0]


def mistakes(fields: str, of: Template | None = None) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        load_tests(f"one: {{{fields}}}\n", "t.tests.yaml", of or template())
    return [problem.message for problem in caught.value.problems]


def test_the_tests_of_the_large_example_arrive() -> None:
    first, second = example("comparison")
    assert (first.name, first.task) == ("three frameworks", "Compare React, Vue and Angular")
    assert first.expect == Expect(
        template="comparison",
        lists={"items": ("React", "Vue", "Angular")},
        calls=Span(low=10, high=14),
        ran=("profile", "table", "surprises", "verdict"),
        attempts={"profile": {"Vue": Span(low=2, high=2)}},
        quality=Span(low=0.8, high=1),
        answer=(Check(kind="mentions", value=["React", "Vue", "Angular"]),),
    )
    assert (second.expect.template, second.recorded) == ("not comparison", {})


def test_recorded_answers_are_texts_and_successive_tries() -> None:
    recorded = example("comparison")[0].recorded
    assert recorded["items"] == "React, Vue, Angular"
    profile = recorded["profile"]
    assert isinstance(profile, dict)
    assert isinstance(profile["Vue"], list)
    assert profile["Vue"][0] == "I'm sorry, I cannot help with that."


def test_any_item_and_the_critique_can_be_recorded() -> None:
    dune = example("multi-hop-question")[0]
    assert dune.recorded["verify"] == {"*": '{"correct": "yes", "right_answer": null}'}
    assert dune.recorded["critique"] == '{"ok": "yes", "problem": null}'
    assert dune.expect.lists == {"hops": Span(low=3, high=3)}


def test_a_file_beside_the_template_has_the_same_form() -> None:
    text = "one:\n  task: Compare tea and coffee\n  recorded: {table: 44}\n"
    tests = load_tests(text, "t.tests.yaml", template())
    assert [(t.name, t.task, t.recorded, t.line) for t in tests] == [
        ("one", "Compare tea and coffee", {"table": "44"}, 1)
    ]


def test_a_test_may_be_called_template() -> None:
    assert load_tests("template: {task: x}\n", "t.tests.yaml", template())[0].name == "template"


def test_a_template_without_tests_has_none() -> None:
    assert load_tests(TEMPLATE, "t.yaml", template()) == ()


def test_facts_inputs_and_lists_can_be_given() -> None:
    made = one("task: x, context: Facts., inputs: {audience: children, items: [a, b]}")
    assert (made.context, made.inputs) == ("Facts.", {"audience": "children", "items": ["a", "b"]})


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("10-14", Span(low=10, high=14)),
        ("10+", Span(low=10)),
        ("3", Span(low=3, high=3)),
        ("0.8 - 1", Span(low=0.8, high=1)),
    ],
)
def test_ranges_may_be_open_and_have_decimals(written: str, span: Span) -> None:
    assert one(f"task: x, expect: {{calls: {written}}}").expect.calls == span


def test_a_range_holds_what_is_in_it() -> None:
    assert [Span(low=2, high=3).holds(n) for n in (1, 2, 3, 4)] == [False, True, True, False]
    assert Span(low=2).holds(99)
    assert [str(s) for s in (Span(low=2), Span(low=2, high=2), Span(low=0.5, high=1))] == [
        "2+",
        "2",
        "0.5-1",
    ]


def test_names_are_checked_with_the_nearest_one() -> None:
    with pytest.raises(TemplateError) as caught:
        load_tests("one: {task: x, expect: {ran: [profil]}}\n", "t.tests.yaml", template())
    assert str(caught.value) == (
        't.tests.yaml:1:31: error: there is no step "profil" [R001]\n'
        " 1 | one: {task: x, expect: {ran: [profil]}}\n"
        "   |                               ^^^^^^\n"
        '     = help: did you mean "profile"?'
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("task: x, expect: {attempts: {tabel: 2}}", 'there is no step "tabel"'),
        ("task: x, expect: {calls: 3-1}", "this must be a range such as 10-14"),
        ("task: x, expect: {item: 3}", 'expect has no "item"'),
        ("task: x, expect: [table]", "expect must be fields: `name: value`"),
        ("task: x, expect: {attempts: table}", "attempts must be fields: `step: number of tries`"),
        ("task: x, inputs: {audiense: y}", 'the template has no input "audiense"'),
        ("task: x, inputs: y", "inputs must be fields: `name: value`"),
        ("task: x, recorded: {tabel: y}", 'nothing can be recorded for "tabel"'),
        ("task: x, recorded: y", "recorded must be fields: `step: answer`"),
        (
            "task: x, recorded: {table: {a: y}}",
            'step "table" has one answer, not one for each item',
        ),
        ("task: x, expect: {answer: [covers: itms]}", 'there is no list "itms"'),
        ("task: x, expect: {answer: [expr: tabel]}", 'there is no "tabel" here'),
        ("recorded: {table: y}", 'test "one" needs "task"'),
    ],
)
def test_a_mistake_in_a_test_is_one_message(fields: str, message: str) -> None:
    assert mistakes(fields) == [message]


def test_without_the_template_names_are_taken_as_they_are() -> None:
    text = "one: {task: x, expect: {things: [a], ran: [b]}, recorded: {c: {d: e}}}\n"
    made = load_tests(text, "t.tests.yaml", None)[0]
    assert (made.expect.lists, made.expect.ran) == ({"things": ("a",)}, ("b",))


def test_recording_a_step_that_asks_no_model_is_warned_of() -> None:
    tests = "tests: {one: {task: x, recorded: {joined: y}}}\n"
    assert [p.code for p in lint(TEMPLATE + tests, "t.yaml")] == ["W205"]


def test_answers_of_another_template_stand_below_the_step_that_uses_it() -> None:
    text = "template: t\nsteps: {a: {use: other}}\n"
    tests = "one: {task: x, recorded: {a: {look: y, each: {'*': z}}}}\n"
    made = load_tests(tests, "t.tests.yaml", load(text, "t.yaml"))[0]
    assert made.recorded == {"a": {"look": "y", "each": {"*": "z"}}}


def test_a_broken_file_of_tests_is_refused_with_its_place() -> None:
    with pytest.raises(TemplateError, match=r"t\.tests\.yaml:1:7: error: .* \[Y010\]"):
        load_tests("one: b: c\n", "t.tests.yaml", template())
