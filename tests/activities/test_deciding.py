"""The stages without a model: routing that is robust, what code makes, scores."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from crp.errors import NotFound, TemplateError, UsageError
from crp.language.schema import Check, Output, QualityRules, Step, Template
from crp.models import (
    Call,
    Candidate,
    Job,
    Library,
    ModelProfile,
    Task,
    TemplateSource,
)
from crp.stages import Brief
from crp.templates import find_library
from crp_activities.deciding import render, route, score

BROKEN = TemplateSource(name="broken", text="steps: [", sha256="0" * 64)
ASKING = """
format: 1
template: asking
match: [garden]
inputs:
  size: {type: number, help: in square metres, default: 10}
  style: {help: how it looks, choice: [wild, formal], default: wild}
steps:
  plan: "Plan a {{ style }} garden of {{ size }} square metres"
"""


def job(text: str, **task: JsonValue) -> Job:
    return Job(
        job_id="job",
        task=Task(text=text, **task),  # type: ignore[arg-type]
        models={"default": ModelProfile()},
        submitted_at=datetime.now(UTC),
    )


def library(*more: TemplateSource) -> Library:
    box = find_library().library
    asking = TemplateSource(name="asking", text=ASKING, sha256="1" * 64)
    return Library(templates=(*box.templates, asking, *more), scaffolds=box.scaffolds)


def test_a_template_that_this_version_can_not_read_is_passed_over() -> None:
    found = route(job("Compare React and Vue"), library(BROKEN))
    assert found.source.name == "comparison"


def test_a_job_that_asks_for_the_unreadable_one_is_told_why() -> None:
    with pytest.raises(TemplateError, match="broken"):
        route(job("Compare React and Vue", template="broken"), library(BROKEN))


def test_a_name_that_nobody_has_gets_the_nearest_one() -> None:
    with pytest.raises(NotFound, match='did you mean "comparison"'):
        route(job("Compare React and Vue", template="comparisn"), library())


def test_what_fits_nothing_goes_to_the_fallback_and_says_so() -> None:
    found = route(job("Xyzzy plugh quux"), library())
    assert (found.source.name, found.matched) == ("generic-analysis", False)


def test_inputs_have_defaults_and_are_checked() -> None:
    assert route(job("garden"), library()).names["size"] == 10
    assert route(job("garden", inputs={"size": "12.5"}), library()).names["size"] == 12.5
    with pytest.raises(UsageError, match="is a number, not 'big'"):
        route(job("garden", inputs={"size": "big"}), library())
    with pytest.raises(UsageError, match="one of wild, formal"):
        route(job("garden", inputs={"style": "tidy"}), library())
    with pytest.raises(UsageError, match="has no input 'colour'"):
        route(job("garden", inputs={"colour": "green"}), library())


def test_a_list_may_be_given_instead_of_found() -> None:
    found = route(job("Compare things", template="comparison", inputs={"items": "A, B"}), library())
    assert found.names["items"] == ["A", "B"]


def test_a_list_is_held_to_the_limit_of_the_template_and_that_is_told() -> None:
    many = ", ".join(f"thing {n}" for n in range(3000))
    found = route(job("Compare things", template="comparison", inputs={"items": many}), library())
    assert found.names["items"] == [f"thing {n}" for n in range(6)]
    assert found.notes == ("items: the first 6 of 3000 are used, the template's limit",)


def test_a_template_is_read_with_what_it_extends_and_with_the_shared_snippets() -> None:
    text = "format: 1\ntemplate: mine\nextends: asking\nsteps:\n  more: '{{ snippets.tone }}'\n"
    mine = TemplateSource(name="mine", text=text, sha256="2" * 64, base=ASKING)
    shared = library(mine).model_copy(update={"snippets": "tone: Be kind.\n"})
    found = route(job("garden", template="mine"), shared)
    assert [step.id for step in found.template.steps] == ["plan", "more"]
    assert found.template.step("more").text == "Be kind."
    assert found.names["size"] == 10


# -- what code makes ------------------------------------------------------------------------------


def a_brief(*steps: Step, **more: object) -> Brief:
    template = Template(template="t", steps=steps, **more)  # type: ignore[arg-type]
    return Brief(job=job("How much?"), template=template, complexity=3, names={"items": ["a"]})


def a_sum(text: str, **check: str) -> Step:
    checks = (Check(kind="expr", value="s > 10", **check),)  # type: ignore[arg-type]
    return Step(id="s", kind="calculate", text=text, output=Output(kind="number"), checks=checks)


def call(**more: object) -> Call:
    return Call(**{"stage": "execute", "step": "s", **more})  # type: ignore[arg-type]


def test_what_code_makes_is_an_attempt_like_another() -> None:
    attempt = render(a_brief(a_sum("3 * 4")), call(within="outer", number=2))
    assert (attempt.status, attempt.value, attempt.output) == ("ok", 12, "12")
    assert (attempt.step, attempt.number, attempt.quality) == ("outer>s", 2, 1.0)
    assert attempt.usable


def test_a_failed_check_or_an_unworkable_sum_is_a_failed_attempt() -> None:
    low = render(a_brief(a_sum("3 * 3")), call())
    assert (low.status, low.value, low.stop) == ("content", 9, False)
    assert render(a_brief(a_sum("3 * 3", otherwise="stop")), call()).stop
    assert render(a_brief(a_sum("3 * 3", otherwise="warn")), call()).status == "ok"
    broken = render(a_brief(a_sum("3 / 0")), call())
    assert (broken.status, broken.error, broken.usable) == ("content", "it divides by zero", False)


def test_a_text_that_comes_out_empty_is_a_failed_attempt() -> None:
    step = Step(id="s", kind="render", text="{% if nothing %}x{% endif %}")
    assert render(a_brief(step), call()).error == "the text came out empty"


def test_a_decision_is_yes_or_no_and_its_value_true_or_false() -> None:
    step = Step(id="s", text="x", when="items | length > 3")
    attempt = render(a_brief(step), call(part="when"))
    assert (attempt.status, attempt.value, attempt.output) == ("ok", False, "no")


def test_what_another_template_made_is_held_to_the_step() -> None:
    step = Step(
        id="s", text="x", output=Output(kind="number"), checks=(Check(kind="expr", value="s > 10"),)
    )
    attempts = [
        render(a_brief(step), call(part="check", draft=draft))
        for draft in ("It is 12.", "It is 9.", "None.")
    ]
    assert [a.status for a in attempts] == ["ok", "content", "content"]
    assert [a.value for a in attempts] == [12, 9, None]
    assert attempts[0].part == "check"


def test_a_score_hears_the_judge_and_knows_only_the_outputs_that_are_there() -> None:
    rules = QualityRules(
        score=(
            Check(kind="judge", value="Is it good?"),
            Check(kind="expr", value="capability == 1 and complexity == 3"),
            Check(kind="expr", value="s > 10"),
        )
    )
    brief = a_brief(a_sum("3 * 4"), quality=rules)
    text = "Twelve of them, which is more than ten and fewer than twenty by any count."
    candidate = Candidate(kind="joined", text=text, judged={"Is it good?": 1.0})
    (with_step,) = score(brief, (candidate,), {"s": 12})
    (without,) = score(brief, (candidate,), {})
    asked = [[p.check for p in found.parts if p.weight] for found in (with_step, without)]
    assert len(asked[0]) == 3
    assert asked[1] == ["judge: Is it good?", "expr: capability == 1 and complexity == 3"]
