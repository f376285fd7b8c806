"""Templates to models: short forms, what is worked out, and one message for each mistake.

`broken_templates.txt` holds pairs of a broken template and the exact text that its author gets.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.errors import TemplateError
from crp.language.load import lint, load
from crp.language.schema import Check, Output, Template
from crp.language.words import word_set
from crp.models import Rung

BROKEN = [
    tuple(part.strip("\n") for part in pair.split("\n-----\n"))
    for pair in (Path(__file__).parent / "broken_templates.txt").read_text().split("\n=====\n")
]

MINI = """\
template: comparison-mini
match: [compare, versus, vs, difference between]
extract:
  items: the things being compared
steps:
  contrast: Compare {{ items }} on price, using {{ profile }}
  profile:
    for_each: items
    prompt: List the core architecture of {{ item }}.
    output: bullets
synthesize: Write a clear comparison article from {{ profile }} and {{ contrast }}
"""


def template(fields: str) -> Template:
    return load("template: t\n" + fields, "t.yaml")


def warnings(text: str) -> list[str]:
    return [str(problem) for problem in lint(text, "t.yaml")]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[pair[1][:60] for pair in BROKEN])
def test_a_mistake_is_answered_with_one_message_at_its_place(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(text + "\n", "t.yaml")
    assert str(caught.value) == message
    assert len(caught.value.problems) == 1


def test_short_forms_become_long_ones() -> None:
    mini = load(MINI, "mini.yaml")
    assert mini.match.keywords == ("compare", "versus", "vs", "difference between")
    assert (mini.extract[0].name, mini.extract[0].ask) == ("items", "the things being compared")
    assert mini.step("profile").output == Output(kind="bullets")
    assert mini.synthesize is not None
    assert mini.synthesize.id == "answer"
    assert mini.step("contrast").title == "Contrast"


def test_short_numbers_and_lists_become_long_ones() -> None:
    made = template(
        "few_shot: 2\ncomplexity: 4\nquality: [complete]\ninputs: {audience: Who reads}\n"
        "steps: {a: 'for {{ audience }}'}\n"
    )
    assert (made.few_shot.traces, made.complexity.base) == (2, 4)
    assert made.quality.score == (Check(kind="complete"),)
    assert (made.inputs[0].name, made.inputs[0].help) == ("audience", "Who reads")


def test_the_order_of_the_steps_follows_from_the_names_they_use() -> None:
    mini = load(MINI, "mini.yaml")
    assert [step.id for step in mini.steps] == ["profile", "contrast"]
    assert mini.step("contrast").reads == ("profile",)


def test_lists_come_after_the_lists_that_they_ask_with() -> None:
    made = template("extract: {sides: 'of {{ items }}', items: x}\nsteps: {a: x}\n")
    assert [extract.name for extract in made.extract] == ["items", "sides"]


def test_reading_one_item_is_not_reading_all() -> None:
    made = template(
        "extract: {items: x}\nsteps:\n"
        "  b: {for_each: items, prompt: '{{ a[item] }}'}\n"
        "  a: {for_each: items, prompt: '{{ item }}'}\n"
        "synthesize: {render: '{{ b }}'}\n"
    )
    assert (made.step("b").reads, made.step("b").reads_item) == ((), ("a",))


def test_what_stands_under_an_if_of_its_own_can_be_missing() -> None:
    made = template("steps:\n  a: x\n  b: x\n  c: '{% if a %}{{ a }}{% endif %}{{ b }}'\n")
    assert made.step("c").reads == ("a", "b")
    assert made.step("c").optional == ("a",)


def test_what_a_check_compares_with_is_read_too() -> None:
    made = template("steps:\n  b: {prompt: x, checks: [grounded_in: [a]]}\n  a: x\n")
    assert [step.id for step in made.steps] == ["a", "b"]
    assert made.step("b").reads == ("a",)


def test_needs_orders_without_data() -> None:
    made = template("steps:\n  b: {prompt: x, needs: a}\n  a: x\n")
    assert [step.id for step in made.steps] == ["a", "b"]


def test_every_field_of_a_step_arrives() -> None:
    step = template(
        "extract: {items: x}\nsteps:\n  a:\n    for_each: items\n    as: thing\n"
        "    prompt: about {{ thing }}\n    output: {table: [aspect, '{{ items }}']}\n"
        "    checks:\n      - words: 3-40\n        weight: 2\n        hint: Be short.\n"
        "      - no_echo: yes\n        otherwise: warn\n      - mentions: ['{{ thing }}', x]\n"
        "    on_fail: [retry, model: larger, temperature: 0.7, accept_best]\n"
        "    scaffolds: {light: 'Think of {{ thing }}.'}\n    facts: '{{ thing }}'\n"
        "    max_tokens: 99\n    temperature: 0.5\n    scaffold: none\n    few_shot: 0\n"
    ).steps[0]
    assert (step.item_name, step.facts, step.max_tokens) == ("thing", "{{ thing }}", 99)
    assert step.output.columns == ("aspect", "{{ items }}")
    assert step.checks == (
        Check(kind="words", value="3-40", weight=2, hint="Be short."),
        Check(kind="no_echo", otherwise="warn"),
        Check(kind="mentions", value=["{{ thing }}", "x"]),
    )
    assert step.on_fail == (
        Rung(action="retry"),
        Rung(action="model", value="larger"),
        Rung(action="temperature", value=0.7),
        Rung(action="accept_best"),
    )
    assert step.scaffolds.light == "Think of {{ thing }}."


def test_output_fields_know_their_kinds_and_bounds() -> None:
    fields = (
        template(
            "extract: {items: x}\nsteps:\n  a:\n    prompt: x\n    output:\n      fields:\n"
            "        winner: one of {{ items }}\n        sure: number 0-1\n"
            "        why: list of text\n        note: text?\n        size: one of s | m\n"
        )
        .steps[0]
        .output.fields
    )
    assert [(f.name, f.kind, f.optional) for f in fields] == [
        ("winner", "choice", False),
        ("sure", "number", False),
        ("why", "list", False),
        ("note", "text", True),
        ("size", "choice", False),
    ]
    assert fields[0].options_from == "items"
    assert (fields[1].low, fields[1].high) == (0, 1)
    assert fields[4].options == ("s", "m")


def test_a_version_keeps_its_digits_and_a_no_stays_a_word() -> None:
    made = template("version: 1.10\nsteps: {a: no}\n")
    assert (made.version, made.steps[0].text) == ("1.10", "no")


def test_snippets_stand_where_they_are_named() -> None:
    made = template("snippets: {tone: Be brief.}\nsteps: {a: 'Say hello. {{ snippets.tone }}'}\n")
    assert made.steps[0].text == "Say hello. Be brief."


def test_lists_are_never_longer_than_the_limit() -> None:
    made = template("limits: {items: 4}\nextract: {items: x}\nsteps: {a: x}\n")
    assert made.extract[0].max == 4


def test_a_fan_out_that_reads_all_answers_is_warned_of() -> None:
    text = (
        "template: t\nextract: {items: x}\nsteps:\n"
        "  a: {for_each: items, prompt: '{{ item }}'}\n"
        "  b: {for_each: items, prompt: 'Use {{ a }}'}\n"
        "synthesize: {render: '{{ b }}'}\n"
    )
    assert warnings(text) == [
        't.yaml:5:40: warning: this puts the "a" answers for ALL items into every prompt [W201]\n'
        " 5 |   b: {for_each: items, prompt: 'Use {{ a }}'}\n"
        "   |                                        ^\n"
        "     = help: for this one only: a[item]"
    ]


def test_a_text_that_a_comment_cuts_is_warned_of() -> None:
    text = "template: t\nsteps:\n  a: Say which is # 1 of all\n"
    assert warnings(text) == [
        "t.yaml:3:19: warning: text after # is a comment and is NOT sent to the model [W101]\n"
        " 3 |   a: Say which is # 1 of all\n"
        "   |                   ^\n"
        "     = help: put the text in quotes, or write it below after |"
    ]


def test_a_comment_beside_a_field_or_a_block_is_not_warned_of() -> None:
    text = "template: t # its name\nsteps:\n  a: | # as it stands\n    Say # 1\n  # end\n"
    assert warnings(text) == []


def test_a_hint_in_which_nothing_is_filled_in_is_warned_of() -> None:
    text = "template: t\nsteps:\n  a: {prompt: x, checks: [{words: 3+, hint: 'Say {{ task }}'}]}\n"
    assert [(p.line, p.column, p.code) for p in lint(text, "t")] == [(3, 45, "W103")]


def test_a_step_that_nothing_uses_is_warned_of() -> None:
    assert [p.code for p in lint("template: t\nsteps:\n  a: x\n  b: y\n", "t")] == ["W202"]


def test_warnings_wait_until_there_are_no_errors() -> None:
    text = "template: t\nsteps:\n  a: x # y\n  b: '{{ z }}'\n"
    assert [p.code for p in lint(text, "t")] == ["T003"]


def test_a_broken_step_is_not_reported_again_by_those_that_read_it() -> None:
    text = "template: t\nsteps:\n  a: {prompt: x, samples: 3}\n  b: 'from {{ a }}'\n"
    assert [p.code for p in lint(text, "t")] == ["F007"]


def test_several_mistakes_come_in_the_order_of_the_file() -> None:
    text = "template: t\nfrob: 1\nsteps:\n  a: '{{ x }}'\n  b: '{{ y }}'\n"
    assert [(p.line, p.code) for p in lint(text, "t")] == [(2, "F001"), (4, "T003"), (5, "T003")]


def blocks(line: str, style: str = "|") -> str:
    """Ten steps of a text that fills them."""
    step = f"{style}\n" + f"    {line}\n" * (19_000 // (len(line) + 1))
    return "steps:\n" + "".join(f"  s{i}: {step}" for i in range(10))


@pytest.mark.parametrize(
    "fields",
    [
        blocks("about {{ task }} and {{ context }}"),
        blocks("{{x}}"),
        blocks("{{x}}", ">"),
        blocks("{{ f() }}" * 100),
        blocks("{{ task.x }}" * 100),
        "steps:\n" + "".join(f"  s{i}: x\n" for i in range(9_000)),
        "steps:\n  s0: x\n" + "".join(f"  s{i}: '{{{{ s{i - 1} }}}}'\n" for i in range(1, 4_000)),
        "steps: {a: x}\nextract:\n"
        + "".join(f"  l{i}: '{{{{ l{i + 1} }}}}'\n" for i in range(4_000)),
        "steps: {a: x}\n" + "".join(f"k{i}: 1\n" for i in range(9_000)),
        "steps: {a: x}\nmatch: {patterns: ['" + "(" * 5_000 + "a" + ")" * 5_000 + "']}\n",
    ],
)
def test_no_template_can_hang_the_loader(fields: str) -> None:
    started = time.process_time()
    lint("template: t\n" + fields, "t")
    assert time.process_time() - started < 4


@pytest.mark.parametrize("what", ["steps", "extract", "inputs"])
def test_too_many_entries_are_one_mistake(what: str) -> None:
    text = f"{what}:\n" + "".join(f"  s{i}: x\n" for i in range(11)) + "synthesize: '{{ s1 }}'\n"
    text = "template: t\n" + text + ("" if what == "steps" else "steps: {a: x}\n")
    assert [p.message for p in lint(text, "t")] == [f"at most 10 {what}, not 11"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_file_crashes_the_loader(data: st.DataObject) -> None:
    """Cut and splice a good template in every way: it loads, or says where it is wrong."""
    lines = MINI.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    junk = st.text(alphabet="{}%[]:#-|>'\"?&*! ainx{{\n\t", max_size=30)
    lines[index] = data.draw(st.sampled_from([lines[index], "", "  "])) + data.draw(junk)
    for problem in lint("\n".join(lines), "t.yaml"):
        assert str(problem)
        assert problem.line >= 1


KEYS = st.sampled_from(
    sorted(
        word_set(
            """template steps a prompt render checks output fields extract ask match words covers
            on_fail scaffolds quality score few_shot limits inputs default synthesize for_each
            otherwise examples"""
        )
    )
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, SHAPES, max_size=6))
def test_no_shape_of_data_crashes_the_loader(value: dict[str, object]) -> None:
    assert isinstance(lint(json.dumps(value), "t.yaml"), list)
