"""Steps without a model: texts, sums, choices, decisions, the tasks of parts, the joined answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language.bycode import Made, Unworkable, made
from crp.language.judging import judge
from crp.language.schema import Check, Output, Pick, Repeat, Step, Template, Use
from crp.models import Call, Completion, Job, ModelProfile, Task
from crp.stages import Brief

FACTS = "# Aero\nIt weighs 1.2 kg.\n\n# Bolt\nIt weighs 1.8 kg."


def a_brief(*steps: Step, **more: Any) -> Brief:
    return Brief(
        job=Job(
            job_id="1",
            task=Task(text="How heavy is the Bolt?", context=FACTS),
            models={"default": ModelProfile()},
            submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        ),
        template=Template(template="t", steps=steps, **more),
        complexity=3,
        names={"items": ["Aero", "Bolt"], "count": 2},
    )


def of(step: Step, **call: Any) -> Made:
    return made(a_brief(step), Call(**{"stage": "execute", "step": step.id, **call}))


# -- calculate ------------------------------------------------------------------------------------


def a_sum(text: str, **output: Any) -> Made:
    step = Step(
        id="sum", kind="calculate", text=text, output=Output(**{"kind": "number", **output})
    )
    return of(step, outputs={"setup": "total = 3 * 4.5\n"})


def test_a_sum_is_worked_out_from_what_a_step_set_up() -> None:
    assert a_sum("{{ setup }}")[:2] == ("13.5", 13.5)
    assert a_sum("{{ count }} * 4")[:2] == ("8", 8)


def test_a_sum_that_is_not_in_the_declared_form_says_so() -> None:
    with pytest.raises(Unworkable, match=r"is 13\.5: not a whole number"):
        a_sum("{{ setup }}", kind="integer")
    with pytest.raises(Unworkable, match=r"is 13\.5: not in number 0-10"):
        a_sum("{{ setup }}", low=0, high=10)
    with pytest.raises(Unworkable, match="not an expression"):
        a_sum("nothing")


# -- pick -----------------------------------------------------------------------------------------


def a_choice(output: str, about: str = "{{ task }}", **pick: Any) -> Made:
    kind: Any = output
    return of(Step(id="p", kind="pick", text=about, pick=Pick(**pick), output=Output(kind=kind)))


@pytest.mark.parametrize(
    ("output", "text", "value"),
    [
        ("list", "Bolt\nAero", ["Bolt", "Aero"]),
        ("bullets", "- Bolt\n- Aero", ["Bolt", "Aero"]),
        ("numbered", "1. Bolt\n2. Aero", ["Bolt", "Aero"]),
        ("line", "Bolt; Aero", "Bolt; Aero"),
        ("text", "Bolt\n\nAero", "Bolt\n\nAero"),
    ],
)
def test_a_choice_has_the_form_of_its_output(output: str, text: str, value: JsonValue) -> None:
    assert a_choice(output, source="items")[:2] == (text, value)


def test_the_best_passage_of_the_facts_is_one_text() -> None:
    assert a_choice("text", top=1).value == "Bolt: It weighs 1.8 kg."


def test_facts_about_something_else_are_taken_with_a_remark() -> None:
    (verdict,) = a_choice("list", about="zebras").verdicts
    assert verdict.passed
    assert verdict.score == 0
    assert "zebras" in verdict.detail


# -- use, and the rung `use` ----------------------------------------------------------------------


def test_a_part_gets_its_task_and_its_inputs() -> None:
    use = Use(
        template="other",
        inputs={"items": "{{ items }}", "count": "{{ count }}", "who": "for {{ count }} people"},
    )
    found = of(Step(id="u", kind="use", text="About {{ items }}", use=use))
    assert found.text == "About Aero and Bolt"
    assert found.value == {
        "task": "About Aero and Bolt",
        "inputs": {"items": ["Aero", "Bolt"], "count": 2, "who": "for 2 people"},
    }


def test_the_prompt_of_a_step_is_the_task_of_the_template_that_answers_it() -> None:
    step = Step(id="p", text="Weigh {{ item }}.", for_each="items")
    assert of(step, item="Bolt", use="other").text == "Weigh Bolt."
    answer = Step(id="answer", text="Join {{ p }}.")
    brief = a_brief(step, synthesize=answer)
    call = Call(stage="synthesize", use="other", outputs={"p": {"Aero": "1", "Bolt": "2"}})
    assert made(brief, call).text == "Join Aero: 1\nBolt: 2."


# -- decisions ------------------------------------------------------------------------------------


def test_when_is_decided_for_the_item() -> None:
    step = Step(id="v", text="x", for_each="items", when='hop[item].sure == "no"')
    hop: JsonValue = {"Aero": {"sure": "no"}, "Bolt": {"sure": "yes"}}
    decided = [
        of(step, part="when", item=item, outputs={"hop": hop})[:2] for item in ("Aero", "Bolt", "C")
    ]
    assert decided == [("yes", True), ("no", False), ("no", False)]


def test_until_reads_the_critique_and_the_step_s_own_answer() -> None:
    step = Step(id="d", text="x", repeat=Repeat(until='critique.ok == "yes" and d | words < 9'))
    good = of(step, part="until", draft="He was 44.", critique={"ok": "yes"})
    assert good.value is True
    assert of(step, part="until", draft="He was 44.", critique={"ok": "no"}).value is False
    assert of(step, part="until", draft="He was 44.", critique=None).value is False


# -- checks of what code made ---------------------------------------------------------------------


def test_what_code_made_is_checked_by_the_step_s_own_checks() -> None:
    checks = (Check(kind="expr", value="r > 10"), Check(kind="words", value="9+", otherwise="warn"))
    step = Step(id="r", kind="calculate", text="3 * 4", output=Output(kind="number"), checks=checks)
    good, warned = of(step).verdicts
    assert (good.passed, warned.passed, warned.score < 1) == (True, True, True)
    low = step.model_copy(update={"text": "3 * 3"})
    assert [verdict.passed for verdict in of(low).verdicts] == [False, True]


def test_a_text_that_can_not_be_filled_in_is_an_error() -> None:
    with pytest.raises(TemplateError):
        of(Step(id="r", kind="render", text="{{ nothing }}"))


# -- the joined answer ----------------------------------------------------------------------------


def test_the_last_step_is_the_answer_where_nothing_joins() -> None:
    brief = a_brief(Step(id="a", text="x"), Step(id="b", text="y"))
    call = Call(stage="synthesize", outputs={"a": "One.", "b": ["two", "three"]})
    assert made(brief, call).text == "- two\n- three"


# -- what comes back from another template --------------------------------------------------------


def test_a_candidate_is_judged_by_fields_and_by_the_step_s_own_name() -> None:
    checks = tuple(
        Check(kind="expr", value=value)
        for value in ("answer | length < 5", "v.answer == answer", "missing == 1")
    )
    output = Output.model_validate(
        {"kind": "fields", "fields": [{"name": "answer", "kind": "text"}]}
    )
    step = Step(id="v", text="x", output=output, checks=checks)
    call = Call(stage="execute", step="v")
    judged = judge(a_brief(step), call, Completion(text='{"answer": "forty-four"}'))
    passed = {verdict.check: verdict.passed for verdict in judged.verdicts}
    assert passed["expr: answer | length < 5"] is False
    assert passed["expr: v.answer == answer"] is True
    assert "expr: missing == 1" not in passed
