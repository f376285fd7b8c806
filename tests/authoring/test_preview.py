"""`crp templates render`: the prompts that a job would send, before there is a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crp.authoring.preview import Preview, previews
from crp.authoring.rehearsal import job_of
from crp.cli import rendering
from crp.cli.app import app
from crp.errors import NotFound
from crp.language.envelope import BETWEEN
from crp.models import Level, Task
from tests.authoring.replays import GARDEN, TASK, one_test, run, suite_of, write

Crp = Callable[..., Any]

EVERYTHING = GARDEN.replace(
    "  advice:\n",
    """\
  shape:
    prompt: Which shape?
    when: plants | length > 5
  table:
    prompt: "{{ care }} Fill a table."
    output: {table: [plant, "{{ plants }}"]}
  choice:
    prompt: "{{ table }} Which one?"
    output: {fields: {best: text, sure: yes_no}}
  note:
    render: "Best: {{ choice.best }}"
  story:
    for_each: plants
    order: in_sequence
    prompt: "{% for p in previous %}{{ p.item }} said {{ p.answer }}. {% endfor %}Now {{ item }}."
  draft:
    prompt: Draft it.
    repeat:
      until: critique == "yes"
      critique: {prompt: "Is this good? {{ draft }}", output: yes_no}
  advice:
""",
)


def shown(
    folder: Path, step: str = "", text: str = GARDEN, capability: int = 1, **options: Any
) -> list[Preview]:
    each = suite_of(write(folder, None, text))
    task = Task(text=TASK, template="garden", context=options.pop("context", ""))
    return previews(job_of(task, capability), each.library, step, **options)


def prompt(preview: Preview) -> str:
    assert preview.sealed is not None
    return preview.sealed.messages[-1].content


def test_what_only_a_model_can_give_is_named_where_it_will_stand(tmp_path: Path) -> None:
    (advice,) = shown(tmp_path, "advice")
    assert "<answer of care/<plants 1>>" in prompt(advice)
    (care,) = shown(tmp_path, "care")
    assert care.name == "care/<plants 1>"
    assert "How is <plants 1> cared for?" in prompt(care)


def test_stand_ins_have_the_form_that_the_step_will_give(tmp_path: Path) -> None:
    (choice,) = shown(tmp_path, "choice", EVERYTHING)
    assert "| plant | <plants 1> |" in prompt(choice)
    (note,) = shown(tmp_path, "note", EVERYTHING)
    assert note.sealed is None
    assert note.text == "Best: <best of answer of choice>"
    assert note.note == "render: no model is asked"


def test_a_step_in_sequence_sees_the_items_before_it(tmp_path: Path) -> None:
    first, last = (shown(tmp_path, "story", EVERYTHING, item=f"<plants {n}>")[0] for n in (1, 3))
    assert "said" not in prompt(first)
    assert prompt(last).count("said") == 2
    assert "<plants 2> said <answer of story/<plants 2>>." in prompt(last)


def test_a_critique_has_a_prompt_of_its_own(tmp_path: Path) -> None:
    (critique,) = shown(tmp_path, "draft.critique", EVERYTHING)
    assert "Is this good?" in prompt(critique)
    assert "<answer of draft>" in prompt(critique)
    assert critique.name == "draft.critique"


def test_without_a_step_all_prompts_come_in_their_order(tmp_path: Path) -> None:
    names = [preview.name.partition("/")[0] for preview in shown(tmp_path, "", EVERYTHING)]
    assert names.index("plants") < names.index("care") < names.index("table")
    assert names[-1] == "advice"
    assert {"shape", "note", "story", "draft", "draft.critique"} <= set(names)


def test_a_step_that_the_plan_leaves_out_says_so(tmp_path: Path) -> None:
    (shape,) = shown(tmp_path, "shape", EVERYTHING)
    assert shape.note == "left out of this plan: plants | length > 5"


def test_the_level_that_is_asked_for_wins(tmp_path: Path) -> None:
    (none,) = shown(tmp_path, "advice")
    (heavy,) = shown(tmp_path, "advice", level=Level.HEAVY)
    assert (none.level, heavy.level) == (Level.NONE, Level.HEAVY)
    origins = {part.origin for part in heavy.sealed.parts} if heavy.sealed else set()
    assert "help" in origins
    assert none.sealed is not None
    assert "help" not in {part.origin for part in none.sealed.parts}


def test_the_parts_are_the_prompt(tmp_path: Path) -> None:
    text = GARDEN.replace("    scaffold: none\n", "    system: You know plants.\n")
    for preview in shown(tmp_path, "", text, context="Roses: like sun.\nHerbs: like shade."):
        sealed = preview.sealed
        assert sealed is not None
        own = [part.text for part in sealed.parts if part.origin != "system"]
        assert BETWEEN.join(own) == sealed.messages[-1].content
        assert {part.origin for part in sealed.parts} <= rendering.COLOURS.keys()


async def test_the_preview_of_a_step_that_reads_nothing_is_what_a_job_sends(
    tmp_path: Path,
) -> None:
    import hashlib

    outcome = await run(write(tmp_path, one_test()))
    asked = {said.name: said.prompt_sha256 for said in outcome.said}
    (plants,) = shown(tmp_path, "plants")
    assert hashlib.sha256(prompt(plants).encode()).hexdigest() == asked["plants"]


def test_names_that_do_not_exist_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match='did you mean "advice"'):
        shown(tmp_path, "advise")
    with pytest.raises(NotFound, match="step care has no item 'Trees': "):
        shown(tmp_path, "care", item="Trees")


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def crp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crp:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRP_HOME", str(tmp_path / "home"))
    write(tmp_path / "templates")

    def invoke(*words: str) -> Any:
        words = ("templates", "render", "garden", TASK, *words)
        return CliRunner().invoke(app, list(words), prog_name="crp")

    return invoke


def test_in_a_pipe_every_part_is_labelled(crp: Crp) -> None:
    done = crp("--step", "care", "--input", "plants=Roses,Herbs", "--level", "light")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("--- care/Roses")
    assert "light help" in done.stdout
    for label, text in (("task", TASK), ("instruction", "How is Roses cared for?")):
        assert f"[{label}]" in done.stdout
        assert text in done.stdout.partition(f"[{label}]")[2]
    assert "[help]" in done.stdout
    assert "\x1b" not in done.stdout


def test_on_a_terminal_parts_are_coloured_and_there_is_a_legend(
    crp: Crp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "lively", lambda stream: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = crp("--step", "care")
    assert "colours: " in done.stdout
    assert "[instruction]" not in done.stdout
    assert "\x1b[" in done.stdout


def test_json_has_messages_and_parts(crp: Crp) -> None:
    (data,) = json.loads(crp("--step", "care", "--json").stdout)
    assert data["step"] == "care/<plants 1>"
    assert data["messages"][-1]["content"] == BETWEEN.join(p["text"] for p in data["parts"])


def test_a_step_that_is_not_there_exits_with_4(crp: Crp) -> None:
    done = crp("--step", "advise")
    assert done.exit_code == 4
    assert 'did you mean "advice"' in done.stderr
