"""`--record` and `--lock`: answers go where their test stands, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from crp.authoring.examination import examine
from crp.authoring.recording import add_test, recorded_of, write_recorded
from crp.authoring.rehearsal import FromModel
from crp.authoring.slots import Said, Slot, find
from crp.cli.app import app
from crp.language.testing import load_tests
from crp.models import ModelProfile
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest, ScriptedModel
from tests.authoring.replays import GARDEN, RECORDED, TASK, one_test, run, suite_of, write
from tests.support.model_server import ModelServer

Crp = Callable[..., Any]
BARE = {"roses": {"task": TASK, "expect": {"calls": "1+"}}}
TESTS = """\
# what we know of gardens
roses:   # the first
  task: My garden wants roses and herbs
  expect:
    calls: 4          # one a plant, two more
    ran: [care, advice]
  recorded:
    plants: nothing
herbs:
  task: My garden wants herbs   # only
  expect:
    - odd
"""


@pytest.fixture
def crp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crp:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRP_HOME", str(tmp_path / "home"))

    def invoke(*words: str) -> Any:
        return CliRunner().invoke(app, ["templates", *words], prog_name="crp")

    return invoke


def answers(request: ModelRequest) -> str:
    prompt = request.messages[-1].content
    for words, line in {
        "Which plants": "- Roses\n- Herbs",
        "ADVICE": RECORDED["advice"],
        "Roses": "Roses drink in the morning.",
        "Herbs": "Herbs stay dry.",
    }.items():
        if words in prompt:
            return line
    raise AssertionError(prompt)


# -- the file -------------------------------------------------------------------------------------


def test_only_the_recorded_answers_of_one_test_change(tmp_path: Path) -> None:
    file = tmp_path / "garden.tests.yaml"
    file.write_text(TESTS)
    file.chmod(0o640)
    write_recorded(file, "roses", {"plants": "- Roses\n- Herbs", "advice": "Dig."})
    block = "    plants: |-\n      - Roses\n      - Herbs\n    advice: Dig.\n"
    assert file.read_text() == TESTS.replace("    plants: nothing\n", block)
    assert file.stat().st_mode & 0o777 == 0o640


def test_long_lines_stay_whole_whosever_they_are(tmp_path: Path) -> None:
    file = tmp_path / "garden.tests.yaml"
    words = "a garden wants " + "many more " * 20 + "roses"
    file.write_text(f"one:\n  task: {words}\n")
    write_recorded(file, "one", {"advice": words})
    assert file.read_text() == (
        f"one:\n  task: {words}\n  recorded:\n    advice: |-\n      {words}\n"
    )


def test_a_test_inside_the_template_is_recorded_there(tmp_path: Path) -> None:
    file = write(tmp_path, None, GARDEN + f"tests:\n  roses:\n    task: {TASK}\n")
    write_recorded(file, "roses", {"plants": "x"})
    assert file.read_text().endswith(f"    task: {TASK}\n    recorded:\n      plants: x\n")
    assert file.read_text().startswith(GARDEN.splitlines()[0])


def test_a_new_test_does_not_replace_one_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / "garden.tests.yaml"
    add_test(file, "one", {"task": "A garden"})
    before = file.read_text()
    with pytest.raises(Exception, match="has a test 'one' already"):
        add_test(file, "one", {"task": "Another garden"})
    assert file.read_text() == before


LETTERS = st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from(
    "\n\t :#-|>'\"{}[]%&*!"
)


@given(text=st.text(LETTERS, min_size=1).filter(str.strip))
def test_whatever_a_model_says_is_read_again_as_it_was(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("odd") / "odd.tests.yaml"
    add_test(file, "odd", {"task": "A garden", "recorded": {"advice": text, "care": {"a": [text]}}})
    (test,) = load_tests(file.read_bytes(), file.name, None)
    assert test.recorded == {"advice": text, "care": {"a": [text]}}


def test_what_was_said_is_found_again_in_the_form_it_is_recorded_in() -> None:
    critique = Slot("advice", part="critique")
    said = [
        Said(Slot("plants"), 0, 0, "a, b", ""),
        Said(Slot("care", "a"), 0, 0, "bad", ""),
        Said(Slot("care", "a"), 1, 0, "good", ""),
        Said(Slot("care", "b"), 0, 0, "one", ""),
        Said(Slot("care", "b"), 0, 1, "two", ""),
        Said(Slot("advice"), 0, 0, "draft", ""),
        Said(critique, 0, 0, "no", ""),
        Said(critique, 1, 0, "yes", ""),
        Said(Slot("advice", part="judge", question="Good?"), 0, 0, "yes", ""),
        Said(Slot("answer", part="judge", question="Good?"), 0, 0, "no", ""),
        Said(Slot("inner", "x", within="outer/b"), 0, 0, "deep", ""),
    ]
    recorded = recorded_of(said)
    assert recorded["care"] == {"a": ["bad", "good"], "b": [["one", "two"]]}
    for one in said:
        assert find(recorded, one.slot, one.number, one.sample) == one.text, one


# -- recording ------------------------------------------------------------------------------------


async def test_a_recorded_run_replays_and_asks_for_nothing_more(tmp_path: Path) -> None:
    file = write(tmp_path, BARE)
    assert (await run(file)).status == "not recorded"
    profiles = {"default": ModelProfile(alias="default", name="real")}
    model = ScriptedModel(answers)
    outcome = await run(file, FromModel(Models.of({"default": model}), profiles))
    assert outcome.status == "passed"
    assert {request.model for request in model.requests} == {"real"}
    write_recorded(outcome.case.test_file, "roses", recorded_of(outcome.said))
    again = await run(file)
    assert again.status == "passed"
    assert [s.prompt_sha256 for s in again.said] == [s.prompt_sha256 for s in outcome.said]


async def test_an_answer_that_was_cut_off_is_cut_off_in_the_replay_too(tmp_path: Path) -> None:
    each = suite_of(write(tmp_path, one_test()))
    (case,) = each.cases
    whole = await examine(case, each.library, None)
    assert whole.status == "passed"
    from crp.authoring.lock import LockedTest, lock_of

    prompts = lock_of(whole.said).prompts
    cut = await examine(case, each.library, LockedTest(prompts=prompts, cut={"advice": "length"}))
    assert cut.status == "not recorded"  # `complete` fails, and the second try is not there
    assert "advice, try 2" in cut.lines[0]


# -- the commands ---------------------------------------------------------------------------------


def test_the_command_says_what_came_of_each_test_and_exits_with_1(crp: Crp, tmp_path: Path) -> None:
    tests = {**one_test({"calls": 3}), **{"bare": {"task": TASK}}}
    write(tmp_path / "templates", tests)
    done = crp("test", "garden")
    assert done.exit_code == 1
    assert "failed       garden: roses\n             calls: expected 3, found 4\n" in done.stdout
    assert "not recorded garden: bare" in done.stdout
    assert "2 tests: 1 failed, 1 not recorded" in done.stderr
    data = json.loads(crp("test", "garden", "--json").stdout)
    assert [entry["status"] for entry in data] == ["failed", "not recorded"]
    assert data[0]["lines"] == ["calls: expected 3, found 4"]


def test_the_command_exits_with_0_when_all_passed(crp: Crp, tmp_path: Path) -> None:
    write(tmp_path / "templates", one_test())
    done = crp("test", "garden")
    assert done.exit_code == 0
    assert done.stderr == "1 tests: 1 passed\n"


def test_a_file_that_is_in_no_library_can_be_tested(crp: Crp, tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere", one_test())
    assert crp("test", str(file)).exit_code == 0
    assert crp("test", "elsewhere/none.yaml").exit_code == 4


def test_a_broken_template_is_told_with_its_place(crp: Crp, tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere", one_test(), GARDEN.replace("{{ care }}", "{{ cares }}"))
    done = crp("test", str(file))
    assert done.exit_code == 3
    assert "garden.yaml:23:10: error: " in done.stderr


def test_a_broken_template_does_not_hide_in_a_run_of_all(crp: Crp, tmp_path: Path) -> None:
    write(tmp_path / "templates", one_test())
    (tmp_path / "templates" / "odd.yaml").write_text("template: odd\nstep: {}\n")
    done = crp("test", "--only", "roses")
    assert "passed       garden: roses" in done.stdout
    assert "not tested: odd.yaml is broken" in done.stderr
    assert done.exit_code == 1


def test_lock_accepts_hand_written_answers_and_a_new_prompt_is_told(
    crp: Crp, tmp_path: Path
) -> None:
    file = write(tmp_path / "templates", one_test())
    assert crp("test", "garden", "--lock").exit_code == 0
    lock = json.loads((tmp_path / "templates" / "garden.tests.lock").read_text())
    assert (lock["template"], lock["version"]) == ("garden", "1.0.0")
    assert sorted(lock["tests"]["roses"]["prompts"]) == [
        "advice",
        "care/Herbs",
        "care/Roses",
        "plants",
    ]
    file.write_text(GARDEN.replace("How is", "Say how"))
    done = crp("test", "garden")
    assert done.exit_code == 1
    assert "stale        garden: roses" in done.stdout
    assert "the prompt of care/Herbs changed since it was recorded" in done.stdout
    assert crp("test", "garden", "--lock").exit_code == 0
    assert crp("test", "garden").exit_code == 0


def test_record_asks_the_model_and_writes_answers_and_lock(crp: Crp, tmp_path: Path) -> None:
    write(tmp_path / "templates", BARE)
    with ModelServer(text="Roses and Herbs, all of them in the morning sun") as server:
        model = ["--base-url", server.base_url, "--model", "m"]
        live = crp("test", "garden", "--live", *model)
        assert "garden.tests.lock" not in {p.name for p in (tmp_path / "templates").iterdir()}
        done = crp("test", "garden", "--record", *model)
    assert live.exit_code == done.exit_code
    (test,) = load_tests((tmp_path / "templates/garden.tests.yaml").read_bytes(), "x", None)
    assert test.recorded["advice"] == "Roses and Herbs, all of them in the morning sun"
    assert (tmp_path / "templates" / "garden.tests.lock").exists()
    again = crp("test", "garden")
    assert again.exit_code == done.exit_code == 0


def test_a_model_that_can_not_be_asked_changes_no_file(crp: Crp, tmp_path: Path) -> None:
    write(tmp_path / "templates", one_test())
    before = (tmp_path / "templates/garden.tests.yaml").read_text()
    with ModelServer(default="status:401") as server:
        done = crp("test", "garden", "--record", "--base-url", server.base_url, "--model", "m")
    assert done.exit_code == 1
    assert done.stdout.count("\n") == 2
    assert "the job failed: " in done.stdout
    assert (tmp_path / "templates/garden.tests.yaml").read_text() == before


@pytest.mark.parametrize(
    "words",
    [("--record",), ("garden", "--live", "--lock"), ("garden", "--model", "m")],
)
def test_options_that_make_no_sense_together_are_refused(crp: Crp, words: tuple[str, ...]) -> None:
    done = crp("test", *words)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
