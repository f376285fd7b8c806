"""`crp schedule`: jobs that start by themselves on the embedded engine."""

import json
import time

import pytest

from crp.cli.schedule import Overlap
from crp.schedules import OVERLAPS, local_zone
from tests.support.model_server import ModelServer, prompt_of

ANSWER = "Lyon lies on the Rhone."
NEVER = "0 0 1 1 *"
"""Not while the tests run, unless it is New Year."""


def test_every_overlap_of_the_command_line_is_one_of_temporal():
    assert [one.value for one in Overlap] == list(OVERLAPS)


def test_the_time_zone_is_that_of_the_machine(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert local_zone() == "Europe/Berlin"
    monkeypatch.setenv("TZ", "nonsense/zone")
    assert local_zone() == "UTC"


def test_where_no_job_ever_ran_there_are_no_schedules_and_no_engine_is_started(crp, tmp_path):
    assert crp("schedule", "list", "--json").stdout.strip() == "[]"
    assert crp("schedule", "show", "news").exit_code == 4
    assert not (tmp_path / "home" / "temporal.db").exists()


@pytest.fixture(scope="module")
def server():
    with ModelServer(text=ANSWER) as serving:
        yield serving


@pytest.fixture
def create(cli, server):
    (cli.work / "crp.toml").write_text(
        f'[models.ok]\nbase_url = "{server.base_url}"\nname = "m"\n'
        f'[models.hang]\nbase_url = "{server.base_url}"\nname = "behave/hang"\n'
    )

    def made(name, *words, task="Where is Lyon?", cron=NEVER, model="ok"):
        options = ["-t", "direct-question", "--model", model, "--time-zone", "UTC", *words]
        return cli.run("schedule", "create", name, task, "--cron", cron, *options)

    return made


def shown(cli, name):
    return json.loads(cli.run("schedule", "show", name, "--json").stdout)


def jobs_of(cli, name, count):
    """Wait until a schedule has started so many jobs; give their ids, newest first."""
    for _ in range(100):
        jobs = shown(cli, name)["jobs"]
        if len(jobs) >= count:
            return jobs
        time.sleep(0.2)
    raise AssertionError(f"{name} has started {jobs}")


@pytest.mark.slow
def test_each_job_of_a_schedule_is_a_job_of_its_own_with_a_record(cli, create):
    assert create("weekly").returncode == 0
    ids = []
    for count in (1, 2):
        assert cli.run("schedule", "trigger", "weekly").returncode == 0
        ids.append(jobs_of(cli, "weekly", count)[0])
        assert cli.run("jobs", "watch", ids[-1]).stdout == f"{ANSWER}\n"
        time.sleep(1.1)  # Temporal names them by the second
    assert len(set(ids)) == 2
    for job in ids:
        assert job.startswith("weekly-20")
        told = json.loads(cli.run("jobs", "show", job, "--json").stdout)
        assert (told["job_id"], told["status"]) == (job, "completed")
    query = "select job_id, submitted_at from jobs where job_id like 'weekly-%'"
    rows = json.loads(cli.run("sql", query, "--json").stdout)
    assert sorted(row["job_id"] for row in rows) == sorted(ids)
    assert len({row["submitted_at"] for row in rows}) == 2


@pytest.mark.slow
def test_each_job_has_the_long_facts_the_limits_and_the_turn_of_its_schedule(cli, create, server):
    filler = "\n\n".join(f"Passage {n} speaks of weather." for n in range(6_000))
    (cli.work / "long.md").write_text(f"{filler}\n\nThe zanzibar lamp costs 77 euro.\n")
    words = ["-c", "long.md", "--max-calls", "1", "--priority", "5", "--fairness-key", "ann"]
    assert create("lamps", *words, task="What is the zanzibar lamp's price?").returncode == 0
    cli.run("schedule", "trigger", "lamps")
    (job,) = jobs_of(cli, "lamps", 1)
    assert cli.run("jobs", "watch", job).stdout == f"{ANSWER}\n"
    (prompt,) = [p for p in map(prompt_of, server.requests) if "zanzibar" in p]
    assert "77 euro" in prompt
    forked = cli.run("jobs", "fork", job, "--detach").stdout.strip()
    assert cli.run("jobs", "watch", forked).stdout == f"{ANSWER}\n"


@pytest.mark.slow
def test_jobs_start_when_it_is_time(cli, create):
    assert create("often", cron="* * * * *", task="Where is the minute?").returncode == 0
    for _ in range(80):
        if jobs := shown(cli, "often")["jobs"]:
            break
        time.sleep(1)
    assert cli.run("jobs", "watch", jobs[0]).stdout == f"{ANSWER}\n"
    assert cli.run("schedule", "delete", "often").returncode == 0
    assert json.loads(cli.run("jobs", "show", jobs[0], "--json").stdout)["status"] == "completed"


@pytest.mark.slow
def test_a_schedule_can_be_paused_listed_resumed_replaced_and_deleted(cli, create):
    create("nightly", "--overlap", "wait")
    cli.run("schedule", "pause", "nightly", "--note", "on holiday")
    listed = json.loads(cli.run("schedule", "list", "--json").stdout)
    (nightly,) = [one for one in listed if one["name"] == "nightly"]
    assert (nightly["paused"], nightly["note"]) == (True, "on holiday")
    assert "nightly" in cli.run("schedule", "list").stdout
    cli.run("schedule", "resume", "nightly")
    assert shown(cli, "nightly")["paused"] is False
    assert "already" in create("nightly").stderr
    assert create("nightly", "--replace", task="Where is Paris?").returncode == 0
    made = shown(cli, "nightly")
    assert (made["task"], made["overlap"], made["cron"]) == ("Where is Paris?", "skip", [NEVER])
    assert made["next"][0].endswith("-01-01T00:00:00Z")
    assert cli.run("schedule", "delete", "nightly").returncode == 0
    gone = cli.run("schedule", "show", "nightly")
    assert gone.returncode == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cron", "0 99 * * *"], "Hour"),
        (["--time-zone", "Mars/Base"], "Mars/Base"),
        (["-t", "nothing"], "no template"),
    ],
)
def test_what_can_not_be_is_one_line_and_makes_nothing(cli, create, words, told):
    done = create("wrong", *words)
    assert done.returncode in (2, 4)
    assert told in done.stderr
    assert cli.run("schedule", "show", "wrong").returncode == 4


@pytest.mark.slow
def test_a_name_that_is_not_there_gets_a_suggestion(cli, create):
    create("monthly", "--paused")
    done = cli.run("schedule", "trigger", "montly")
    assert done.returncode == 4
    assert 'did you mean "monthly"' in done.stderr
