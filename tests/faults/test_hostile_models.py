"""Whatever a model server sends, a job ends with a result that says what happened, and is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crp.advanced.in_process import InProcessStages
from crp.blobs import BlobStore
from crp.models import Job, JobResult, MetaLearningConfig, ModelProfile, Pressure, Task
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import OpenAIProvider
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore
from crp_workflows.orchestration import Reasoning
from tests.support.model_server import ModelServer
from tests.workflows.jobs import TASK, library

GARBAGE = [
    "null",
    "cut",
    "control",
    "surrogate",
    "not_utf8",
    "big:100000",
    "ok: ",
    'ok:Sure! Here is the JSON you asked for: {"root": [1, 2',
    "think",
    "mislabelled",
]
NO_ANSWER = {
    "no_choices": "ModelUnavailable",
    "half": "ModelUnavailable",
    "torn": "ModelUnavailable",
    "reset": "ModelUnavailable",
    "status:500": "ModelUnavailable",
    "429:1": "RateLimited",
    "status:401": "ModelRefused",
    "status:404": "ModelRefused",
}


@pytest.fixture
def store() -> Iterator[TraceStore]:
    with TraceStore.in_memory() as made:
        yield made


async def solve(folder: Path, store: TraceStore, server: ModelServer) -> JobResult:
    provider = OpenAIProvider.at(server.base_url)
    tools = Tools(
        Models.of({"default": provider}),
        AnswerJournal(folder / "answers"),
        BlobStore(folder / "blobs"),
    )
    job = Job(
        job_id="job",
        task=Task(text=TASK, orc="on", pressure=Pressure.NONE),
        config=MetaLearningConfig(scaffold_level="none"),
        models={"default": ModelProfile(name="m", capability=1, timeout=5)},
        submitted_at=datetime.now(UTC),
    )
    try:
        stages = InProcessStages(tools, store, pauses=(0.01, 0.01))
        return await Reasoning(job, library(), stages).run()
    finally:
        await tools.models.aclose()


@pytest.mark.parametrize("behaviour", GARBAGE)
async def test_garbage_is_an_answer_that_fails_its_checks(
    tmp_path: Path, store: TraceStore, behaviour: str
) -> None:
    with ModelServer(default=behaviour) as server:
        result = await solve(tmp_path, store, server)
    assert result.status in ("completed", "incomplete", "failed")
    assert result.error if result.status == "failed" else result.answer
    assert store.job("job") is not None
    assert json.loads(result.model_dump_json())["status"] == result.status
    assert not result.stored, "what the checks did not like must not become an example"


@pytest.mark.parametrize("behaviour", NO_ANSWER)
async def test_a_server_that_never_answers_fails_the_job_with_its_reason(
    tmp_path: Path, store: TraceStore, behaviour: str
) -> None:
    with ModelServer(default=behaviour) as server:
        result = await solve(tmp_path, store, server)
    assert result.status == "failed"
    assert result.error
    (row,) = store.sql("select status, error from jobs").rows
    assert row[0] == "failed"
    kinds = store.sql("select distinct error_type from attempts where error_type is not null").rows
    assert NO_ANSWER[behaviour] in {kind for (kind,) in kinds}


async def test_a_server_that_recovers_costs_only_the_calls_that_failed(
    tmp_path: Path, store: TraceStore
) -> None:
    with ModelServer("status:500", "429:0", "half", text="The root and the leaf.") as server:
        result = await solve(tmp_path, store, server)
        assert result.status == "completed", result.error
        assert server.calls == result.usage.calls + 3


async def test_a_prompt_that_is_too_long_is_asked_again_shorter(
    tmp_path: Path, store: TraceStore
) -> None:
    with ModelServer("overflow:llama", "overflow:openai", text="The root and the leaf.") as server:
        result = await solve(tmp_path, store, server)
    assert result.status == "completed", result.error
    seen = store.sql("select status, count(*) from attempts group by 1 order by 1").rows
    assert ("overflow", 2) in seen
