"""One model call of a job, as an activity."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from crp.blobs import BlobStore
from crp.language import envelope
from crp.language.schema import Check, Output, Repeat, Step, Template
from crp.models import Call, Job, ModelProfile, Task
from crp.stages import Brief
from crp_activities import ask as ask_module
from crp_activities import deciding
from crp_activities import dispatch as dispatch_module
from crp_activities.answers import AnswerJournal
from crp_activities.ask import ask, step_id
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest, ScriptedModel
from crp_activities.tools import Tools
from tests.workflows.jobs import TASK, library

CRITIQUE = Step(id="draft", text="Is it good? {{ draft }}", output=Output(kind="yes_no"))
DRAFT = Step(
    id="draft",
    text="Answer.",
    for_each="items",
    repeat=Repeat(until="true", critique=CRITIQUE),
    checks=(Check(kind="words", value="1-9"),),
)


def some_tools(folder: Path, answer: Callable[[ModelRequest], str]) -> Tools:
    return Tools(
        Models.of({"default": ScriptedModel(answer)}),
        AnswerJournal(folder / "answers"),
        BlobStore(folder / "blobs"),
    )


def a_brief(step: Step = DRAFT) -> Brief:
    return Brief(
        job=Job(
            job_id="job",
            task=Task(text="Why?"),
            models={"default": ModelProfile()},
            submitted_at=datetime.now(UTC),
        ),
        template=Template(template="t", steps=(step,)),
        complexity=3,
        names={"items": ["A", "B"]},
    )


def a_call(**more: Any) -> Call:
    return Call(**{"stage": "execute", "step": "draft", "item": "A", **more})


async def test_it_beats_while_the_prompt_is_made_and_while_the_answer_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context of megabytes takes seconds of both; without a beat the call is given to another."""
    beats: list[str] = []
    at = ["prompt"]
    build, judge = envelope.build, ask_module.judge

    def slow_build(*args: Any) -> Any:
        time.sleep(0.3)
        return build(*args)

    def slow_judge(*args: Any) -> Any:
        at[0] = "judge"
        time.sleep(0.3)
        return judge(*args)

    def answer(request: ModelRequest) -> str:
        at[0] = "model"
        return "A root."

    monkeypatch.setattr(dispatch_module, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(envelope, "build", slow_build)
    monkeypatch.setattr(ask_module, "judge", slow_judge)
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(at[0])
    job = Job(
        job_id="job",
        task=Task(text=TASK),
        models={"default": ModelProfile()},
        submitted_at=datetime.now(UTC),
    )
    route = deciding.route(job, library())
    brief = Brief(job=job, template=route.template, complexity=3, names=route.names)
    await environment.run(ask, some_tools(tmp_path, answer), brief, Call(stage="probe"))
    assert beats.count("prompt") >= 2
    assert beats.count("judge") >= 2


async def test_samples_rounds_and_parts_are_paid_one_by_one_and_once(tmp_path: Path) -> None:
    """The same prompt may be asked several times on purpose; only a repetition is not paid for."""
    asked: list[str] = []

    def answer(request: ModelRequest) -> str:
        asked.append(request.messages[-1].content)
        return "Yes."

    tools = some_tools(tmp_path, answer)
    calls = [
        a_call(),
        a_call(sample=1),
        a_call(sample=2),
        a_call(round=1),
        a_call(within="outer"),
        a_call(part="critique", draft="x"),
        a_call(part="critique", draft="x", round=1),
        a_call(part="judge", draft="x", question="Is it good?"),
    ]
    first = [await ask(tools, a_brief(), call) for call in calls]
    assert len(asked) == len(calls)
    assert not any(attempt.replayed for attempt in first)
    again = [await ask(tools, a_brief(), call) for call in calls]
    assert len(asked) == len(calls)
    assert all(attempt.replayed for attempt in again)


async def test_an_attempt_says_what_of_the_step_it_is(tmp_path: Path) -> None:
    tools = some_tools(tmp_path, lambda request: "Yes.")
    call = a_call(part="critique", round=1, sample=2, number=3, within="outer/X", draft="x")
    attempt = await ask(tools, a_brief(), call)
    found = (attempt.part, attempt.round, attempt.sample, attempt.number, attempt.step)
    assert found == ("critique", 1, 2, 3, "outer/X>draft/A")
    assert attempt.value == "yes"


async def test_a_judge_s_no_is_a_good_answer_and_what_is_neither_is_not(tmp_path: Path) -> None:
    said = iter(["No, because it was cut off in the", "Perhaps."])
    tools = some_tools(tmp_path, lambda request: next(said))
    calls = [a_call(part="judge", draft="x", question=f"Is it good {n}?") for n in (1, 2)]
    no, unclear = [await ask(tools, a_brief(), call) for call in calls]
    assert (no.status, no.value) == ("ok", "no")
    assert (unclear.status, unclear.value) == ("content", None)


def test_a_step_inside_a_part_is_known_by_both() -> None:
    assert step_id(a_call()) == "draft/A"
    assert step_id(a_call(item=None, within="outer/X")) == "outer/X>draft"
