"""Steering jobs from the command line and from code, on a real engine with a scripted model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest

from crp import control
from crp.client import Engine, connect_running, exists, handle
from crp.config import load_settings
from crp.errors import NotFound, UsageError
from crp.models import Approval, Event
from tests.support.model_server import ModelServer, prompt_of

pytestmark = pytest.mark.slow

TEXT = "The root and the leaf drink water in the evening light of the garden."
GARDEN = """\
format: 1
template: garden
complexity: 3
probe: no
steps:
  roots:
    prompt: Describe the ROOTS.
    scaffold: none
  leaves:
    prompt: Describe the LEAVES.
    scaffold: none
    checks: [{mentions: leaf}]
    on_fail: [skip]
  advice:
    prompt: |
      {{ roots }} / {{ leaves | default('none') }}
      Give the ADVICE.
    scaffold: none
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(text=TEXT) as serving:
        yield serving


@pytest.fixture(autouse=True)
def templates(cli: Any) -> None:
    folder = cli.work / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "garden.yaml").write_text(GARDEN)


@pytest.fixture
def words(server: ModelServer) -> Callable[..., list[str]]:
    """The words of a task that the template takes; each test asks its own."""

    def made(task: str, behaviour: str = "ok") -> list[str]:
        model = ["--base-url", server.base_url, "--model", f"behave/{behaviour}"]
        return ["run", task, "-t", "garden", *model]

    return made


@pytest.fixture
async def engine(cli: Any) -> Engine:
    cli.run("jobs", "list")
    found = await connect_running(load_settings(cli.home))
    assert found is not None
    return found


def asked(server: ModelServer, since: int) -> list[str]:
    words = ("ROOTS", "LEAVES", "BUDS", "ADVICE")
    prompts = [prompt_of(body) for body in server.requests[since:]]
    return [next(w for w in words if f" the {w}" in prompt) for prompt in prompts]


def status_of(cli: Any, job: str) -> str:
    rows = json.loads(cli.run("jobs", "list", "--json").stdout)
    return next(row["status"] for row in rows if row["job_id"] == job)


def comes(cli: Any, job: str, status: str) -> None:
    for _ in range(60):
        if status_of(cli, job) == status:
            return
        time.sleep(0.2)
    raise AssertionError(f"{job} is never {status}: {status_of(cli, job)}")


def refusal(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line of a command that was refused."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    return line.removeprefix("error: ")


# -- approve ---------------------------------------------------------------------------------------


def test_a_plan_waits_for_a_person_is_shown_edited_and_run(
    cli: Any, server: ModelServer, words: Any
) -> None:
    before = server.calls
    job = cli.run(*words("Plan the beds"), "--approve", "--detach").stdout.strip()
    comes(cli, job, "awaits approval")
    assert "awaits approval" in cli.run("jobs", "show", job).stdout
    shown = cli.run("jobs", "approve", "plan-beds", "--show").stdout
    assert "calls   likely 3, worst" in shown
    assert "tokens  likely" in shown
    plan = json.loads(cli.run("jobs", "approve", job, "--show", "--json").stdout)["plan"]
    assert [step["id"] for step in plan["steps"]] == ["roots", "leaves", "advice"]
    assert "no step twigs" in refusal(cli.run("jobs", "approve", job, "--drop", "twigs"))
    assert server.calls == before

    done = edit(cli, job, "sed -i s/prompt:/promt:/")
    assert done.returncode == 3
    assert "garden.yaml:7:5: error:" in done.stderr
    assert "    ^^^^^" in done.stderr
    assert "your text is kept" in done.stderr
    assert "nothing was changed" in refusal(edit(cli, job, "true"))
    assert "ended with 1" in refusal(edit(cli, job, "false"))
    assert "can not be started" in refusal(edit(cli, job, "no-such-editor"))
    assert server.calls == before

    assert edit(cli, job, "sed -i s/LEAVES/BUDS/").stdout.startswith(f"{job}: approved by ")
    assert TEXT in cli.run("jobs", "watch", job).stdout
    assert sorted(asked(server, before)) == ["ADVICE", "BUDS", "ROOTS"]
    assert "no plan of" in refusal(cli.run("jobs", "approve", job), 2)


def edit(cli: Any, job: str, editor: str) -> subprocess.CompletedProcess[str]:
    environment = {**cli.environment, "EDITOR": editor, "TMPDIR": str(cli.work)}
    environment.pop("VISUAL", None)
    return subprocess.run(
        [sys.executable, "-m", "crp", "jobs", "approve", job, "--edit"],
        cwd=cli.work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_step_can_be_left_out_and_the_approval_says_by_whom(
    cli: Any, server: ModelServer, words: Any
) -> None:
    before = server.calls
    job = cli.run(*words("Plan the trees"), "--approve", "--detach").stdout.strip()
    comes(cli, job, "awaits approval")
    done = cli.run("jobs", "approve", job, "--drop", "leaves", "--by", "Ann", "--json")
    assert json.loads(done.stdout)["drop"] == ["leaves"]
    watched = cli.run("jobs", "watch", job)
    assert "approved by Ann, without leaves" in watched.stderr
    assert "taken out by Ann" in watched.stderr
    assert sorted(asked(server, before)) == ["ADVICE", "ROOTS"]
    before = server.calls
    forked = cli.run("jobs", "fork", job, "--from", "advice", "--detach").stdout.strip()
    assert "taken out by Ann" in cli.run("jobs", "watch", forked).stderr
    assert asked(server, before) == ["ADVICE"], "a fork leaves out what the person left out"


def test_a_template_with_mistakes_is_not_sent(cli: Any, words: Any) -> None:
    job = cli.run(*words("Plan the pond"), "--approve", "--detach").stdout.strip()
    comes(cli, job, "awaits approval")
    (cli.work / "broken.yaml").write_text(GARDEN.replace("{{ roots }}", "{{ rots }}"))
    done = cli.run("jobs", "approve", job, "--template", "broken.yaml")
    assert done.returncode == 3
    assert 'did you mean "roots"' in done.stderr
    assert refusal(cli.run("jobs", "approve", job, "-t", "none.yaml"), 4)
    assert status_of(cli, job) == "awaits approval"
    cli.run("jobs", "cancel", job)


# -- pause and resume ------------------------------------------------------------------------------


def test_a_paused_job_starts_nothing_says_what_to_type_and_goes_on(
    cli: Any, server: ModelServer, words: Any, until: Any
) -> None:
    before = server.calls
    job = cli.run(*words("Plan the lawn"), "--approve", "--detach").stdout.strip()
    comes(cli, job, "awaits approval")
    assert cli.run("jobs", "pause", "plan-lawn", "--by", "Ann").stdout == f"{job}: paused by Ann\n"
    assert refusal(cli.run("jobs", "pause", job)) == "the job is paused already, by Ann"
    assert status_of(cli, job) == "paused"
    assert f"crp jobs resume {job}" in cli.run("jobs", "show", job).stdout
    cli.run("jobs", "resume", job)
    comes(cli, job, "awaits approval")
    cli.run("jobs", "pause", job, "--by", "Ann")
    cli.run("jobs", "approve", job)
    watching = cli.start("jobs", "watch", job)
    assert "paused by Ann" in until(watching, f"crp jobs resume {job}")
    until(watching, "leaves: running")
    goodbye = cli.interrupt(watching)
    assert watching.returncode == 130
    assert f"crp jobs watch {job}" in goodbye
    assert server.calls == before
    at = len(json.loads(cli.run("jobs", "history", job, "--json").stdout)) - 1
    then = json.loads(cli.run("jobs", "history", job, "--at", str(at), "--json").stdout)
    assert (then["status"], then["paused_by"]) == ("paused", "Ann")
    assert [s["status"] for s in then["steps"]] == ["running", "running", "waiting"]

    assert json.loads(cli.run("jobs", "resume", job, "--json").stdout)["paused_by"] == ""
    assert TEXT in cli.run("jobs", "watch", job).stdout
    assert refusal(cli.run("jobs", "resume", job)).startswith(f"the job {job} is over")
    assert refusal(cli.run("jobs", "pause", "nobody-knows-it"), 4)


# -- budgets and turns -----------------------------------------------------------------------------


def test_a_budget_ends_a_job_with_what_is_there(cli: Any, server: ModelServer, words: Any) -> None:
    before = server.calls
    done = cli.run(*words("Plan the hedge"), "--max-calls", "2", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["status"]) == (0, "incomplete")
    assert any("budget of 2 calls" in note for note in result["notes"])
    assert server.calls == before + 2
    assert "above 0" in refusal(cli.run(*words("Plan it"), "--max-cost", "-1"))
    assert "64 bytes" in refusal(cli.run(*words("Plan it"), "--fairness-key", "k" * 65))


async def test_priority_and_fairness_reach_every_model_call(
    cli: Any, words: Any, engine: Engine
) -> None:
    turn = ("--priority", "2", "--fairness-key", "ann")
    job = json.loads(cli.run(*words("Plan the shed"), *turn, "--json").stdout)["job_id"]
    started = (await handle(engine, job).fetch_history()).events[0]
    given = started.workflow_execution_started_event_attributes.priority
    assert (given.priority_key, given.fairness_key) == (2, "ann")


# -- fork and retry --------------------------------------------------------------------------------


def test_a_fork_asks_one_step_anew_and_says_what_it_reused(
    cli: Any, server: ModelServer, words: Any
) -> None:
    job = json.loads(cli.run(*words("Plan the path"), "--json").stdout)["job_id"]
    before = server.calls
    (cli.work / "other.yaml").write_text(GARDEN.replace("the LEAVES", "the BUDS"))
    done = cli.run("jobs", "fork", job, "--from", "leaves", "--template", "other.yaml", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["job_id"].startswith(f"{job}-fork-")
    assert asked(server, before) == ["BUDS", "ADVICE"]
    assert result["usage"]["calls"] == 2
    assert f"reused: 1 answers of {job}, free; 2 asked anew" in done.stderr

    before = server.calls
    (cli.work / "third.yaml").write_text(GARDEN.replace("the ROOTS", "the BUDS"))
    done = cli.run("jobs", "fork", job, "--template", "third.yaml", "--json")
    assert asked(server, before) == ["BUDS", "ADVICE"], "what changed is found without --from"
    assert f"reused: 1 answers of {job}, free; 2 asked anew" in done.stderr

    again = cli.run("jobs", "fork", result["job_id"], "--from", "advice", "--detach")
    assert again.stdout.startswith(f"{job}-fork-")
    assert again.stdout.count("-fork-") == 1
    assert "no step 'twigs'" in refusal(cli.run("jobs", "fork", job, "--from", "twigs"))
    assert refusal(cli.run("jobs", "fork", job, "--template", "nothing-like-it"), 4)
    cli.run("jobs", "watch", again.stdout.strip())


async def test_a_job_whose_history_is_gone_is_forked_from_its_record(
    cli: Any, server: ModelServer, words: Any, engine: Engine
) -> None:
    job = json.loads(cli.run(*words("Plan the wall"), "--json").stdout)["job_id"]
    before = server.calls
    await engine.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace="default",
            workflow_execution={"workflow_id": job},  # type: ignore[arg-type]
        )
    )
    for _ in range(100):
        if not await exists(engine, job):
            break
        await asyncio.sleep(0.1)
    made = await control.fork(engine, job, step="advice")
    assert (await handle(engine, made).result()).answer == TEXT
    assert asked(server, before) == ["ADVICE"]
    with pytest.raises(NotFound, match="no job 'never-was'"):
        await control.fork(engine, "never-was")


def test_a_retry_asks_anew_only_what_failed(cli: Any, server: ModelServer, words: Any) -> None:
    needed = GARDEN.replace("{{ leaves | default('none') }}", "{{ leaves }}")
    (cli.work / "templates" / "garden.yaml").write_text(needed)
    server.text = "The root drinks water in the evening light of the garden."
    try:
        done = cli.run(*words("Plan the gate"), "--json")
    finally:
        server.text = TEXT
    first = json.loads(done.stdout)
    assert first["status"] == "incomplete"
    before = server.calls
    retried = cli.run("jobs", "retry", first["job_id"], "--json")
    assert json.loads(retried.stdout)["status"] == "completed", retried.stderr
    assert asked(server, before) == ["LEAVES", "ADVICE"]
    again = refusal(cli.run("jobs", "retry", json.loads(retried.stdout)["job_id"]))
    assert again.startswith("nothing failed in the job ")


def test_a_job_that_runs_is_not_retried_and_a_cancelled_one_is_gone_on_with(
    cli: Any, server: ModelServer, words: Any, until: Any
) -> None:
    server.script += ["ok", "ok", "hang"]
    watching = cli.start(*words("Plan the roof"))
    until(watching, "advice: running")
    assert "still runs" in refusal(cli.run("jobs", "retry", "plan-roof"))
    cli.run("jobs", "cancel", "plan-roof")
    watching.communicate(timeout=30)
    before = server.calls
    job = json.loads(cli.run("jobs", "list", "--json").stdout)[0]["job_id"]
    done = cli.run("jobs", "retry", job)
    assert done.returncode == 0, done.stderr
    assert asked(server, before) == ["ADVICE"]
    assert "reused: 2 answers" in done.stderr


# -- live ------------------------------------------------------------------------------------------


def test_with_stream_the_text_is_shown_as_it_is_written(cli: Any, words: Any) -> None:
    command = words("Where is the well?", "slow:0.6")
    command[command.index("garden")] = "direct-question"
    done = cli.run(*command, "--stream")
    assert done.stdout == f"{TEXT}\n"
    told = [line for line in done.stderr.splitlines() if "tokens: The root" in line]
    assert told
    assert all(line.startswith("... ") for line in told)


async def test_from_code_a_job_is_steered_and_its_events_come_as_they_happen(
    cli: Any, words: Any, engine: Engine
) -> None:
    job = cli.run(*words("Plan the bench", "slow:0.8"), "--approve", "--detach").stdout.strip()
    kinds: list[str] = []
    async for item in control.stream(engine, job):
        kinds.append(item.kind)
        if item.kind == "approval.awaited":
            with pytest.raises(UsageError, match="no step twigs"):
                await control.approve(engine, job, Approval(by="Ann", drop=("twigs",)))
            await control.approve(engine, job, Approval(by="Ann"))
            await control.pause(engine, job, by="Ann")
            assert (await control.standing(engine, job)).paused_by == "Ann"
            await control.resume(engine, job, by="Ann")
    assert "progress" in kinds
    events = await control.history(engine, job)
    assert [e.kind for e in events] == [k for k in kinds if k != "progress"][: len(events)]
    assert control.past(events).status == "completed"


async def test_who_stops_to_listen_leaves_the_job_running(
    cli: Any, words: Any, engine: Engine
) -> None:
    job = cli.run(*words("Plan the oven", "late:2"), "--detach").stdout.strip()
    async for item in control.stream(engine, job):
        assert isinstance(item, Event)
        break
    assert (await handle(engine, job).result()).answer == TEXT
