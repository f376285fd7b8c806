"""Plans: complexity, levels, fan-out, cutting, costs, and a model's own list of steps."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from crp.errors import UsageError
from crp.language.load import load
from crp.language.plan import (
    complexity_of,
    make_plan,
    outline_template,
    parse_outline,
    start_level,
)
from crp.language.schema import DEFAULT_LADDER, Template
from crp.language.text import render
from crp.models import Job, Level, MetaLearningConfig, ModelProfile, Plan, Task
from crp.stages import Brief, PlanRequest

COMPARISON = load(
    """
template: t
complexity:
  base: 3
  add:
    - {when: items | length > 3, by: 1}
    - {when: context | length > 100, by: 2}
extract: {items: {ask: x, min: 2}, aspects: y}
on_fail: [retry, accept_best]
steps:
  profile:
    title: Study each thing
    for_each: items
    prompt: "Describe {{ item }}. Be brief."
    max_tokens: 100
  weigh:
    for_each: items
    prompt: "{{ profile[item] }} Weigh {{ item }} on {{ aspects }}."
    scaffold: light
  contrast:
    prompt: "{{ profile }} Compare {{ items }}."
    on_fail: [skip]
  join:
    render: "{% if contrast %}{{ contrast }}{% endif %}{{ weigh }}"
synthesize: {render: "{{ join }}"}
""",
    "t.yaml",
)
ITEMS: list[JsonValue] = ["React", "Vue", "Angular"]
NAMES: dict[str, JsonValue] = {"items": ITEMS, "aspects": ["price"]}


def brief(
    template: Template = COMPARISON,
    names: dict[str, JsonValue] = NAMES,
    capability: int = 0,
    level: str = "auto",
) -> Brief:
    job = Job(
        job_id="j",
        task=Task(text="Compare them"),
        config=MetaLearningConfig.model_validate({"scaffold_level": level}),
        models={"default": ModelProfile(capability=capability, max_tokens=300)},
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Brief(job=job, template=template, complexity=3, names=names)


def plan(most: int = 10, **options: object) -> Plan:
    return make_plan(brief(**options), PlanRequest(max_steps=most))  # type: ignore[arg-type]


# -- complexity and levels ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "names", "complexity"),
    [
        (Task(text="x"), {}, 3),
        (Task(text="x"), {"items": ["a"] * 3}, 3),
        (Task(text="x"), {"items": ["a"] * 4}, 4),
        (Task(text="x", context="c" * 101), {"items": ["a"] * 4}, 5),
        (Task(text="x", context="c" * 101), {}, 5),
        (Task(text="x", complexity=1), {"items": ["a"] * 4}, 1),
    ],
)
def test_complexity_is_the_base_and_the_rules_whose_names_are_known(
    task: Task, names: dict[str, JsonValue], complexity: int
) -> None:
    assert complexity_of(COMPARISON, task, names) == complexity


def test_auto_starts_by_capability() -> None:
    levels = [start_level("auto", "auto", capability) for capability in range(4)]
    assert levels == [Level.HEAVY, Level.HEAVY, Level.LIGHT, Level.NONE]


def test_an_own_word_of_the_step_wins_over_config_and_config_over_auto() -> None:
    words = ("none", "light", "medium", "heavy")
    for step, config, capability in product(words, ("auto", *words), range(4)):
        assert start_level(step, config, capability) is Level.named(step)
    for config, capability in product(words, range(4)):
        assert start_level("auto", config, capability) is Level.named(config)


# -- fan-out ------------------------------------------------------------------------------


def test_a_step_is_fanned_out_over_its_list() -> None:
    made = plan()
    assert [step.id for step in made.steps] == [
        "profile/React",
        "profile/Vue",
        "profile/Angular",
        "weigh/React",
        "weigh/Vue",
        "weigh/Angular",
        "contrast",
        "join",
    ]
    first = made.steps[0]
    assert (first.step, first.item, first.index) == ("profile", "React", 0)
    assert first.title == "Study each thing: React"
    assert first.description == "Describe React."


def test_needs_are_those_of_the_item_where_only_its_answer_is_read() -> None:
    made = plan()
    assert made.step("weigh/Vue").needs == ("profile/Vue",)
    assert made.step("contrast").needs == ("profile/React", "profile/Vue", "profile/Angular")


def test_needs_that_the_text_guards_are_optional() -> None:
    join = plan().step("join")
    assert join.optional_needs == ("contrast",)
    assert set(join.needs) == {"contrast", "weigh/React", "weigh/Vue", "weigh/Angular"}


def test_a_description_is_the_first_sentence_that_needs_no_earlier_answer() -> None:
    template = load("template: t\nsteps:\n  a: x\n  b: '{{ a }}. Now say it.'\n", "t")
    assert plan(template=template).step("b").description == "Now say it."


def test_ladder_level_and_length_come_from_step_template_and_model() -> None:
    made = plan(capability=2)
    assert [rung.action for rung in made.step("profile/Vue").ladder] == ["retry", "accept_best"]
    assert [rung.action for rung in made.step("contrast").ladder] == ["skip"]
    assert (made.step("profile/Vue").max_tokens, made.step("contrast").max_tokens) == (100, 300)
    assert made.step("profile/Vue").level is Level.LIGHT
    assert plan(capability=2, level="medium").step("profile/Vue").level is Level.MEDIUM
    assert plan(level="heavy").step("weigh/Vue").level is Level.LIGHT


def test_a_step_without_a_ladder_anywhere_gets_the_default_and_a_rendered_one_needs_none() -> None:
    template = load("template: t\nsteps:\n  a: x\n  b: {render: '{{ a }}'}\n", "t")
    made = plan(template=template)
    assert made.step("a").ladder == DEFAULT_LADDER
    assert (made.step("b").ladder, made.step("b").level) == ((), Level.NONE)


# -- cutting ------------------------------------------------------------------------------


@pytest.mark.parametrize("most", range(1, 10))
def test_a_plan_never_asks_more_than_allowed_and_keeps_its_conclusion(most: int) -> None:
    made = plan(most)
    assert sum(step.kind == "prompt" for step in made.steps) <= most
    assert made.steps[-1].id == "join"
    assert len(made.steps) + len(made.cut) == 8
    ids = {step.id for step in made.steps}
    assert all(need in ids for step in made.steps for need in step.needs)


def test_the_last_items_go_first_and_from_every_step_over_the_list() -> None:
    made = plan(6)
    assert made.cut == ("Study each thing: Angular", "Weigh: Angular")


def test_steps_that_can_be_missed_go_before_a_list_gets_shorter_than_its_minimum() -> None:
    made = plan(4)
    assert [step.id for step in made.steps if step.step == "profile"] == [
        "profile/React",
        "profile/Vue",
    ]
    assert made.cut[-1] == "Contrast"


def test_steps_of_code_are_free_and_pieces_of_a_text_count_as_one_step() -> None:
    template = load(
        "template: t\nextract: {lines: {find: sentences, max: 9}}\n"
        "steps:\n  near: {for_each: lines, pick: {from: lines, about: '{{ item }}'}}\n"
        "  say: {for_each: lines, prompt: 'Say {{ near[item] }}.'}\n",
        "t",
    )
    made = plan(2, template=template, names={"lines": ["a", "b", "c"]})
    assert (len(made.steps), made.cut) == (6, ())


def test_a_fan_out_over_nothing_is_an_error_when_nothing_else_is_left() -> None:
    template = load(
        "template: t\nextract: {items: x}\nsteps: {a: {for_each: items, prompt: x}}\n", "t"
    )
    with pytest.raises(UsageError, match="no steps"):
        plan(template=template, names={})


# -- costs --------------------------------------------------------------------------------


def test_the_worst_case_climbs_every_ladder_to_its_end() -> None:
    made = plan()
    assert made.calls_likely == 7  # join is rendered, and so is the answer
    assert made.calls_worst == 6 * 2 + 1
    assert 0 < made.tokens_likely < made.tokens_worst


def test_costs_are_bounded_by_the_limits_of_the_template() -> None:
    template = load("template: t\nlimits: {calls: 2, tokens: 100}\nsteps: {a: x}\n", "t")
    made = plan(template=template)
    assert (made.calls_likely, made.calls_worst) == (1, 2)
    assert (made.tokens_likely, made.tokens_worst) == (100, 100)


def test_an_answer_that_a_model_writes_is_a_call() -> None:
    template = load("template: t\nsteps: {a: x}\nsynthesize: 'Join {{ a }}'\n", "t")
    assert plan(template=template).calls_likely == 2


# -- a plan that a model wrote ------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("1. Define it\n2. Explain it", ["Define it", "Explain it"]),
        ("1) Define it\n2) Explain it", ["Define it", "Explain it"]),
        ("(1) Define it\n(2) Explain it", ["Define it", "Explain it"]),
        ("1.Define\n2.Explain", ["Define", "Explain"]),
        ("Step 1: Define it\nStep 2: Explain it", ["Define it", "Explain it"]),
        ("STEP 1 - Define it\nstep two: Explain it", ["Define it", "Explain it"]),
        ("- Define it\n- Explain it", ["Define it", "Explain it"]),
        ("* Define it\n• Explain it", ["Define it", "Explain it"]),
        (
            "1. **Define**: say what it is\n2. **Explain** it",
            ["Define: say what it is", "Explain it"],
        ),
        ("**1. Define it**\n**2. Explain it**", ["Define it", "Explain it"]),
        ("**Step 1:** Define\n**Step 2:** Explain", ["Define", "Explain"]),
        ("### Step 1: Define\nSome text.\n### Step 2: Explain", ["Define", "Explain"]),
        ("1. 3D rendering of 2 parts\n2. 2024 review", ["3D rendering of 2 parts", "2024 review"]),
        ("3D rendering\n2D drawing", []),
        ("Sure! Here is a plan:\n\n1. A\n   - sub point\n2. B\n\nGood luck!", ["A", "B"]),
        ('["Define it", "Explain it"]', ["Define it", "Explain it"]),
        ('Here:\n```json\n["A", "B"]\n```\nDone.', ["A", "B"]),
        ('[{"step": 1, "description": "A"}, {"step": 2, "description": "B"}]', ["A", "B"]),
        ('{"steps": ["A", "B"]}', ["A", "B"]),
        ("```\n1. A\n2. B\n```", ["A", "B"]),
        ("1. A\n1. A\n2. B\n3. ---", ["A", "B"]),
        ("I would think about it.", []),
        ("", []),
        ("It costs 1.5 euros.\n2.5 is more.", []),
    ],
)
def test_the_list_of_steps_is_read_as_models_write_it(written: str, steps: list[str]) -> None:
    assert parse_outline(written) == steps


def test_at_most_ten_steps_are_read() -> None:
    assert len(parse_outline("\n".join(f"{i}. part {i}" for i in range(1, 30)))) == 10


@pytest.mark.parametrize(
    "written", ["[" * 20_000, "1. " * 9_000, "**" * 9_000, "- " * 9_000, "_`" * 9_000]
)
def test_no_answer_can_hang_the_reader(written: str) -> None:
    started = time.process_time()
    parse_outline(written)
    assert time.process_time() - started < 1


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="12.)-*[]{}\"':,Step ab\n#`", max_size=80))
def test_whatever_a_model_writes_gives_different_steps_with_words(written: str) -> None:
    steps = parse_outline(written)
    assert len(steps) == len(set(steps)) <= 10
    assert all(step.strip() == step != "" for step in steps)


def test_what_a_model_wrote_is_never_parsed_as_a_template() -> None:
    steps = ["Add {{ 9 * 9 }}", "{% for x in y %}"]
    template = outline_template(steps)
    first, second = template.steps
    names: dict[str, JsonValue] = {"outline": list(steps), "part_1": "It is {{ x }}."}
    assert render(first.text, names) == "Do only this part of the task: Add {{ 9 * 9 }}"
    assert "{% for x in y %}" in render(second.text, names)
    assert "It is {{ x }}." in render(second.text, names)


def test_each_planned_part_reads_the_one_before_it() -> None:
    template = outline_template(["a", "b", "c"])
    made = plan(template=template, names={"outline": ["a", "b", "c"]})
    assert [step.needs for step in made.steps] == [(), ("part_1",), ("part_2",)]
    assert made.step("part_2").description == "Do only this part of the task: b"
    assert template.synthesize is not None
    joined = render(template.synthesize.text, {"part_1": "One.", "part_3": "Three."})
    assert joined == "One.\n\nThree."


def test_a_plan_of_no_steps_is_refused() -> None:
    with pytest.raises(UsageError):
        outline_template([])
