"""One model call of a job, as an activity."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from crp.blobs import BlobStore
from crp.language import envelope
from crp.models import Call, Job, ModelProfile, Task
from crp.stages import Brief
from crp_activities import ask as ask_module
from crp_activities import deciding
from crp_activities import dispatch as dispatch_module
from crp_activities.answers import AnswerJournal
from crp_activities.ask import ask
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest, ScriptedModel
from crp_activities.tools import Tools
from tests.workflows.jobs import TASK, library


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
    tools = Tools(
        Models.of({"default": ScriptedModel(answer)}),
        AnswerJournal(tmp_path / "answers"),
        BlobStore(tmp_path / "blobs"),
    )
    job = Job(
        job_id="job",
        task=Task(text=TASK),
        models={"default": ModelProfile()},
        submitted_at=datetime.now(UTC),
    )
    route = deciding.route(job, library())
    brief = Brief(job=job, template=route.template, complexity=3, names=route.names)
    await environment.run(ask, tools, brief, Call(stage="probe"))
    assert beats.count("prompt") >= 2
    assert beats.count("judge") >= 2
