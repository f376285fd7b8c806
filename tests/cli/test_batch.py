"""`crp batch`: refused before anything starts, or done whatever happens, each task once."""

import json
import os
import signal

import pytest

from crp.local.state import read_state
from tests.support.model_server import ModelServer, prompt_of

ANSWER = "Lyon lies on the Rhone."


def write(path, *records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return str(path)


def towns(folder, name, count, **more):
    """A file of tasks, each of which asks something else."""
    records = [{"id": f"t{n}", "task": f"Where is {name} {n}?", **more} for n in range(count)]
    return write(folder / f"{name}.jsonl", *records)


# -- without an engine ----------------------------------------------------------------------------


def test_all_mistakes_are_told_with_their_lines_and_nothing_is_started(crp, tmp_path):
    path = write(
        tmp_path / "tasks.jsonl",
        {"id": "a", "task": "Where is Lyon?"},
        {"id": "b", "task": "Where?", "template": "direct-questoin"},
        {"id": "c", "task": "Where?", "model": "none"},
        {"id": "d", "task": "Where?", "template": "comparison", "input": {"thing": "x"}},
        {"id": "a", "task": "Where is Lyon?"},
    )
    done = crp("batch", path)
    assert done.exit_code == 2
    for number, word in ((2, "direct-question"), (3, "'none'"), (4, "'thing'"), (5, "already")):
        (line,) = [x for x in done.stderr.splitlines() if f"tasks.jsonl:{number}: " in x]
        assert word in line
    assert not (tmp_path / "tasks.results.jsonl").exists()
    assert not (tmp_path / "home" / "temporal.db").exists()


def test_a_dry_run_tells_jobs_and_calls_and_starts_nothing(crp, tmp_path):
    path = write(
        tmp_path / "tasks.jsonl",
        {"task": "Compare tea and coffee", "template": "comparison"},
        {"task": "Compare oak, birch and elm", "template": "comparison"},
        {"task": "Where is Lyon?", "template": "direct-question"},
    )
    told = json.loads(crp("batch", path, "--dry-run", "--json").stdout)
    jobs = {one["template"]: one["jobs"] for one in told["templates"]}
    assert jobs == {"comparison": 2, "direct-question": 1}
    assert told["total"]["calls_worst"] >= told["total"]["calls_likely"] >= 3
    shown = crp("batch", path, "--dry-run", "--limit", "1")
    assert "comparison" in shown.stdout
    assert "direct-question" not in shown.stdout
    assert not (tmp_path / "home" / "temporal.db").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "-", "--json"], "--out -"),
        (["--max-cost", "5"], "has a price"),
        (["--name", "a b"], "--name"),
        (["--job-max-cost", "5"], "has a price"),
        (["--job-max-seconds", "0"], "--job-max-seconds 0"),
        (["--fairness-key", "k" * 65], "64 bytes"),
        (["-t", "nothing"], "no template"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(crp, tmp_path, words, told):
    path = towns(tmp_path, "a", 1)
    done = crp("batch", path, *words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_files_that_are_no_lists_need_a_task(crp, tmp_path):
    (tmp_path / "a.md").write_text("facts")
    done = crp("batch", str(tmp_path / "a.md"))
    assert done.exit_code == 2
    assert "--task" in done.stderr


# -- with one -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    with ModelServer(text=ANSWER) as serving:
        yield serving


@pytest.fixture
def batch(cli, server):
    """Gives the words of a batch whose model behaves in some way."""
    toml = "".join(
        f'[models.{alias}]\nbase_url = "{server.base_url}"\nname = "behave/{behaviour}"\n'
        "concurrency = 16\n"
        for alias, behaviour in (("ok", "ok"), ("late", "late:2"), ("hang", "hang"))
    )
    (cli.work / "crp.toml").write_text(toml)

    def words(path, alias="ok"):
        return ["batch", str(path), "-t", "direct-question", "--model", alias]

    return words


def asked(server, name):
    """How often the model was asked about the tasks of a file."""
    return sum(f"Where is {name} " in prompt_of(body) for body in server.requests)


def results(cli, name):
    path = cli.work / f"{name}.results.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_every_task_has_a_line_and_the_same_command_again_asks_nothing(cli, server, batch):
    path = towns(cli.work, "Ahem", 12)
    done = cli.run(*batch(path), "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["tasks"], made["completed"], made["usage"]["calls"]) == (12, 12, 12)
    lines = results(cli, "Ahem")
    assert {line["id"] for line in lines} == {f"t{n}" for n in range(12)}
    assert {line["answer"] for line in lines} == {ANSWER}
    again = json.loads(cli.run(*batch(path), "--json").stdout)
    assert (again["done_before"], again["completed"]) == (12, 12)
    assert asked(server, "Ahem") == 12


@pytest.mark.slow
def test_results_that_were_lost_are_fetched_and_a_new_name_asks_anew(cli, server, batch):
    path = towns(cli.work, "Bree", 5)
    cli.run(*batch(path))
    (cli.work / "Bree.results.jsonl").unlink()
    again = json.loads(cli.run(*batch(path), "--json").stdout)
    assert (again["found"], again["completed"]) == (5, 5)
    assert asked(server, "Bree") == 5
    cli.run(*batch(path), "--name", "other", "--out", "other.jsonl")
    assert asked(server, "Bree") == 10


@pytest.mark.slow
def test_a_task_that_was_changed_is_asked_again_and_the_others_are_not(cli, server, batch):
    path = cli.work / "Cole.jsonl"
    write(path, {"id": "a", "task": "Where is Cole 1?"}, {"id": "b", "task": "Where is Cole 2?"})
    cli.run(*batch(path))
    write(path, {"id": "a", "task": "Where is Cole 1?"}, {"id": "b", "task": "Where is Cole 3?"})
    done = cli.run(*batch(path))
    assert done.returncode == 0, done.stderr
    assert [line["id"] for line in results(cli, "Cole")][2:] == ["b"]
    assert asked(server, "Cole") == 3


@pytest.mark.slow
def test_failures_are_told_by_reason_and_tried_again_when_asked(cli, server, batch):
    path = towns(cli.work, "Dale", 4)
    server.script = ["echo_key", "echo_key"]
    done = cli.run(*batch(path), "--json")
    assert done.returncode == 1
    made = json.loads(done.stdout)
    assert (made["completed"], made["failed"]) == (2, 2)
    ((why, count),) = made["reasons"].items()
    assert "401" in why
    assert count == 2
    assert "--retry-failed" in done.stderr
    assert cli.run(*batch(path)).returncode == 1  # nothing new, and still not good
    assert asked(server, "Dale") == 4
    again = cli.run(*batch(path), "--retry-failed", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["completed"] == 4
    assert asked(server, "Dale") == 6


PAIR = """\
format: 1
template: pair
complexity: 3
probe: no
steps:
  first:
    prompt: Say something about the town.
    scaffold: none
  second:
    prompt: Say more than {{ first }}
    scaffold: none
"""


@pytest.mark.slow
def test_a_job_that_is_tried_again_keeps_what_it_was_answered(cli, server, batch):
    (cli.work / "templates").mkdir(exist_ok=True)
    (cli.work / "templates" / "pair.yaml").write_text(PAIR)
    path, before = towns(cli.work, "Esk", 1), server.calls
    words = ["batch", str(path), "-t", "pair", "--model", "ok", "--json"]
    server.script = ["ok", "echo_key"]
    assert json.loads(cli.run(*words).stdout)["failed"] == 1
    assert server.calls - before == 2
    again = cli.run(*words, "--retry-failed")
    assert json.loads(again.stdout)["completed"] == 1, again.stderr
    assert server.calls - before == 3
    assert "Say more than" in prompt_of(server.requests[-1])


@pytest.mark.slow
def test_the_same_batch_twice_at_the_same_time_runs_each_task_once(cli, server, batch):
    path = towns(cli.work, "Eton", 20)
    both = [cli.start(*batch(path), "--out", f"eton{n}.jsonl") for n in (1, 2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert asked(server, "Eton") == 20
    for n in (1, 2):
        lines = (cli.work / f"eton{n}.jsonl").read_text().splitlines()
        assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 20


@pytest.mark.slow
def test_two_batches_do_not_write_the_same_results(cli, batch, until):
    path = towns(cli.work, "Faro", 2)
    first = cli.start(*batch(path, "hang"), "--cancel-on-interrupt")
    until(first, "2 tasks to do")
    second = cli.run(*batch(path, "hang"))
    cli.interrupt(first)
    assert second.returncode == 2
    assert "another `crp batch`" in second.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_a_batch_that_was_stopped_goes_on_and_asks_nothing_twice(cli, server, batch, until, number):
    name = f"G{number.name}"
    path = towns(cli.work, name, 24)
    command = [*batch(path, "late"), "--at-once", "8"]
    process = cli.start(*command)
    until(process, r"^\d+ of 24")
    said = cli.interrupt(process, number)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "go on in the background" in said
        assert "same command" in said
    done = cli.run(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["completed"] == 24
    assert len({line["id"] for line in results(cli, name)}) == 24
    assert asked(server, name) == 24


@pytest.mark.slow
def test_with_cancel_on_interrupt_the_jobs_under_way_end(cli, batch, until):
    path = towns(cli.work, "Hull", 6)
    command = [*batch(path, "hang"), "--at-once", "3", "--cancel-on-interrupt"]
    process = cli.start(*command)
    deadline = 60
    while deadline and cli_running(cli) < 3:
        deadline -= 1
    said = cli.interrupt(process)
    assert process.returncode == 130
    assert "3 cancelled" in said
    assert [line["status"] for line in results(cli, "Hull")] == ["cancelled"] * 3
    assert cli_running(cli) == 0
    assert "--retry-failed" in said


def cli_running(cli):
    listed = cli.run("jobs", "list", "--running", "--json").stdout
    return sum(row["job_id"].startswith("hull-") for row in json.loads(listed or "[]"))


@pytest.mark.slow
def test_a_budget_stops_the_batch_and_says_so_over_all_its_runs(cli, server, batch):
    path = towns(cli.work, "Inver", 10)
    done = cli.run(*batch(path), "--max-calls", "4", "--json")
    assert done.returncode == 1
    made = json.loads(done.stdout)
    assert (made["completed"], made["not_started"]) == (4, 6)
    assert "limit of 4 calls" in made["stopped"]
    assert "6 tasks were not started" in done.stderr
    again = cli.run(*batch(path), "--max-calls", "7", "--json")
    assert json.loads(again.stdout)["completed"] == 7
    assert asked(server, "Inver") == 7
    rest = cli.run(*batch(path), "--limit", "2")
    assert rest.returncode == 0
    assert "1 tasks are left" in rest.stderr


@pytest.mark.slow
def test_each_job_of_a_batch_can_have_a_budget(cli, server, batch):
    path = towns(cli.work, "Kil", 2)
    words = [*batch(path), "-t", "generic-analysis", "--job-max-calls", "2", "--json"]
    told = json.loads(cli.run(*words).stdout)
    assert told["completed"] + told["incomplete"] + told["failed"] == 2
    assert asked(server, "Kil") <= 4
    notes = [note for line in results(cli, "Kil") for note in line["notes"]]
    assert any("budget of 2 calls" in note for note in notes)


@pytest.mark.slow
def test_results_can_go_to_stdout_and_tasks_come_from_csv_and_from_files(cli, server, batch):
    (cli.work / "j.csv").write_text("id,task,model\n1,Where is Jena 1?,late\n2,Where is Jena 2?,\n")
    done = cli.run(*batch("j.csv"), "--out", "-")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["2", "1"]
    for n in (1, 2):
        (cli.work / f"j{n}.txt").write_text(f"Jena {n} lies on the Saale.")
    done = cli.run(*batch("j?.txt"), "--task", "Where is Jena?")
    assert done.returncode == 0, done.stderr
    lines = results(cli, "where-jena")
    assert {line["id"] for line in lines} == {"j1.txt", "j2.txt"}
    assert any("Jena 2 lies on" in prompt_of(body) for body in server.requests)


@pytest.mark.slow
def test_a_batch_survives_the_death_of_the_engine(cli, server, batch, until):
    path = towns(cli.work, "Kiel", 24)
    process = cli.start(*batch(path, "late"), "--at-once", "8", "--json")
    until(process, r"^\d+ of 24")
    os.kill(read_state(cli.home).supervisor.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    assert "starting it again" in err
    assert json.loads(out)["completed"] == 24
    # A call that was under way when its worker died is made again; none that had answered is.
    assert 24 <= asked(server, "Kiel") <= 24 + 8
