"""One engine per home, whatever is killed: with the real Temporal server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from crp.config import ModelSettings
from crp.local import release, status, stop
from crp.local.host import passed_on
from crp.local.state import ProcessId, read_state, write_state
from crp.local.temporal_server import Probe
from crp.release import installed

pytestmark = pytest.mark.slow

CLIENT = """
import asyncio, sys
from pathlib import Path
from crp.config import load_settings
from crp.local import ensure
running = asyncio.run(ensure(load_settings(), command=sys.argv[1:]))
print(running.pid, running.started)
"""


@activity.defn
async def nothing() -> None: ...


async def begin_job(address: str) -> str:
    """Start a workflow that waits for a worker; give its id."""
    client = await Client.connect(address)
    await client.start_workflow("Nothing", id="job-1", task_queue="nobody")
    return "job-1"


async def job_status(address: str) -> WorkflowExecutionStatus | None:
    client = await Client.connect(address)
    return (await client.get_workflow_handle("job-1").describe()).status


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def child(settings: Any, name: str) -> ProcessId | None:
    return read_state(settings.home).children.get(name)


async def test_an_engine_is_started_once_and_then_found(make, start):
    settings, told = make(), []
    first = await start(settings, progress=told.append)
    second = await start(settings)
    assert (first.started, second.started) == (True, False)
    assert first.pid == second.pid
    assert "starting the engine" in told
    assert status(settings).phase == "running"


def of_release(settings: Any, name: str) -> None:
    """Let the engine of a home be of another release."""
    write_state(settings.home, read_state(settings.home).model_copy(update={"release": name}))


async def test_an_idle_engine_of_another_release_is_started_again(make, start):
    settings, told = make(), []
    first = await start(settings)
    of_release(settings, "0.0.9")
    second = await start(settings, progress=told.append)
    assert second.pid != first.pid
    assert f"the engine is of release 0.0.9 and this is {installed()}: starting it again" in told
    assert read_state(settings.home).release == installed()


async def test_limits_that_were_changed_since_hold_when_nothing_runs(make, start):
    def limited(calls: int) -> Any:
        model = ModelSettings(base_url="http://127.0.0.1:9/v1", requests_per_minute=calls)
        return make(models={"default": model})

    told: list[str] = []
    await start(limited(30))
    await start(limited(30), progress=told.append)
    assert not any("limits" in text for text in told)
    await start(limited(60), progress=told.append)
    assert any("other limits of the model 'default': starting it again" in t for t in told)
    found = read_state(limited(60).home).models["default"]
    assert found.requests_per_minute == 60


async def test_an_engine_of_another_release_that_has_jobs_is_kept_and_told_of(make, start):
    settings, told = make(), []
    first = await start(settings)
    await begin_job(first.address)
    of_release(settings, "0.0.9")
    second = await start(settings, progress=told.append)
    assert second.pid == first.pid
    (line,) = [text for text in told if "release 0.0.9" in text]
    assert "`crp down` ends it" in line


async def test_two_clients_at_once_share_one_engine(make, tmp_path):
    settings = make()
    script = Path(__file__).with_name("stand_in_engine.py")
    environment = passed_on(settings, os.environ)
    clients = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, sys.executable, str(script)),
            env=environment,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    answers = [(await client.communicate())[0].decode().split() for client in clients]
    assert len({pid for pid, _ in answers}) == 1
    assert sorted(started for _, started in answers) == ["False", "False", "True"]
    # All clients have ended, and the engine has not.
    assert status(settings).pid == int(answers[0][0])


async def test_a_killed_temporal_server_comes_back_with_its_jobs(make, start, until):
    settings = make()
    running = await start(settings)
    await begin_job(running.address)
    before = child(settings, "temporal")
    os.kill(before.pid, signal.SIGKILL)
    await until(lambda: read_state(settings.home).restarts["temporal"] == 1)
    again = await start(settings)
    assert again.address == running.address
    assert child(settings, "temporal") != before
    assert await job_status(again.address) == WorkflowExecutionStatus.RUNNING


async def test_a_killed_worker_comes_back(make, start, until):
    settings = make()
    await start(settings)
    before = child(settings, "worker")
    os.kill(before.pid, signal.SIGKILL)
    after = await until(lambda: (now := child(settings, "worker")) != before and now)
    assert after.process() is not None


async def test_after_kill_9_of_the_supervisor_a_start_goes_on(make, start, until):
    settings = make()
    running = await start(settings)
    await begin_job(running.address)
    children = read_state(settings.home).children
    os.kill(running.pid, signal.SIGKILL)
    await until(lambda: status(settings) is None)
    again = await start(settings)
    assert again.started
    assert again.address == running.address
    assert await job_status(again.address) == WorkflowExecutionStatus.RUNNING
    assert [name for name, identity in children.items() if identity.process()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
async def test_no_child_outlives_a_killed_supervisor(make, start, until):
    settings = make()
    running = await start(settings)
    children = read_state(settings.home).children
    os.kill(running.pid, signal.SIGKILL)
    await until(lambda: not any(identity.process() for identity in children.values()))


async def test_children_that_an_engine_left_behind_are_ended_at_the_next_start(make, start):
    settings = make()
    settings.home.mkdir()
    orphan, other = sleeper(), sleeper()
    reused = ProcessId.of(other.pid)
    left = {
        "temporal": ProcessId.of(orphan.pid),
        # The pid is used again by a process that is not ours.
        "worker": reused.model_copy(update={"create_time": reused.create_time - 99}),
    }
    state = read_state(settings.home).model_copy(update={"children": left})
    (settings.home / "engine.json").write_text(state.model_dump_json())
    await start(settings)
    assert orphan.poll() is not None
    assert other.poll() is None
    other.kill()
    other.wait()


async def test_stop_ends_every_process_and_keeps_the_ports(make, start):
    settings = make()
    running = await start(settings)
    processes = read_state(settings.home).children.values()
    assert await stop(settings)
    assert [p for p in processes if p.process()] == []
    assert status(settings) is None
    assert not await stop(settings)
    assert (await start(settings)).address == running.address


async def test_a_worker_that_ends_can_still_report_to_the_server(make, start, until, monkeypatch):
    reports = (
        "import signal, socket, time; from crp.config import load_settings\n"
        "from crp.local.state import read_state\n"
        "home = load_settings().home\n"
        "def end(*_):\n"
        "    time.sleep(0.5)\n"
        "    socket.create_connection(('127.0.0.1', read_state(home).port), 2)\n"
        "    (home / 'reported').touch()\n"
        "    raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "(home / 'up').touch()\n"
        "time.sleep(600)"
    )
    settings = make()
    monkeypatch.setenv("STAND_INS", json.dumps({"worker": reports}))
    await start(settings)
    await until((settings.home / "up").exists)
    await stop(settings)
    assert await until((settings.home / "reported").exists, within=1)


async def test_an_engine_without_client_and_job_ends_by_itself(make, start, until):
    settings = make(embedded={"idle_minutes": 0.02})
    running = await start(settings)
    await begin_job(running.address)
    release(settings)
    client = await Client.connect(running.address)
    await asyncio.sleep(2)
    assert status(settings) is not None, "it ended although a job is running"
    await client.get_workflow_handle("job-1").terminate()
    await until(lambda: status(settings) is None)
    assert read_state(settings.home).phase == "stopped"


async def test_histories_are_kept_as_long_as_the_settings_say(make, start):
    settings = make(embedded={"retention_days": 7})
    client = await Client.connect((await start(settings)).address)
    found = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    kept = found.config.workflow_execution_retention_ttl.ToTimedelta()
    assert kept == timedelta(days=7)


async def test_it_is_seen_whether_a_worker_waits_for_tasks(make, start, until):
    running = await start(make())
    probe = Probe(running.address, running.namespace)
    assert not await probe.polled("some-queue")
    client = await Client.connect(running.address)
    async with Worker(client, task_queue="some-queue", activities=[nothing]), asyncio.timeout(20):
        while not await probe.polled("some-queue"):  # noqa: ASYNC110 - the server knows
            await asyncio.sleep(0.05)


async def test_jobs_can_be_listed_by_their_search_attributes(make, start):
    client = await Client.connect((await start(make())).address)
    query = "CrpTaskType='a' AND CrpTemplate='b' AND CrpModel='c' AND CrpQuality > 0.5"
    query += " AND CrpComplexity = 1 AND CrpBatch = 'd' AND CrpStatus = 'e'"
    assert [job async for job in client.list_workflows(query)] == []


async def test_a_model_that_the_engine_does_not_know_starts_it_again_with_both(make, start):
    first, other = make(), ModelSettings(base_url="http://127.0.0.1:9/v1", name="other")
    running = await start(first)
    await begin_job(running.address)
    second = make(models={**first.models, "big": other})
    again = await start(second)
    assert again.pid != running.pid
    assert await job_status(again.address) == WorkflowExecutionStatus.RUNNING
    assert (await start(first)).pid == again.pid


async def test_ctrl_c_ends_a_foreground_engine_in_order_with_exit_code_0(make, start, until):
    settings = make()
    script = Path(__file__).with_name("stand_in_engine.py")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), "--foreground"), env=passed_on(settings, os.environ)
    )
    await until(lambda: (found := status(settings)) and found.phase == "running")
    assert status(settings).foreground
    children = read_state(settings.home).children.values()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert [c for c in children if c.process()] == []


async def test_a_foreground_engine_takes_over_from_one_that_a_client_started(make, start, until):
    settings = make()
    first = await start(settings)
    await begin_job(first.address)
    script = Path(__file__).with_name("stand_in_engine.py")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), "--foreground"), env=passed_on(settings, os.environ)
    )
    await until(
        lambda: (found := status(settings)) and found.foreground and found.phase == "running"
    )
    again = await start(settings)
    assert (again.pid, again.address) == (process.pid, first.address)
    assert await job_status(again.address) == WorkflowExecutionStatus.RUNNING
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_second_foreground_engine_is_refused_with_the_pid_of_the_first(make, until):
    settings = make()
    script = Path(__file__).with_name("stand_in_engine.py")
    command = (sys.executable, str(script), "--foreground")
    environment = passed_on(settings, os.environ)
    first = await asyncio.create_subprocess_exec(*command, env=environment)
    await until(lambda: (found := status(settings)) and found.phase == "running")
    second = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    _, words = await second.communicate()
    assert second.returncode != 0
    assert f"already runs for {settings.home} (pid {first.pid})" in words.decode()
    first.kill()
    await first.wait()


async def test_a_child_sees_exactly_the_settings_of_the_client(make, start, until, monkeypatch):
    settings = make(models={"default": ModelSettings(name="x"), "big": ModelSettings(name="y")})
    report = (
        "import json,os,time; from crp.config import load_settings; s = load_settings()\n"
        "(s.home / 'seen').write_text(json.dumps([s.models['big'].name, os.getcwd()]))\n"
        "time.sleep(600)"
    )
    monkeypatch.setenv("STAND_INS", json.dumps({"worker": report}))
    monkeypatch.setenv("CRP_MODELS__BIG__NAME", "from the environment")
    await start(settings)
    await until((settings.home / "seen").exists)
    seen = await until(lambda: json.loads((settings.home / "seen").read_text() or "null"))
    assert seen == ["y", str(settings.home)]
