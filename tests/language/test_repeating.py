"""Items in sequence, rounds with a critique, judges, samples: what such a call sees and asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import JsonValue

from crp.language.asking import names_of, question
from crp.language.bycode import made
from crp.language.envelope import BETWEEN, Envelope, build
from crp.language.judging import judge
from crp.language.repeating import feedback
from crp.language.schema import Check, Output, OutputField, Repeat, Step, Template
from crp.models import Call, Completion, Job, Level, ModelProfile, Task
from crp.stages import Brief

HOPS: list[JsonValue] = ["Who wrote Dune?", "When was [1] born?", "How old was [1] in [2]?"]
ANSWER = Output(
    kind="fields",
    fields=(
        OutputField(name="answer", kind="text"),
        OutputField(name="sure", kind="yes_no"),
    ),
)
HOP = Step(
    id="hop",
    text="{% for p in previous %}[{{ loop.index }}] {{ p.item }} -> {{ p.answer }}\n{% endfor %}"
    "Question: {{ item }}",
    for_each="hops",
    order="in_sequence",
    output=ANSWER,
)
VERIFY = Step(
    id="verify",
    text="{{ item }} -> {{ hop[item].answer }}",
    for_each="hops",
    fresh=True,
    facts="none",
)
CRITIQUE = Step(
    id="draft",
    text="Is this right? {{ draft }}",
    output=Output(
        kind="fields",
        fields=(OutputField(name="ok", kind="yes_no"), OutputField(name="problem", kind="text")),
    ),
)
DRAFT = Step(
    id="draft",
    text="Answer: {{ task }}",
    repeat=Repeat(until='critique.ok == "yes"', critique=CRITIQUE),
    samples=3,
    checks=(Check(kind="judge", value="Is it short?"),),
)
TEMPLATE = Template(template="hops", steps=(HOP, VERIFY, DRAFT))
FIRST: JsonValue = {"answer": "Frank Herbert", "sure": "yes"}
SECOND: JsonValue = {"answer": "1920", "sure": "no"}
BAD: JsonValue = {"ok": "no", "problem": "It names no year."}


def a_brief(template: Template = TEMPLATE, capability: int = 1, **profile: Any) -> Brief:
    return Brief(
        job=Job(
            job_id="1",
            task=Task(text="How old was the author of Dune?", context="# Dune\nA novel of 1965."),
            models={"default": ModelProfile(capability=capability, **profile)},
            submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        ),
        template=template,
        complexity=3,
        names={"hops": HOPS},
    )


def hop(index: int, **outputs: JsonValue) -> Call:
    given: dict[str, JsonValue] = {"hop": dict(outputs)} if outputs else {}
    return Call(stage="execute", step="hop", item=str(HOPS[index]), index=index, outputs=given)


def answered(*answers: JsonValue) -> dict[str, JsonValue]:
    return {str(item): value for item, value in zip(HOPS, answers, strict=False)}


def prompt(call: Call, brief: Brief | None = None) -> str:
    return build(brief or a_brief(), call).messages[-1].content


def of(envelope: Envelope, origin: str) -> str:
    return BETWEEN.join(part.text for part in envelope.parts if part.origin == origin)


# -- in sequence ----------------------------------------------------------------------------------


def test_the_first_item_has_nothing_before_it() -> None:
    assert names_of(a_brief(), hop(0), HOP)["previous"] == []
    assert "->" not in prompt(hop(0))


def test_earlier_items_are_records_in_the_order_of_the_list() -> None:
    call = hop(2, **dict(reversed(answered(FIRST, SECOND).items())))
    assert names_of(a_brief(), call, HOP)["previous"] == [
        {"item": "Who wrote Dune?", "answer": "Frank Herbert", "sure": "yes"},
        {"item": "When was Frank Herbert born?", "answer": "1920", "sure": "no"},
    ]


def test_a_number_in_brackets_becomes_the_answer_to_that_item() -> None:
    assert (
        prompt(hop(2, **answered(FIRST, SECOND)))
        .split("\n\n")[-2]
        .endswith("Question: How old was Frank Herbert in 1920?")
    )


def test_an_item_that_failed_keeps_its_number_and_its_mark() -> None:
    said = prompt(hop(2, **{str(HOPS[1]): SECOND}))
    assert "[1] Who wrote Dune? -> \n[2] When was [1] born? -> 1920" in said
    assert "How old was [1] in 1920?" in said


def test_marks_of_items_to_come_and_of_none_stay() -> None:
    template = TEMPLATE.model_copy(update={"steps": (HOP,)})
    brief = a_brief(template).model_copy(update={"names": {"hops": ["a", "b [2] [7] [0] [x]"]}})
    call = Call(stage="execute", step="hop", item="b [2] [7] [0] [x]", index=1,
                outputs={"hop": {"a": {"answer": "A"}}})  # fmt: skip
    assert names_of(brief, call, HOP)["item"] == "b [2] [7] [0] [x]"


def test_outputs_are_looked_up_by_the_item_as_it_was() -> None:
    outputs: dict[str, JsonValue] = {"hop": answered(FIRST, SECOND)}
    call = Call(stage="execute", step="verify", item=str(HOPS[1]), index=1, outputs=outputs)
    assert prompt(call) == "When was Frank Herbert born? -> 1920"


def test_a_plain_answer_is_called_answer() -> None:
    step = HOP.model_copy(update={"output": Output(kind="line")})
    brief = a_brief(TEMPLATE.model_copy(update={"steps": (step,)}))
    names = names_of(brief, hop(1, **answered("Frank Herbert")), step)
    assert names["previous"] == [{"item": "Who wrote Dune?", "answer": "Frank Herbert"}]
    assert names["item"] == "When was Frank Herbert born?"


def test_a_later_step_that_goes_through_the_list_reads_it_with_its_answers() -> None:
    fix = Step(id="fix", text="{% for q in hops %}{{ q }} {{ hop[q].answer }}\n{% endfor %}")
    brief = a_brief(TEMPLATE.model_copy(update={"steps": (HOP, fix)}))
    call = Call(stage="execute", step="fix", outputs={"hop": answered(FIRST, SECOND)})
    assert made(brief, call).text.split("\n")[:2] == [
        "Who wrote Dune? Frank Herbert",
        "When was Frank Herbert born? 1920",
    ]


def test_a_check_looks_answers_up_by_the_item_as_it_was() -> None:
    checks = (Check(kind="expr", value="hop[item].sure == 'no'"),
              Check(kind="agrees_with", value="hop"))  # fmt: skip
    step = VERIFY.model_copy(update={"checks": checks})
    brief = a_brief(TEMPLATE.model_copy(update={"steps": (HOP, step)}))
    outputs: dict[str, JsonValue] = {"hop": answered(FIRST, {"answer": "1920", "sure": "no"})}
    call = Call(stage="execute", step="verify", item=str(HOPS[1]), index=1, outputs=outputs)
    judged = judge(brief, call, Completion(text="It was 1920."))
    assert {v.check: v.passed for v in judged.verdicts if ":" in v.check} == {
        "expr: hop[item].sure == 'no'": True,
        "agrees_with: hop": True,
    }


# -- fresh ----------------------------------------------------------------------------------------


def test_a_fresh_step_sees_its_instruction_alone() -> None:
    step = Step(id="s", text="Is it so?", fresh=True, facts="none")
    brief = a_brief(Template(template="t", steps=(step,)))
    assert prompt(Call(stage="execute", step="s"), brief) == "Is it so?"


def test_a_fresh_step_gets_the_facts_that_it_asks_for() -> None:
    step = Step(id="s", text="Is it so?", fresh=True, facts="Dune")
    brief = a_brief(Template(template="t", steps=(step,)))
    assert "A novel of 1965" in prompt(Call(stage="execute", step="s"), brief)


# -- rounds ---------------------------------------------------------------------------------------


def test_a_critique_sees_the_answer_under_the_step_s_name() -> None:
    call = Call(stage="execute", step="draft", part="critique", draft="He was 44.")
    asked = question(a_brief(), call)
    assert asked.output == CRITIQUE.output
    assert "Is this right? He was 44." in prompt(call)


def test_the_next_round_hears_what_was_wrong_and_not_the_marks() -> None:
    call = Call(stage="execute", step="draft", round=1, draft="He was old.", critique=BAD)
    envelope = build(a_brief(), call)
    assert of(envelope, "reminder") == "Important: It names no year."
    first = build(a_brief(), call.model_copy(update={"round": 0, "critique": None}))
    assert of(first, "reminder") == ""


def test_a_prompt_that_speaks_of_the_feedback_hears_it_once() -> None:
    text = "{{ task }}{% if feedback %} Before: {{ previous }} Wrong: {{ feedback }}{% endif %}"
    step = DRAFT.model_copy(update={"text": text})
    brief = a_brief(TEMPLATE.model_copy(update={"steps": (step,)}))
    call = Call(stage="execute", step="draft", round=1, draft="Old.", critique=BAD)
    assert "Before: Old. Wrong: It names no year." in prompt(call, brief)
    assert prompt(call, brief).count("no year") == 1
    assert "Before" not in prompt(call.model_copy(update={"round": 0, "critique": None}), brief)


@pytest.mark.parametrize(
    ("critique", "said"),
    [
        ("Too long.", "Too long."),
        (BAD, "It names no year."),
        ({"ok": "no", "problem": None}, "The last answer was not good enough."),
        (["a", "b"], "- a\n- b"),
        (None, ""),
    ],
)
def test_feedback_is_what_a_critique_says_in_words(critique: JsonValue, said: str) -> None:
    assert feedback(DRAFT, critique).strip() == said


# -- judges and samples ---------------------------------------------------------------------------


def test_a_judge_sees_task_answer_and_question_and_nothing_else() -> None:
    call = Call(
        stage="execute", step="draft", part="judge", question="Is it about {{ task }}?",
        draft="He was 44.", level=Level.HEAVY, temperature=0.9,
    )  # fmt: skip
    envelope = build(a_brief(), call)
    assert [part.origin for part in envelope.parts] == ["task", "instruction", "output"]
    assert "He was 44." in of(envelope, "instruction")
    assert "Is it about How old was the author of Dune?" in of(envelope, "instruction")
    assert of(envelope, "output") == "Begin the answer with yes or no."
    assert envelope.temperature == 0


def test_a_judge_may_look_at_a_candidate_of_the_whole_task() -> None:
    call = Call(stage="synthesize", part="judge", question="Is it good?", draft="x " * 30_000)
    envelope = build(a_brief(), call)
    assert "outputs" in envelope.dropped
    assert "Is it good?" in of(envelope, "instruction")


def test_samples_of_a_model_at_zero_get_some_warmth() -> None:
    call = Call(stage="execute", step="draft")
    assert build(a_brief(), call).temperature == 0.7
    assert build(a_brief(temperature=0.2), call).temperature == 0.2
    assert build(a_brief(), call.model_copy(update={"temperature": 0.1})).temperature == 0.1
    assert build(a_brief(), hop(0)).temperature == 0


def test_a_text_may_ask_how_able_the_model_is() -> None:
    assert names_of(a_brief(capability=2), hop(0), HOP)["capability"] == 2
