"""Jobs on a real engine with a scripted model server: watching, leaving, coming back, ending."""

import json
import os
import signal
import socket

import pytest

from crp.local.state import read_state
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.slow

ANSWER = "Lyon lies on the Rhone."


@pytest.fixture(scope="module")
def server():
    with ModelServer(text=ANSWER) as serving:
        yield serving


@pytest.fixture
def words(server):
    """The words of a direct question; each test asks its own."""

    def made(task, behaviour="ok"):
        model = f"behave/{behaviour}"
        return [
            "run",
            task,
            "-t",
            "direct-question",
            "--base-url",
            server.base_url,
            "--model",
            model,
        ]

    return made


def job_of(said):
    return next(line for line in said.splitlines() if line.startswith("job ")).split()[1]


def test_in_a_pipe_the_answer_alone_is_on_stdout_and_every_event_is_a_line_on_stderr(cli, words):
    done = cli.run(*words("Where is Lyon?"))
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n")
    for told in (
        "job started",
        "template direct-question",
        "gate:",
        "attempt 1",
        "quality",
        "cost:",
    ):
        assert told in done.stderr
    assert "\x1b" not in done.stderr


def test_with_json_stdout_is_the_result_and_nothing_else(cli, words):
    done = cli.run(*words("Where is the town of Lyon?"), "--json")
    result = json.loads(done.stdout)
    assert (result["status"], result["answer"]) == ("completed", ANSWER)
    assert result["usage"]["calls"] == 1


def test_what_a_model_writes_can_not_steer_the_terminal(cli, words):
    done = cli.run(*words("Where is the bell?", "control"))
    assert "bell" in done.stdout
    assert not any(c in done.stdout + done.stderr for c in "\x07\x1b\x00")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_job_running_and_the_same_command_goes_on_with_it(
    cli, server, words, until, number
):
    command = words(f"Where is the place of {number.name}?", "late:4")
    watching = cli.start(*command)
    job = job_of(until(watching, "gate:"))
    calls = server.calls
    said = cli.interrupt(watching, number)
    assert watching.returncode == 130
    assert f"crp jobs watch {job}" in said
    assert f"crp jobs cancel {job}" in said
    again = cli.run(*command)
    assert f"job {job} runs already" in again.stderr
    assert again.stdout == f"{ANSWER}\n"
    assert server.calls <= calls + 1


def test_a_job_is_watched_by_the_beginning_of_its_id(cli, words, until):
    watching = cli.start(*words("Where is my watched kettle?", "late:9"))
    until(watching, "gate:")
    cli.interrupt(watching)
    listed = json.loads(cli.run("jobs", "list", "--running", "--json").stdout)
    assert [row["status"] for row in listed] == ["running"]
    assert cli.run("jobs", "watch", "where-my-watched").stdout == f"{ANSWER}\n"


def test_with_new_a_second_job_of_the_same_request_is_started(cli, words):
    command = words("Where is the second one?", "late:9")
    first = cli.run(*command, "--detach").stdout.strip()
    second = cli.run(*command, "--detach", "--new").stdout.strip()
    third = cli.run(*command, "--detach").stdout.strip()
    assert first != second
    assert third in (first, second)


def test_a_cancelled_job_says_what_was_there_and_is_recorded(cli, words, until):
    watching = cli.start(*words("Where is the end of it?", "hang"))
    job = job_of(until(watching, "gate:"))
    cancelled = cli.run("jobs", "cancel", job)
    assert cancelled.returncode == 0
    assert f"{job}: cancelled after" in cancelled.stdout
    assert "cancelled" in watching.communicate(timeout=30)[1]
    assert watching.returncode == 1
    assert json.loads(cli.run("jobs", "show", job, "--json").stdout)["status"] == "cancelled"
    again = cli.run("jobs", "cancel", job)
    assert again.returncode == 2
    assert "over already" in again.stderr


def test_a_model_server_that_is_down_is_said_to_be_tried_again_until_it_is_there(cli, until):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    asking = cli.start("run", "Where is it?", "-t", "direct-question", "--base-url", url)
    assert "attempt" in until(asking, "whole task: .*refused")
    with ModelServer(text=ANSWER, port=port):
        out, _ = asking.communicate(timeout=60)
    assert (asking.returncode, out) == (0, f"{ANSWER}\n")


def test_a_job_that_fails_is_one_line_and_exit_code_1(cli, words):
    done = cli.run(*words("Where is the key?", "echo_key"), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "failed"
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "401" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_story_of_a_job_has_gate_attempts_and_answer(cli, words):
    job = cli.run(*words("Where is the story?"), "--json")
    told = cli.run("jobs", "show", json.loads(job.stdout)["job_id"]).stdout
    for part in ("gate:", "attempt 1", ANSWER, "completed"):
        assert part in told


def test_an_id_that_fits_several_jobs_names_them(cli, words):
    cli.run(*words("Where is a twin?"))
    cli.run(*words("Where is a twin?"))
    done = cli.run("jobs", "show", "where-twin")
    assert done.returncode == 4
    assert done.stderr.count("where-twin-") == 2


def test_sql_is_answered_by_the_owner_of_the_store_while_an_engine_runs(cli, words):
    cli.run(*words("Where is the SQL?"))
    done = cli.run("sql", "select stage, count(*) n from attempts group by all", "--json")
    assert {row["stage"] for row in json.loads(done.stdout)} >= {"probe"}
    assert cli.run("sql", "select nothing").returncode == 7


def test_an_answer_is_not_kept_back_when_the_trace_store_does_not_answer(cli, words, until):
    asking = cli.start(*words("Where is the store?", "late:2"))
    until(asking, "gate:")
    store = read_state(cli.home).children["store"].pid
    os.kill(store, signal.SIGSTOP)
    try:
        out, err = asking.communicate(timeout=60)
    finally:
        os.kill(store, signal.SIGCONT)
    assert (asking.returncode, out) == (0, f"{ANSWER}\n")
    assert "the trace is recorded as soon as it does" in err


def test_watching_survives_the_death_of_the_temporal_server(cli, words, until):
    asking = cli.start(*words("Where is the server?", "late:3"))
    until(asking, "gate:")
    os.kill(read_state(cli.home).children["temporal"].pid, signal.SIGKILL)
    out, _ = asking.communicate(timeout=60)
    assert (asking.returncode, out) == (0, f"{ANSWER}\n")


def test_watching_starts_the_engine_again_when_it_dies(cli, words, until):
    asking = cli.start(*words("Where is the engine?", "late:4"))
    until(asking, "gate:")
    os.kill(read_state(cli.home).supervisor.pid, signal.SIGKILL)
    out, err = asking.communicate(timeout=90)
    assert (asking.returncode, out) == (0, f"{ANSWER}\n"), err
    assert "starting it again" in err


def test_a_worker_joins_the_engine_and_ends_in_order_on_sigterm(cli, words, until):
    cli.run(*words("Where is one more worker?"))
    worker = cli.start("worker", "--role", "work")
    until(worker, "works for Temporal")
    cli.interrupt(worker, signal.SIGTERM)
    assert worker.returncode == 0


def test_up_says_where_everything_is_and_ctrl_c_ends_it(cli, until):
    cli.run("down")
    (cli.work / "crp.toml").write_text('[models.default]\nbase_url = "http://127.0.0.1:9/v1"\n')
    up = cli.start("up")
    said = until(up, "logs ")
    assert f"127.0.0.1:{read_state(cli.home).port}" in said
    assert str(cli.home) in said
    said = cli.interrupt(up)
    assert up.returncode == 0
    assert "has ended" in said
    assert cli.run("down").stderr.startswith("no engine runs")
