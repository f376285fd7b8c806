"""The same engine with a Temporal client: a real server, durable jobs, the same answers."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from crp.advanced.meta_learning import MetaLearningEngine
from crp.blobs import BlobStore
from crp.errors import ConfigError, JobFailed, UsageError
from crp.models import JobResult
from crp.plugin import CRPPlugin
from tests.advanced.dispatching import CALM, CHAIN, Recorder, engine
from tests.support.replay import replay_server
from tests.workflows.jobs import ADVICE, GOOD, TASK

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary in this environment"),
]

LADDER = {**GOOD, "Describe the ROOTS": "It is long and deep."}
"""The first step never passes its check: three attempts, then the best of them."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A real server; every history that a test leaves is replayed."""
    blobs = BlobStore(tmp_path / "blobs")
    plugin = CRPPlugin(blobs)
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL, plugins=[plugin]
    ) as server:
        yield server.client
        await replay_server(server.client, blobs)


def durable(client: Client, dispatch: Any, queue: str = "my-queue", **config: Any) -> Any:
    return engine(dispatch, more={"client": client, "task_queue": queue}, **config)


def essence(result: JobResult) -> dict[str, Any]:
    """What must not depend on how a job was run."""
    times = {"started_at", "finished_at"}
    steps = [step.model_dump(exclude=times) for step in result.steps]
    same = {"status", "answer", "chosen", "quality", "scores", "plan", "gate", "notes", "stored"}
    return {"steps": steps, **result.model_dump(include=same), "calls": result.usage.calls}


async def activities_of(client: Client, job_id: str) -> list[str]:
    scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        async for event in client.get_workflow_handle(job_id).fetch_history_events()
        if event.event_type == scheduled
    ]


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every workflow task is a replay from the first event on."""
    monkeypatch.setattr("crp.worker.Worker", partial(Worker, max_cached_workflows=0))


@pytest.mark.usefixtures("no_cache")
async def test_a_durable_job_is_the_same_job(client: Client) -> None:
    here = Recorder(LADDER)
    with engine(here) as made:
        expected = await made.asolve(CALM, job_id="one")
    there = Recorder(LADDER)
    with durable(client, there) as made:
        async with made.worker():
            result = await made.asolve(CALM, job_id="one")
        assert made.trace_count == 1
    assert essence(result) == essence(expected)
    assert sorted(there.calls) == sorted(here.calls)
    assert await activities_of(client, "one") == [
        *("retrieve", "probe", "execute", "execute", "execute", "execute", "execute", "record")
    ], "what is pure is done in the workflow's own task"
    await replay(client, "one")


async def replay(client: Client, job_id: str) -> None:
    history = await client.get_workflow_handle(job_id).fetch_history()
    plugins = cast("list[Any]", client.config()["plugins"])
    replayer = Replayer(workflows=[], plugins=plugins, data_converter=client.data_converter)
    await replayer.replay_workflow(history)


async def test_a_chain_has_its_trace(client: Client) -> None:
    with durable(client, Recorder()) as made:
        async with made.worker():
            result = await made.aorchestrated_reasoning(TASK)
        kept = made.store.traces()[0]
    assert (result.steps_completed, result.final_output) == (3, ADVICE)
    assert result.trace is not None
    same = {"trace_id", "task_type", "task_summary", "steps", "model_class", "quality_score"}
    assert result.trace.model_dump(include=same) == kept.model_dump(include=same)


async def test_a_failed_job_gives_its_result_with_the_reason(client: Client) -> None:
    with durable(client, lambda prompt, context: None) as made:
        async with made.worker():
            result = await made.asolve(CALM, job_id="bad")
        assert made.store.job("bad")["status"] == "failed"
    assert result.status == "failed"
    assert "must return (output, metadata)" in result.error


async def test_the_same_job_id_is_the_same_job(client: Client) -> None:
    dispatch = Recorder()
    with durable(client, dispatch) as made:
        async with made.worker():
            first = await made.asolve(CHAIN, job_id="once")
            again = await made.asolve(CHAIN, job_id="once")
    assert (again, len(dispatch.calls)) == (first, 3)


async def test_a_job_waits_for_its_worker(client: Client) -> None:
    with durable(client, Recorder()) as made:
        handle = await made.submit(CHAIN, job_id="early")
        async with made.worker():
            result = await handle.result()
    assert (result.job_id, result.answer) == ("early", ADVICE)


async def test_a_cancelled_job_is_an_error_with_one_line(client: Client) -> None:
    with durable(client, Recorder()) as made:
        handle = await made.submit(CHAIN, job_id="unwanted")
        await handle.cancel()
        async with made.worker():
            with pytest.raises(JobFailed, match="cancelled"):
                await made.asolve(CHAIN, job_id="unwanted")
        assert made.store.job("unwanted")["status"] == "cancelled"


async def test_two_engines_on_one_server_do_not_mix(client: Client) -> None:
    mine, yours = Recorder(), Recorder({**GOOD, "Give the ADVICE": "Dig up each root and leaf."})
    with durable(client, mine, "mine") as first, durable(client, yours, "yours") as second:
        async with first.worker(), second.worker():
            assert (await first.asolve(CHAIN)).answer == ADVICE
            assert (await second.asolve(CHAIN)).answer == "Dig up each root and leaf."
        assert (len(mine.calls), len(yours.calls)) == (3, 3)
        assert (first.trace_count, second.trace_count) == (1, 1)


async def test_solve_refuses_to_stop_the_loop_that_its_worker_needs(client: Client) -> None:
    with durable(client, Recorder()) as made:
        async with made.worker():
            with pytest.raises(UsageError, match="asolve"):
                made.solve(CHAIN)
            with pytest.raises(UsageError, match="aorchestrated_reasoning"):
                made.orchestrated_reasoning(TASK)


async def test_solve_works_from_a_thread_beside_the_worker(client: Client) -> None:
    with durable(client, Recorder()) as made:
        async with made.worker():
            result = await asyncio.to_thread(made.solve, CHAIN)
    assert result.answer == ADVICE


async def test_a_client_without_the_plugin_is_refused(client: Client) -> None:
    plain = await Client.connect(client.service_client.config.target_host)
    with pytest.raises(ConfigError, match="CRPPlugin"):
        MetaLearningEngine(Recorder(), client=plain)


@pytest.mark.parametrize("queue", ["", "crp-store", "crp-model-x"])
async def test_a_queue_on_which_no_workflow_runs_is_refused(client: Client, queue: str) -> None:
    with pytest.raises(ConfigError, match="task_queue"):
        durable(client, Recorder(), queue)


async def test_a_worker_needs_a_function(client: Client) -> None:
    with durable(client, None) as made, pytest.raises(UsageError, match="dispatch_fn"):
        async with made.worker():
            pass
