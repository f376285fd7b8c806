"""Templates to models: short forms, what is worked out, and one message for each mistake.

`broken_templates.txt` holds pairs of a broken template and the exact text that its author gets.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.errors import TemplateError
from crp.language.codes import CODES
from crp.language.load import extended, lint, load
from crp.language.pick import picked
from crp.language.schema import Check, Output, Pick, Template
from crp.language.text import render
from crp.language.words import word_set
from crp.models import Rung

ROOT = Path(__file__).parents[2]
CODE = re.compile(r'"([YFRTWL]\d{3})"')
SHOWN = re.compile(r"\b([YFRTWL]\d{3})\b")

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
    text = "template: t\nsteps:\n  a: {prompt: x, output: bulets}\n  b: 'from {{ a.name }}'\n"
    assert [p.code for p in lint(text, "t")] == ["F005"]


@pytest.mark.parametrize(
    "mistake",
    [
        "output: {fields: {ok: maybe}}, checks: [expr: ok == 'yes']",
        "repeat: {until: critique.ok, critique: {output: yes_no}}",
        "for_each: 3, as: thing, scaffolds: {light: 'Look at {{ thing }}.'}",
        "order: in_sequenc, system: '{{ previous }} {{ item }}'",
    ],
)
def test_what_depends_on_a_broken_part_of_a_step_is_not_one_more_mistake(mistake: str) -> None:
    assert len(lint(f"template: t\nsteps:\n  a: {{prompt: x, {mistake}}}\n", "t")) == 1


def test_several_mistakes_come_in_the_order_of_the_file() -> None:
    text = "template: t\nfrob: 1\nsteps:\n  a: '{{ x }}'\n  b: '{{ y }}'\n"
    assert [(p.line, p.code) for p in lint(text, "t")] == [(2, "F001"), (4, "T003"), (5, "T003")]


# -- every field of format 1 ------------------------------------------------------------------

EXAMPLES = Path(__file__).parent / "examples"


def example(name: str) -> Template:
    return load((EXAMPLES / f"{name}.yaml").read_text(), f"{name}.yaml")


def test_the_large_examples_load_as_they_are_written() -> None:
    comparison, hops = example("comparison"), example("multi-hop-question")
    assert [step.id for step in comparison.steps] == ["profile", "table", "surprises", "verdict"]
    assert [step.id for step in hops.steps] == [
        "background",
        "answer_hop",
        "verify",
        "fix",
        "draft",
    ]
    assert example("comparison-mini").synthesize is not None


def test_a_vote_among_samples_and_a_condition_over_the_fields_arrive() -> None:
    verdict = example("comparison").step("verdict")
    assert (verdict.samples, verdict.vote) == (3, "winner")
    assert verdict.checks == (
        Check(kind="expr", value="reasons | length >= 2", hint="Give at least two reasons."),
    )


def test_a_condition_over_what_steps_give_is_decided_late() -> None:
    steps = example("multi-hop-question")
    verify, surprises = steps.step("verify"), example("comparison").step("surprises")
    assert (verify.late, verify.reads_item) == (True, ("answer_hop",))
    assert (surprises.late, surprises.reads) == (False, ("profile",))


def test_a_name_that_only_when_reads_can_be_missing() -> None:
    made = template("steps:\n  a: x\n  b: {prompt: y, when: a}\n")
    assert (made.step("b").reads, made.step("b").optional) == (("a",), ("a",))


def test_a_condition_over_the_item_is_decided_late_too() -> None:
    made = template("extract: {items: x}\nsteps: {a: {for_each: items, prompt: y, when: item}}\n")
    assert made.steps[0].late


def test_a_condition_can_ask_what_the_model_can_do() -> None:
    assert not template("steps: {a: {prompt: y, when: capability >= 1}}\n").steps[0].late


def test_fresh_means_no_facts_unless_they_are_asked_for() -> None:
    made = template(
        "steps:\n  a: {prompt: x, fresh: yes}\n  b: {prompt: x, fresh: yes, facts: all}\n"
    )
    assert (made.step("a").facts, made.step("b").facts) == ("none", "all")


def test_a_repeat_has_a_condition_and_a_critique() -> None:
    repeat = example("multi-hop-question").step("draft").repeat
    assert repeat is not None
    assert (repeat.until, repeat.max) == ('critique.ok == "yes"', 2)
    assert repeat.critique is not None
    assert [f.name for f in repeat.critique.output.fields] == ["ok", "problem"]


def test_what_a_critique_reads_comes_before_the_step() -> None:
    made = template(
        "steps:\n"
        "  b: {prompt: x, repeat: {until: critique, critique: 'Does {{ b }} fit {{ a }}?'}}\n"
        "  a: x\n"
    )
    assert [step.id for step in made.steps] == ["a", "b"]
    assert made.step("b").reads == ("a",)


def test_the_short_forms_of_pick_and_use_are_about_the_task() -> None:
    made = template("steps:\n  a: {pick: facts}\n  b: {use: other, needs: a}\n")
    first, second = made.steps
    assert (first.kind, first.text, first.output.kind) == ("pick", "{{ task }}", "list")
    assert first.pick is not None
    assert (first.pick.source, first.pick.top) == ("facts", 3)
    assert (second.kind, second.text, second.output.kind) == ("use", "{{ task }}", "text")
    assert second.use is not None
    assert second.use.template == "other"


def test_the_long_forms_of_pick_and_use_arrive() -> None:
    made = template(
        "extract: {items: x}\nsteps:\n"
        "  a: {pick: {from: items, by: 'sheet[entry].cost', order: lowest, where: entry, top: 1}}\n"
        "  b: {use: {template: other, task: 'About {{ a }}', inputs: {goal: '{{ task }}'}}}\n"
    )
    first, second = made.steps
    assert first.pick is not None
    assert (first.pick.by, first.pick.order, first.output.kind) == (
        "sheet[entry].cost",
        "lowest",
        "text",
    )
    assert second.use is not None
    assert (second.text, second.use.inputs) == ("About {{ a }}", {"goal": "{{ task }}"})
    assert second.reads == ("a",)


def test_picking_from_a_step_reads_it() -> None:
    made = template(
        "steps:\n  b: {pick: {from: a, where: entry.sure}}\n  a: {prompt: x, output: json}\n"
    )
    assert [step.id for step in made.steps] == ["a", "b"]
    assert made.step("b").reads == ("a",)


def test_calculate_gives_a_number() -> None:
    made = template("steps: {a: x, b: {calculate: '{{ a }}'}, c: '{{ b + 1 }}'}\n")
    assert (made.step("b").kind, made.step("b").output) == ("calculate", Output(kind="number"))


def test_another_template_can_be_a_rung() -> None:
    made = template("steps: {a: {prompt: x, on_fail: [retry, use: direct-question]}}\n")
    assert made.steps[0].on_fail == (
        Rung(action="retry"),
        Rung(action="use", value="direct-question"),
    )


def test_a_schema_of_the_allowed_words_arrives_as_it_is() -> None:
    made = template(
        "steps:\n  a:\n    prompt: x\n    output:\n      schema:\n        type: object\n"
        "        properties:\n          name: {type: string, minLength: 1}\n"
        "          tags: {type: array, items: {enum: [a, 1, true]}, maxItems: 3}\n"
        "        required: [name]\n        additionalProperties: false\n"
    )
    assert made.steps[0].output.json_schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "tags": {"type": "array", "items": {"enum": ["a", 1, True]}, "maxItems": 3},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def test_previous_is_a_record_for_each_item_before() -> None:
    made = template(
        "extract: {items: x}\nsteps:\n  a:\n    for_each: items\n    order: in_sequence\n"
        "    prompt: '{% for p in previous %}{{ p.item }}: {{ p.size }}{% endfor %}{{ item }}'\n"
        "    output: {fields: {size: number}}\n"
    )
    assert made.steps[0].order == "in_sequence"


# -- extends ------------------------------------------------------------------------------------

BASE = """\
template: base
version: 1.0.0
match: [compare]
title: Compare things
inputs: {audience: who reads}
extract: {items: the things}
steps:
  profile: {for_each: items, prompt: 'Describe {{ item }} for {{ audience }}.'}
  table: {prompt: 'Compare {{ profile }}', output: {table: [aspect]}, max_tokens: 90}
  contrast: From {{ table }}
synthesize: {render: '{{ contrast }}'}
tests: {one: {task: x}}
"""


def child(fields: str) -> Template:
    return load("template: t\nextends: base\n" + fields, "t.yaml", base=BASE)


def child_mistakes(fields: str, base: str = BASE) -> list[str]:
    text = "template: t\nextends: base\n" + fields
    return [str(p).splitlines()[0] for p in lint(text, "t.yaml", base=base)]


def test_a_child_takes_what_it_does_not_say_from_its_base() -> None:
    made = child("title: Mine\nsteps: {table: {max_tokens: 40}}\n")
    assert (made.template, made.title, made.extends) == ("t", "Mine", "base")
    assert [step.id for step in made.steps] == ["profile", "table", "contrast"]
    table = made.step("table")
    assert (table.text, table.max_tokens) == ("Compare {{ profile }}", 40)


def test_what_is_the_base_s_own_is_not_taken() -> None:
    made = child("title: Mine\n")
    assert (made.version, made.match.keywords) == ("", ())


def test_null_takes_something_out() -> None:
    made = child("steps: {table: null, contrast: 'From {{ profile }}'}\n")
    assert [step.id for step in made.steps] == ["profile", "contrast"]


def test_a_kind_takes_the_place_of_another_kind() -> None:
    made = child("steps: {table: {render: '{{ profile }}', output: {choice: [a, b]}}}\n")
    assert (made.step("table").kind, made.step("table").output.options) == ("render", ("a", "b"))


def test_fields_can_be_laid_over_a_short_form() -> None:
    made = child("steps: {contrast: {max_tokens: 30}}\nextract: {items: {max: 4}}\n")
    assert (made.step("contrast").text, made.step("contrast").max_tokens) == (
        "From {{ table }}",
        30,
    )
    assert (made.extract[0].ask, made.extract[0].max) == ("the things", 4)


def test_a_problem_of_the_merge_stands_at_extends() -> None:
    with pytest.raises(TemplateError) as caught:
        child("steps: {table: null}\n")
    assert str(caught.value) == (
        't.yaml:2:10: error: there is no "table" here [T003]\n'
        " 2 | extends: base\n"
        "   |          ^^^^"
    )


def test_nothing_to_remove_is_a_mistake_with_the_nearest_name() -> None:
    with pytest.raises(TemplateError) as caught:
        child("steps: {tabel: null}\n")
    assert str(caught.value).startswith(
        't.yaml:3:9: error: "base" has no "tabel" here that null could remove [R003]'
    )
    assert 'did you mean "table"?' in str(caught.value)


def test_a_base_that_can_not_be_used_is_one_mistake() -> None:
    assert child_mistakes("", base="") == [
        't.yaml:2:10: error: the template "base" that this one extends is not there [R002]'
    ]
    assert child_mistakes("", base="template: base\nextends: other\nsteps: {a: x}\n") == [
        't.yaml:2:10: error: "base" extends a template itself: one level only [R002]'
    ]
    assert child_mistakes("", base="template: base\nsteps: {a: '{{ b }}'}\n") == [
        't.yaml:2:10: error: "base" has a mistake in line 2: there is no "b" here [R002]'
    ]


def test_warnings_of_the_base_are_not_said_again() -> None:
    base = "template: base\nsteps:\n  a: x\n  b: y\n"
    assert child_mistakes("title: x\n", base=base) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("template: t\nextends: base-1\n", "base-1"),
        ("extends: 'base' # the one\r\ntemplate: t\r\n", "base"),
        ("template: t\nsteps: {a: 'extends: x'}\n", ""),
        ("template: t\n  extends: x\n", ""),
        ("", ""),
    ],
)
def test_the_name_of_the_base_is_found_without_loading(text: str, name: str) -> None:
    assert extended(text) == name


# -- snippets -------------------------------------------------------------------------------------


def test_a_template_s_own_snippet_wins_over_that_of_the_folder() -> None:
    text = (
        "template: t\nsnippets: {tone: Mine.}\nsteps: {a: '{{ snippets.tone }} {{ snippets.b }}'}\n"
    )
    made = load(text, "t.yaml", snippets="tone: Theirs.\nb: Shared.\n")
    assert made.steps[0].text == "Mine. Shared."
    assert made.snippets == {"tone": "Mine."}


def test_a_mistake_in_the_folder_s_snippets_names_their_file() -> None:
    text = "template: t\nsteps: {a: x}\n"
    with pytest.raises(TemplateError) as caught:
        load(text, "t.yaml", snippets="tone: {a: b}\n")
    assert str(caught.value).startswith("_snippets.yaml:1:7: error: this must be a text [F002]")


# -- warnings -------------------------------------------------------------------------------------


def only_warning(text: str) -> str:
    found = warnings(text)
    assert len(found) == 1, found
    return found[0]


def test_an_input_or_a_list_that_nothing_uses_is_warned_of() -> None:
    assert only_warning("template: t\ninputs: {size: how big}\nsteps: {a: x}\n") == (
        't.yaml:2:10: warning: nothing uses the input "size" [W203]\n'
        " 2 | inputs: {size: how big}\n"
        "   |          ^^^^"
    )
    assert "[W203]" in only_warning("template: t\nextract: {items: x}\nsteps: {a: x}\n")


def test_a_list_that_only_a_check_or_a_rule_names_is_used() -> None:
    text = "template: t\nextract: {items: x, sides: y}\nquality: [covers: items]\n"
    text += "complexity: {add: [{when: sides | length > 2, by: 1}]}\nsteps: {a: x}\n"
    assert warnings(text) == []


def test_a_scaffold_that_says_the_prompt_again_is_warned_of() -> None:
    text = "template: t\nsteps:\n  a:\n    prompt: Compare price, speed and comfort of trains.\n"
    text += "    scaffolds: {light: 'Compare the speed, price and comfort of the trains.'}\n"
    assert only_warning(text) == (
        "t.yaml:5:24: warning: this says the prompt again: 5 of its 5 words stand there [W204]\n"
        " 5 |     scaffolds: {light: 'Compare the speed, price and comfort of the trains.'}\n"
        "   |                        " + "^" * 53 + "\n"
        "     = help: say how to do it, not once more what to do"
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{render: x, model: larger}", '"model" does nothing here: render asks no model'),
        ("{use: other, samples: 3}", '"samples" does nothing here: the other template has its own'),
        ("{prompt: x, as: thing}", '"as" does nothing without for_each'),
        (
            "{prompt: x, output: {fields: {b: text}}, vote: b}",
            '"vote" does nothing without samples',
        ),
    ],
)
def test_a_field_that_does_nothing_is_warned_of(step: str, message: str) -> None:
    assert f"warning: {message} [W205]" in only_warning(f"template: t\nsteps: {{a: {step}}}\n")


def test_a_previous_that_is_not_there_in_the_first_round_is_warned_of() -> None:
    text = "template: t\nsteps: {{a: {{prompt: '{}', repeat: {{until: a}}}}}}\n"
    assert "[W206]" in only_warning(text.format("{{ previous }}"))
    assert warnings(text.format("{% if previous %}{{ previous }}{% endif %}")) == []


def test_a_limit_below_the_worst_case_is_warned_of() -> None:
    text = (
        "template: t\nextract: {items: {ask: x, max: 4}}\nlimits: {calls: 20}\nsteps:\n"
        "  a: {for_each: items, prompt: '{{ item }}', samples: 2, on_fail: [retry, skip]}\n"
        "  b: {prompt: '{{ a }}', repeat: {until: critique, max: 1, critique: Good?}}\n"
        "quality: [judge: Good?]\n"
    )
    # a: 4 items x 2 tries x 2 samples; b: 2 rounds x (3 tries + 2 critiques); list 2, probe 1,
    # judge 3.
    assert only_warning(text) == (
        "t.yaml:3:17: warning: in the worst case this makes 32 calls, "
        "but limits.calls is 20 [W301]\n"
        " 3 | limits: {calls: 20}\n"
        "   |                 ^^\n"
        '     = help: the most: step "a", 16'
    )


def test_a_limit_that_nobody_wrote_is_held_against_the_best_case() -> None:
    text = (
        "template: t\nlimits: {items: 50}\nextract: {items: {ask: x, max: MAX}}\n"
        "steps: {a: {for_each: items, prompt: '{{ item }}'}}\n"
    )
    assert warnings(text.replace("MAX", "39")) == []
    assert "with full lists this makes 41 calls" in only_warning(text.replace("MAX", "40"))


# -- codes ----------------------------------------------------------------------------------------


def test_what_goes_wrong_while_a_job_runs_has_a_code_too() -> None:
    with pytest.raises(TemplateError, match=r"\[T010\]"):
        render("{{ there_is_none }}", {})
    with pytest.raises(TemplateError, match=r"\[T011\]"):
        picked(Pick(source="facts"), "cats", {})


def test_every_code_is_explained_and_shown_by_a_test() -> None:
    folders = ("crp", "activities", "workflows")
    files = [f for folder in folders for f in (ROOT / folder).rglob("*.py") if f.name != "codes.py"]
    used = {code for file in files for code in CODE.findall(file.read_text())}
    assert used == set(CODES)
    tests = [*(ROOT / "tests").rglob("test_*.py"), Path(__file__).parent / "broken_templates.txt"]
    shown = {code for file in tests for code in SHOWN.findall(file.read_text())}
    assert sorted(set(CODES) - shown) == []


# -- robustness -----------------------------------------------------------------------------------


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
        "steps: {a: x}\nmatch: {patterns: [" + ",".join(["'x{900}y{900}'"] * 9_000) + "]}\n",
        "snippets: {b: '" + "x" * 19_000 + "'}\nsteps: {a: '" + "{{ snippets.b }}" * 8_000 + "'}",
        "steps: {a: {prompt: x, output: {schema: {required: ["
        + ",".join(f"q{i}" for i in range(3_000))
        + "], properties: {"
        + ",".join(f"p{i}: {{type: string}}" for i in range(3_000))
        + "}}}}}",
        "steps: {a: {prompt: x, checks: ["
        + ",".join(["expr: " + "a and " * 160 + "b"] * 30)
        + "]}}",
        "steps: {a: {prompt: x, output: number " + "1" * 90_000 + "}}",
        "steps: {a: x}\ntests: {t: {task: x, expect: {ran: [" + "b," * 9_000 + "]}}}",
        "steps: {a: x}\nmatch: {patterns: ['" + "(" * 5_000 + "a" + ")" * 5_000 + "']}\n",
    ],
)
def test_no_template_can_hang_the_loader(fields: str) -> None:
    started = time.process_time()
    lint("template: t\n" + fields, "t")
    assert time.process_time() - started < 2


def test_a_text_that_is_too_long_is_refused() -> None:
    found = lint("template: t\nsteps: {a: '" + "word " * 5_000 + "'}\n", "t")
    assert [(p.code, p.message) for p in found] == [
        ("T007", "a text of more than 20,000 characters")
    ]


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
