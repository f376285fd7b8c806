"""Recorded tests: they replay the real path without a model, and say exactly what is not so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crp.authoring.examination import examine
from crp.authoring.recording import recorded_of
from tests.authoring.replays import (
    GARDEN,
    RECORDED,
    TASK,
    lock,
    one_test,
    replay,
    run,
    suite_of,
    write,
)

EXAMPLES = Path(__file__).parents[1] / "language" / "examples"


async def test_a_test_whose_expectations_are_met_passes(tmp_path: Path) -> None:
    expect = {
        "template": "garden",
        "plants": ["Roses", "Herbs"],
        "calls": 4,
        "ran": ["care", "advice"],
        "status": "completed",
        "quality": "0.3-1",
        "answer": [{"mentions": ["roses", "herbs"]}],
    }
    outcome = await replay(tmp_path, one_test(expect))
    assert (outcome.status, outcome.lines) == ("passed", ())


async def test_a_failed_first_try_recovers_with_the_second_text_of_the_list(
    tmp_path: Path,
) -> None:
    tries = {"Roses": ["I can not say.", "Roses drink in the morning."], "*": "Herbs stay dry."}
    expect = {"attempts": {"care": {"Roses": 2, "Herbs": 1}}, "calls": 5}
    outcome = await replay(tmp_path, one_test(expect, recorded={"care": tries}))
    assert (outcome.status, outcome.lines) == ("passed", ())


async def test_a_second_try_that_nobody_recorded_is_named_and_not_passed(tmp_path: Path) -> None:
    only_bad = {"Roses": "I can not say.", "Herbs": "Herbs stay dry."}
    outcome = await replay(tmp_path, one_test(recorded={"care": only_bad}))
    assert outcome.status == "not recorded"
    assert "care/Roses, try 2;" in outcome.lines[0]


async def test_every_call_without_an_answer_is_named_at_once(tmp_path: Path) -> None:
    missing = {"care": {"Roses": "Roses drink."}, "advice": None}
    outcome = await replay(tmp_path, one_test(recorded=missing))
    assert outcome.status == "not recorded"
    assert "no answer is recorded for care/Herbs; advice;" in outcome.lines[0]
    assert "crp templates test garden --record" in outcome.lines[0]


async def test_a_test_with_nothing_recorded_never_passes(tmp_path: Path) -> None:
    outcome = await replay(tmp_path, {"bare": {"task": TASK, "expect": {"calls": "0+"}}})
    assert outcome.status == "not recorded"
    assert outcome.lines[0].startswith("nothing is recorded")


async def test_a_test_of_the_route_alone_needs_no_answers(tmp_path: Path) -> None:
    good = {"other": {"task": "Tell me about cars", "expect": {"template": "not garden"}}}
    assert (await replay(tmp_path, good)).status == "passed"
    bad = {"other": {"task": TASK, "expect": {"template": "not garden"}}}
    outcome = await replay(tmp_path, bad)
    assert outcome.status == "failed"
    assert outcome.lines[0].startswith("template: expected not garden, found garden (")
    assert "garden" in outcome.lines[0].partition("(")[2]


@pytest.mark.parametrize(
    ("expect", "line"),
    [
        ({"plants": ["Roses", "Trees"]}, "plants: expected Roses; Trees, found Roses; Herbs"),
        ({"plants": 3}, "plants: expected 3 entries, found 2 (Roses; Herbs)"),
        ({"calls": "1-2"}, "calls: expected 1-2, found 4"),
        ({"quality": "0-0.01"}, "quality: expected 0-0.01, found "),
        ({"ran": ["care"]}, "ran: advice ran too, it is not expected"),
        ({"attempts": {"care": 2}}, "attempts of care: expected 2, found 1"),
        ({"attempts": {"care": {"Herbs": 3}}}, "attempts of care/Herbs: expected 3, found 1"),
        ({"status": "failed"}, "status: expected failed, found completed"),
        ({"answer": [{"mentions": "tulips"}]}, "answer: expected mentions: tulips, found "),
        ({"template": "comparison"}, "template: expected comparison, found garden ("),
    ],
)
async def test_a_wrong_expectation_is_one_line_with_what_was_found(
    tmp_path: Path, expect: dict[str, Any], line: str
) -> None:
    outcome = await replay(tmp_path, one_test(expect))
    assert outcome.status == "failed"
    assert len(outcome.lines) == 1
    assert outcome.lines[0].startswith(line)


async def test_a_step_that_should_run_and_did_not_is_told_with_the_reason(tmp_path: Path) -> None:
    template = GARDEN.replace("  advice:\n", "  advice:\n    when: plants | length > 5\n")
    file = write(tmp_path, one_test({"ran": ["care", "advice"]}), template)
    outcome = await run(file)
    assert outcome.lines == ("ran: expected advice, it was not in the plan",)


async def test_a_job_that_fails_is_told_with_its_error(tmp_path: Path) -> None:
    outcome = await replay(
        tmp_path, one_test(recorded={"plants": ["none", "none"], "care": {"*": "x"}})
    )
    assert outcome.status == "failed"
    assert outcome.lines[0].startswith("the job failed: the task names no plants")


async def test_inputs_that_the_template_refuses_are_told(tmp_path: Path) -> None:
    template = GARDEN.replace("extract:", "inputs: {size: {type: number}}\nextract:")
    test = one_test(inputs={"size": "large"})
    outcome = await run(write(tmp_path, test, template))
    assert outcome.status == "failed"
    assert outcome.lines == ("the job failed: input size is a number, not 'large'",)


# -- what the answers stand for -------------------------------------------------------------------


async def test_a_probe_that_is_recorded_is_made_and_may_be_the_answer(tmp_path: Path) -> None:
    probe = (
        "Plan the garden with roses near the fence, herbs near the kitchen, a path of stones "
        "between the two beds, and a bench in the shade where you can rest after the work."
    )
    outcome = await replay(tmp_path, one_test({"calls": 1}, recorded={"probe": probe}))
    assert (outcome.status, outcome.lines) == ("passed", ())
    poor = await replay(tmp_path, one_test({"calls": 5}, recorded={"probe": "No idea."}))
    assert (poor.status, poor.lines) == ("passed", ())


async def test_a_recorded_text_answers_all_samples_and_a_list_each(tmp_path: Path) -> None:
    template = GARDEN.replace("    output: line\n", "    output: line\n    samples: 3\n")
    same = await run(write(tmp_path / "same", one_test({"calls": 8}), template))
    assert (same.status, same.lines) == ("passed", ())
    each = {"*": [["Roses and Herbs drink.", "Roses and Herbs drink.", "Herbs, Roses sleep."]]}
    test = one_test({"calls": 8}, recorded={"care": each})
    outcome = await run(write(tmp_path / "each", test, template))
    assert (outcome.status, outcome.lines) == ("passed", ())
    texts = {said.text for said in outcome.said if said.slot.step == "care"}
    assert texts == set(each["*"][0])


async def test_rounds_of_repeat_take_the_next_texts_and_the_next_critiques(tmp_path: Path) -> None:
    repeat = (
        '    repeat:\n      until: critique == "yes"\n      max: 2\n'
        "      critique: {prompt: 'Good? {{ advice }}', output: yes_no}\n"
    )
    recorded = {
        "advice": ["Dig.", "Water the roses in the morning, and keep the herbs dry in the sun."],
        "critique": ["no", "yes"],
    }
    file = write(
        tmp_path, one_test({"attempts": {"advice": 2}}, recorded=recorded), GARDEN + repeat
    )
    outcome = await run(file)
    assert (outcome.status, outcome.lines) == ("passed", ())
    assert [s.text for s in outcome.said if s.slot.part == "critique"] == ["no", "yes"]


async def test_a_judge_is_asked_only_where_its_answer_is_recorded(tmp_path: Path) -> None:
    template = GARDEN + "quality:\n  - judge: Is it about plants?\n  - words: 1+\n"
    silent = await run(write(tmp_path / "silent", one_test({"calls": 4}), template))
    assert (silent.status, silent.lines) == ("passed", ())
    judged = one_test({"quality": "0-0.6"}, recorded={"judge": "no"})
    outcome = await run(write(tmp_path / "judged", judged, template))
    assert (outcome.status, outcome.lines) == ("passed", ())
    assert any(said.slot.part == "judge" for said in outcome.said)


async def test_capability_0_tests_the_prompts_of_the_embedded_model(tmp_path: Path) -> None:
    template = GARDEN.replace("    scaffold: none\n", "")
    strong = await run(write(tmp_path / "strong", one_test(capability=1), template))
    weak = await run(write(tmp_path / "weak", one_test(capability=0), template))
    assert strong.status == weak.status == "passed"
    prompts = [{s.name: s.prompt_sha256 for s in o.said}["advice"] for o in (strong, weak)]
    assert prompts[0] != prompts[1]


# -- stale ----------------------------------------------------------------------------------------


async def test_a_prompt_that_changed_since_makes_its_test_stale_and_is_named(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, one_test())
    assert (await lock(file)).status == "passed"
    assert (await run(file)).status == "passed"
    file.write_text(GARDEN.replace("Give the ADVICE", "Give good ADVICE"))
    outcome = await run(file)
    assert outcome.status == "stale"
    assert outcome.lines[0] == "the prompt of advice changed since it was recorded"
    assert "crp templates test garden --record" in outcome.lines[-1]


async def test_an_answer_edited_by_hand_makes_the_steps_behind_it_stale(tmp_path: Path) -> None:
    file = write(tmp_path, one_test())
    await lock(file)
    edited = {"Roses": "Roses drink at night.", "Herbs": RECORDED["care"]["Herbs"]}
    write(tmp_path, one_test(recorded={"care": edited}))
    outcome = await run(file)
    assert outcome.status == "stale"
    assert outcome.lines[0] == "the prompt of advice changed since it was recorded"


async def test_a_step_that_is_new_or_gone_makes_a_test_stale(tmp_path: Path) -> None:
    file = write(tmp_path, one_test())
    await lock(file)
    more = GARDEN.replace("  advice:", "  title:\n    prompt: Name it.\n  advice:")
    file = write(tmp_path, one_test(recorded={"title": "Roses"}), more)
    outcome = await run(file)
    assert "title was not asked when it was recorded" in outcome.lines
    assert outcome.status == "stale"


async def test_a_comment_in_the_template_makes_nothing_stale(tmp_path: Path) -> None:
    file = write(tmp_path, one_test())
    await lock(file)
    file.write_text(f"# a new comment\n{GARDEN}")
    assert (await run(file)).status == "passed"


# -- the examples of the language's design --------------------------------------------------------


@pytest.mark.parametrize("name", ["comparison", "multi-hop-question"])
async def test_the_big_examples_replay_offline_and_pass(name: str) -> None:
    each = suite_of(EXAMPLES / f"{name}.yaml")
    ours = {file.stem for file in EXAMPLES.glob("*.yaml")} | {"generic-analysis"}
    templates = tuple(t for t in each.library.templates if t.name in ours)
    library = each.library.model_copy(update={"templates": templates})
    assert each.cases
    for case in each.cases:
        outcome = await examine(case, library, None)
        assert (outcome.status, outcome.lines) == ("passed", ()), case.name


# -- a template inside a template ------------------------------------------------------------------

OUTER = """\
format: 1
template: outer
match: {keywords: [outer], priority: 90}
steps:
  part:
    use: {template: garden, task: "My garden wants {{ task }}"}
  end:
    prompt: "{{ part }} In one line?"
    scaffold: none
"""


async def test_a_step_that_uses_another_template_has_its_answers_below_it(tmp_path: Path) -> None:
    write(tmp_path)
    test = {"outer": {"task": "outer roses", "expect": {"calls": 5, "ran": ["part", "end"]}}}
    test["outer"]["recorded"] = {"part": RECORDED, "end": "Roses in the sun, herbs in the shade."}
    outcome = await run(write(tmp_path, test, OUTER, "outer"))
    assert (outcome.status, outcome.lines) == ("passed", ())
    assert "part>care/Roses" in {said.name for said in outcome.said}
    assert recorded_of(outcome.said) == test["outer"]["recorded"]


async def test_what_is_missing_inside_is_named_with_the_step_that_uses_it(tmp_path: Path) -> None:
    write(tmp_path)
    inside = {**RECORDED, "care": {"Roses": "Roses drink."}}
    test = {"outer": {"task": "outer roses", "recorded": {"part": inside, "end": "Yes."}}}
    outcome = await run(write(tmp_path, test, OUTER, "outer"))
    assert outcome.status == "not recorded"
    assert "no answer is recorded for part>care/Herbs;" in outcome.lines[0]
