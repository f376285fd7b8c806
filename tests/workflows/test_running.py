"""How one planned step is carried out: conditions, sequences, samples, judges, rounds, parts."""

from __future__ import annotations

from typing import Any

from crp.models import Pressure, Task
from tests.workflows.jobs import Bench, Ran

TASK = "Plan my garden"
FORCED = Task(text=TASK, orc="on", pressure=Pressure.NONE)
HEAD = """
format: 1
template: garden
match: {keywords: [garden]}
complexity: 3
"""
PLANTS = """
inputs:
  plants: {type: list of text, default: [rose, oak, fern]}
"""


def statuses(ran: Ran) -> dict[str, str]:
    return {step.id: step.status for step in ran.result.steps}


def outputs(ran: Ran) -> dict[str, Any]:
    return {step.id: step.value for step in ran.result.steps}


async def run(bench: Bench, script: Any, steps: str, *more: str, **how: Any) -> Ran:
    return await bench.run(script, FORCED, HEAD + steps, *more, **how)


# -- when ------------------------------------------------------------------------------

SURE = (
    PLANTS
    + """
steps:
  guess:
    for_each: plants
    prompt: "How tall is a {{ item }}?"
    output:
      fields: {answer: text, sure: yes_no}
    scaffold: none
  look_up:
    for_each: plants
    when: guess[item].sure == "no"
    prompt: "LOOK UP the height of a {{ item }}."
    output: line
    scaffold: none
  sum_up:
    render: |
      {% for p in plants %}
      {{ p }}: {{ look_up[p] | default(guess[p].answer) }}
      {% endfor %}
"""
)


async def test_a_condition_on_an_answer_is_decided_for_each_item_when_its_turn_comes(
    bench: Bench,
) -> None:
    script = {
        "LOOK UP the height of a oak": "30 m",
        "a rose": '{"answer": "1 m", "sure": "yes"}',
        "a oak": '{"answer": "5 m", "sure": "no"}',
        "a fern": '{"answer": "half a metre", "sure": "yes"}',
    }
    ran = await run(bench, script, SURE)
    found = statuses(ran)
    assert [found[f"look_up/{p}"] for p in ("rose", "oak", "fern")] == [
        "unneeded",
        "done",
        "unneeded",
    ]
    assert ran.result.status == "completed"
    assert ran.result.answer.split("\n") == ["rose: 1 m", "oak: 30 m", "fern: half a metre"]
    assert ran.model.calls == 4


# -- sequences ------------------------------------------------------------------------------

HOPS = """
inputs:
  hops: {type: list of text, default: [Who wrote Dune?, "In which year was [1] born?"]}
steps:
  hop:
    for_each: hops
    order: in_sequence
    prompt: |
      {% for p in previous %}[{{ loop.index }}] {{ p.item }} -> {{ p.answer }}
      {% endfor %}
      Question: {{ item }}
    output: line
    scaffold: none
"""


async def test_items_in_sequence_see_the_answers_before_them(bench: Bench) -> None:
    script = {"Question: In which": "1920", "Question: Who": "Frank Herbert"}
    ran = await run(bench, script, HOPS)
    second = ran.prompts_of("Question: In which")[0]
    assert "[1] Who wrote Dune? -> Frank Herbert" in second
    assert "Question: In which year was Frank Herbert born?" in second
    assert statuses(ran) == {
        "hop/Who wrote Dune?": "done",
        "hop/In which year was [1] born?": "done",
    }


async def test_an_item_that_failed_does_not_stop_the_sequence(bench: Bench) -> None:
    steps = HOPS + "    on_fail: [skip]\n    checks: [{not_mentions: sorry}]\n"
    script = {"Question: In which": "1920", "Question: Who": "sorry"}
    ran = await run(bench, script, steps)
    assert list(statuses(ran).values()) == ["skipped", "done"]
    prompt = ran.prompts_of("Question: In which")[0]
    assert "[1] Who wrote Dune? -> \n" in prompt
    assert "In which year was [1] born?" in prompt


# -- samples ------------------------------------------------------------------------------

VOTED = """
steps:
  pick_one:
    prompt: "Which tree is tallest?"
    output:
      fields: {tree: text, why: text}
    samples: 3
    vote: tree
    scaffold: none
"""


async def test_several_samples_vote_and_most_win_however_they_write_it(bench: Bench) -> None:
    lines = [
        '{"tree": "Oak", "why": "a"}',
        '{"tree": "fir", "why": "b"}',
        '{"tree": "the fir.", "why": "c"}',
    ]
    ran = await run(bench, {"tallest": lines}, VOTED)
    assert outputs(ran)["pick_one"]["tree"] in ("fir", "the fir.")
    assert ran.model.calls == 3
    assert {r.temperature for r in ran.model.requests} == {0.7}
    assert "voted" in ran.kinds
    assert ran.result.steps[0].attempts == 1


async def test_an_answer_that_fails_its_checks_has_no_vote(bench: Bench) -> None:
    lines = ["nothing", "nothing", '{"tree": "fir", "why": "b"}']
    ran = await run(bench, {"tallest": lines}, VOTED)
    assert outputs(ran)["pick_one"] == {"tree": "fir", "why": "b"}
    assert statuses(ran) == {"pick_one": "done"}


async def test_when_no_sample_is_good_the_ladder_is_climbed(bench: Bench) -> None:
    lines = ["nothing"] * 3 + ['{"tree": "fir", "why": "b"}'] * 3
    ran = await run(bench, {"tallest": lines}, VOTED)
    assert statuses(ran) == {"pick_one": "done"}
    assert (ran.model.calls, ran.result.steps[0].attempts) == (6, 2)


# -- judges ------------------------------------------------------------------------------

JUDGED = """
steps:
  advice:
    prompt: "Give ADVICE."
    checks:
      - judge: Is the advice about water?
        hint: Speak of water.
    scaffold: none
"""
DRY, WET = "Put the roses into the shade.", "Water the roses in the evening."


async def test_a_judge_that_says_no_sends_the_step_up_the_ladder(bench: Bench) -> None:
    script = {"Is the advice about water?": ["No.", "Yes."], "Give ADVICE": [DRY, WET]}
    ran = await run(bench, script, JUDGED)
    assert ran.result.answer == WET
    asked = ran.prompts_of("Is the advice about water?")
    assert (len(asked), DRY in asked[0], WET in asked[1]) == (2, True, True)
    assert "Speak of water." in ran.prompts_of("Give ADVICE")[1]
    assert ran.result.steps[0].attempts == 2
    assert ran.result.usage.calls == 4


async def test_a_model_of_capability_0_is_not_asked_to_judge(bench: Bench) -> None:
    ran = await run(bench, {"Give ADVICE": DRY}, JUDGED, capability=0, orc_min_model_capability=0)
    assert (ran.result.answer, ran.model.calls) == (DRY, 1)


async def test_a_judge_of_the_quality_is_asked_once_for_each_candidate(bench: Bench) -> None:
    steps = """
steps:
  advice: {prompt: Give ADVICE., scaffold: none}
quality:
  - judge: Is the advice about water?
"""
    script = {"Is the advice about water?": "yes", "Give ADVICE": WET}
    ran = await bench.run(script, FORCED, HEAD.replace("complexity: 3", "complexity: 1") + steps)
    assert ran.result.quality == 1.0
    assert len(ran.prompts_of("Is the advice about water?")) == len(ran.result.scores) == 1


# -- repeat ------------------------------------------------------------------------------

REPEATED = """
steps:
  draft:
    prompt: "Write a DRAFT."
    scaffold: none
    repeat:
      until: critique.ok == "yes"
      max: 2
      critique:
        prompt: "LOOK at {{ draft }}"
        output:
          fields: {ok: yes_no, problem: text?}
"""
BAD = '{"ok": "no", "problem": "It says nothing of water."}'
FINE = '{"ok": "yes", "problem": null}'


async def test_a_draft_is_written_again_until_the_critique_is_content(bench: Bench) -> None:
    ran = await run(bench, {"LOOK at": [BAD, FINE], "DRAFT": [DRY, WET]}, REPEATED)
    assert ran.result.answer == WET
    assert DRY in ran.prompts_of("LOOK at")[0]
    again = ran.prompts_of("Write a DRAFT")[1]
    assert "It says nothing of water." in again
    assert (ran.result.usage.calls, ran.result.steps[0].attempts) == (4, 2)


async def test_rounds_end_at_their_most_and_the_last_draft_is_taken(bench: Bench) -> None:
    ran = await run(bench, {"LOOK at": BAD, "DRAFT": [DRY, WET, DRY]}, REPEATED)
    assert ran.result.answer == DRY
    assert len(ran.prompts_of("Write a DRAFT")) == 3


async def test_a_round_that_gives_nothing_keeps_the_draft_before_it(bench: Bench) -> None:
    ran = await run(bench, {"LOOK at": BAD, "DRAFT": [DRY, "", "", ""]}, REPEATED)
    assert (ran.result.answer, statuses(ran)) == (DRY, {"draft": "done"})


async def test_a_critique_that_nobody_can_read_ends_the_rounds(bench: Bench) -> None:
    ran = await run(bench, {"LOOK at": "hm", "DRAFT": [DRY]}, REPEATED)
    assert ran.result.answer == DRY


# -- by code ------------------------------------------------------------------------------


async def test_a_sum_is_set_up_by_the_model_and_worked_out_by_code(bench: Bench) -> None:
    steps = """
steps:
  setup: {prompt: "Write the SUM.", output: line, scaffold: none}
  total: {calculate: "{{ setup }}"}
  say: {render: "You need {{ total }} plants."}
"""
    ran = await run(bench, {"SUM": "3 rows * 12.5 = 40"}, steps)
    assert (ran.result.answer, ran.model.calls) == ("You need 37.5 plants.", 1)


async def test_passages_are_picked_by_code(bench: Bench) -> None:
    steps = """
steps:
  found: {pick: {from: facts, about: "{{ task }}", top: 1}}
  say: {prompt: "{{ found }} SAY IT.", facts: none, scaffold: none}
"""
    facts = "## Rose\nLikes sun.\n\n## Garden plan\nA plan of the garden is drawn in winter.\n"
    task = FORCED.model_copy(update={"context": facts})
    ran = await bench.run({"SAY IT": "Draw it in winter."}, task, HEAD + steps)
    assert "drawn in winter" in ran.prompts[0]
    assert "Likes sun" not in ran.prompts[0]


async def test_a_sum_that_can_not_be_worked_out_fails_its_step(bench: Bench) -> None:
    steps = """
steps:
  setup: {prompt: "Write the SUM.", output: line, scaffold: none}
  total: {calculate: "{{ setup }}"}
"""
    ran = await run(bench, {"SUM": "Some rows of plants."}, steps)
    assert statuses(ran) == {"setup": "done", "total": "failed"}
    assert ran.result.status == "incomplete"


# -- other templates ------------------------------------------------------------------------------

SOIL = """
format: 1
template: soil
match: {keywords: [soil]}
steps:
  kind: {prompt: "Name the KIND of soil: {{ task }}", scaffold: none}
  care: {prompt: "{{ kind }} CARE?", scaffold: none}
synthesize: {render: "{{ kind }} {{ care }}"}
"""
USING = """
steps:
  soil: {use: {template: soil, task: "The soil of {{ task }}"}}
  advice: {prompt: "{{ soil }} ADVICE?", scaffold: none}
"""
SOILS = {
    "Name the KIND": "Clay holds water.",
    "CARE?": "Add sand to it.",
    "ADVICE?": "Plant roses there.",
}


async def test_another_template_solves_a_part_of_the_task(bench: Bench) -> None:
    ran = await run(bench, SOILS, USING, SOIL)
    assert outputs(ran)["soil"] == "Clay holds water. Add sand to it."
    assert "Name the KIND of soil: The soil of Plan my garden" in ran.prompts[0]
    assert ran.result.answer == "Plant roses there."
    assert [a.step for a in ran.reasoning.ledger.attempts] == [
        "soil>kind",
        "soil>care",
        "advice",
    ]
    assert (ran.result.usage.calls, ran.model.calls) == (3, 3)


async def test_a_job_with_parts_that_runs_again_pays_for_nothing(bench: Bench) -> None:
    await run(bench, SOILS, USING, SOIL)
    again = await run(bench, {}, USING, SOIL)
    assert (again.result.answer, again.model.calls) == ("Plant roses there.", 0)


async def test_a_part_that_fails_fails_its_step_and_not_the_job(bench: Bench) -> None:
    ran = await run(bench, {**SOILS, "Name the KIND": "", "CARE?": ""}, USING, SOIL)
    assert statuses(ran) == {"soil": "failed", "advice": "skipped"}


async def test_a_template_that_is_not_there_fails_the_step_by_name(bench: Bench) -> None:
    ran = await run(bench, SOILS, USING)
    assert statuses(ran)["soil"] == "failed"
    assert "soil" in ran.result.steps[0].reason


async def test_templates_that_use_each_other_without_end_are_stopped(bench: Bench) -> None:
    loop = SOIL.replace(
        'kind: {prompt: "Name the KIND of soil: {{ task }}", scaffold: none}', "kind: {use: soil}"
    )
    script = {"ADVICE?": "Plant.", "CARE?": "Add sand.", TASK: "Water it."}
    ran = await run(bench, script, USING, loop)
    assert "more than 3 deep" in ran.result.steps[0].reason
    assert (ran.result.answer, ran.model.calls) == ("Water it.", 1)


async def test_a_rung_lets_another_template_answer(bench: Bench) -> None:
    steps = """
steps:
  ground:
    prompt: "What is the GROUND of {{ task }}?"
    checks: [{mentions: clay, hint: Say which.}]
    on_fail: [use: soil, accept_best]
    scaffold: none
"""
    ran = await run(bench, {**SOILS, "What is the GROUND": SOILS["Name the KIND"]}, steps, SOIL)
    assert ran.model.calls == 1
    script = {"Name the KIND": "Clay holds water.", "CARE?": "Add sand.", "GROUND": "I see."}
    ran = await run(bench, script, steps, SOIL, job_id="other")
    assert ran.result.answer == "Clay holds water. Add sand."
    assert statuses(ran) == {"ground": "done"}


async def test_the_limits_of_the_whole_job_hold_its_parts(bench: Bench) -> None:
    ran = await run(bench, SOILS, USING + "limits: {calls: 1}\n", SOIL)
    assert ran.model.calls == 1
    assert ran.result.status == "incomplete"


# -- capability ------------------------------------------------------------------------------


async def test_a_step_for_able_models_is_left_out_of_the_plan_of_others(bench: Bench) -> None:
    steps = """
steps:
  draft: {prompt: "Write a DRAFT.", scaffold: none}
  polish: {prompt: "POLISH {{ draft }}", when: capability >= 2, scaffold: none}
synthesize: {render: "{{ polish or draft }}"}
"""
    script = {"POLISH": WET, "DRAFT": DRY}
    weak = await run(bench, script, steps, capability=1)
    able = await run(bench, script, steps, capability=2, job_id="able")
    assert (weak.result.answer, able.result.answer) == (DRY, WET)
    assert list(statuses(weak)) == ["draft"]
