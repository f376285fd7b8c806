"""`crp traces`: scoring, judging, curating, files, without an engine where that is possible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crp_analytics.store import TraceStore
from tests.analytics.samples import record, trace
from tests.support.model_server import ModelServer


@pytest.fixture
def traces(tmp_path):
    """Two jobs with traces; gives a way to look at the store between commands."""
    place = tmp_path / "home" / "traces"
    with TraceStore.open(place) as store:
        store.record(record("tea-and-coffee", task="compare tea and coffee"))
        store.record(record("cats-and-dogs", task="compare cats and dogs"))

    def look(query):
        with TraceStore.open(place) as store:
            return store.sql(query).rows

    return look


ACTIVE = "SELECT trace_id FROM traces WHERE status = 'active' ORDER BY ALL"


def one_error(done, code, *words):
    assert done.exit_code == code, done.output
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert all(word in last for word in words), last
    assert "Traceback" not in done.output


# -- scores ------------------------------------------------------------------------------------


def test_a_score_says_what_it_did(crp, traces):
    done = crp("traces", "score", "tea", "0.2", "--by", "anna", "--note", "wrong")
    assert done.stdout == "tea-and-coffee  0.20 by anna\n"
    assert "its trace left the library: anna scored its job 0.20" in done.stderr
    assert traces(ACTIVE) == (("trace-cats-and-dogs",),)
    again = crp("traces", "score", "tea", "0.9", "--by", "anna", "--json")
    assert json.loads(again.stdout)["before"] == 0.2
    assert json.loads(again.stdout)["moved"] == "in"


@pytest.mark.parametrize("value", ["nan", "1.5", "inf"])
def test_what_is_no_score_is_refused(crp, traces, value):
    one_error(crp("traces", "score", "tea", value, "--by", "anna"), 2, "from 0 to 1")


def test_a_job_that_is_not_there_gets_a_suggestion(crp, traces):
    one_error(
        crp("traces", "score", "tee-and-coffee", "1", "--by", "anna"),
        *(4, "no job 'tee-and-coffee'", 'did you mean "tea-and-coffee"'),
    )


def test_nobody_scores_in_the_name_of_a_model(crp, traces):
    one_error(crp("traces", "score", "tea", "1", "--by", "judge:big"), 2, "crp traces judge")


# -- judges ------------------------------------------------------------------------------------


def test_a_model_that_can_not_judge_is_refused_before_anything_starts(crp, traces):
    done = crp("traces", "judge", "tea", "--question", "Is it good?")
    one_error(done, 2, "capability 0", "models.judge")


def test_a_model_that_is_not_configured_is_named(crp, traces):
    done = crp("traces", "judge", "tea", "--question", "Is it good?", "--model", "huge")
    one_error(done, 2, "no model 'huge'", "default")


@pytest.mark.slow
def test_a_judge_is_asked_on_its_own_queue_and_its_score_is_kept(cli):
    with ModelServer(text="yes") as server:
        config = f'base_url = "{server.base_url}"\nname = "mid"\ncapability = 2\n'
        (cli.work / "crp.toml").write_text(f"[models.default]\n{config}", "utf-8")
        ran = cli.run("run", "Is Lyon large?", "-t", "direct-question", "--json")
        job = json.loads(ran.stdout)["job_id"]
        done = cli.run("traces", "judge", job, "--question", "Is it {{ polite }}?")
        assert done.stdout == f"{job}  1.00 by judge:mid\n", done.stderr
        assert "Is it {{ polite }}?" in json.dumps(server.requests[-1])
        server.text = "No."
        done = cli.run("traces", "judge", job, "--question", "Is it long?", "--json")
        assert json.loads(done.stdout)["value"] == 0.0
        server.text = "It depends."
        done = cli.run("traces", "judge", job, "--question", "Is it blue?")
        assert (done.returncode, "neither yes nor no" in done.stderr) == (6, True)
        query = "select score, note from scores where scorer_kind = 'judge' order by score"
        rows = json.loads(cli.run("sql", query, "--json").stdout)
    assert [tuple(row.values()) for row in rows] == [
        (0.0, "Is it long?"),
        (1.0, "Is it {{ polite }}?"),
    ]


@pytest.mark.slow
def test_while_an_engine_runs_its_owner_does_all_of_it(cli):
    def told(*words):
        done = cli.run("traces", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    weak = trace("weak", trace_id="weak", quality_score=0.6)
    lines = [json.dumps(t.to_dict()) for t in (trace("good", trace_id="good"), weak)]
    (cli.work / "two.jsonl").write_text("\n".join(lines), "utf-8")
    with ModelServer(text="Lyon lies on the Rhone.") as server:
        config = f'base_url = "{server.base_url}"\nname = "mid"\ncapability = 2\n'
        (cli.work / "crp.toml").write_text(f"[models.default]\n{config}", "utf-8")
        ran = cli.run("run", "Where is Lyon?", "-t", "direct-question", "--json")
        job = json.loads(ran.stdout)["job_id"]
        assert "2 traces added" in told("import", "two.jsonl")
        assert "1. good" in told("similar", "a good thing", "--explain")
        assert "nothing found" in told("similar", "zebra")
        assert "before 0.40" not in told("score", job, "0.4", "--by", "anna")
        assert "before 0.40" in told("score", job, "0.9", "--by", "anna")
        assert "weak" in told("curate", "--dry-run")
        assert "1 of 2 traces were retired" in told("curate")
        assert "1 trace is back" in told("undo")
        assert "out of the library" in told("retire", "good", "--why", "test")
        assert "in the library again" in told("restore", "good")
        assert cli.run("traces", "undo").returncode == 4
        assert '"trace_id": "weak"' in told("export", "-")
        assert cli.run("report").returncode == 0
    assert "1 scored by a person" in (cli.work / "report.html").read_text("utf-8")


# -- curation ----------------------------------------------------------------------------------


def test_a_dry_run_says_what_a_run_does_and_undo_takes_it_back(crp, traces, tmp_path):
    with TraceStore.open(tmp_path / "home" / "traces") as store:
        store.add_trace(trace("weak", trace_id="weak", quality_score=0.6))
    dry = crp("traces", "curate", "--dry-run")
    assert "weak" in dry.stdout
    assert "quality 0.60 < 0.70" in dry.stdout
    assert dry.stderr == "1 of 3 traces would be retired\n"
    assert len(traces(ACTIVE)) == 3
    assert crp("traces", "curate").stderr == "1 of 3 traces were retired\n"
    assert len(traces(ACTIVE)) == 2
    done = crp("traces", "undo")
    assert (done.stdout, len(traces(ACTIVE))) == ("weak\n", 3)
    one_error(crp("traces", "undo"), 4, "no trace is out because of a curation")
    one_error(crp("traces", "undo", "9999"), 4, "no curation 9999")


def test_a_trace_is_retired_and_restored_by_hand(crp, traces):
    done = crp("traces", "retire", "trace-tea", "--why", "names a customer")
    assert done.stdout == "trace-tea-and-coffee\n"
    why = "SELECT status_reason FROM traces WHERE held = 'out'"
    assert traces(why) == (("names a customer",),)
    assert "out already" in crp("traces", "retire", "trace-tea", "--why", "x").stderr
    assert crp("traces", "restore", "trace-tea").exit_code == 0
    assert len(traces(ACTIVE)) == 2
    one_error(crp("traces", "restore", "trace-tee"), 4, "no trace 'trace-tee'", "did you mean")


# -- what a task finds -------------------------------------------------------------------------


@pytest.fixture
def tea(traces, tmp_path):
    """A library of five, and a model that is shown two of them."""
    with TraceStore.open(tmp_path / "home" / "traces") as store:
        store.add_trace(trace("compare tea and milk", trace_id="milk", quality_score=0.6))
        store.add_trace(trace("compare tea and coffee", trace_id="other", task_type="summary"))
        store.add_trace(trace("compare tea or coffee", trace_id="big", model_class="7B+"))
    Path("crp.toml").write_text(
        '[models.default]\nbase_url = "http://h/v1"\nname = "m"\ncapability = 1\n'
        "[reasoning]\nicml_max_examples = 2\n",
        "utf-8",
    )
    return traces


def test_what_a_task_finds_is_listed_as_a_job_would_find_it(crp, tea):
    done = crp("traces", "similar", "Compare tea and coffee")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["1", "trace-tea-and-coffee"],
        ["2", "trace-cats-and-dogs"],
    ]
    assert done.stderr == ("2 of 4 candidates for a job of type comparison, model class 0.5B-1B\n")
    assert tea("SELECT * FROM retrieval_runs") == (), "it counts as no use"


def test_why_each_was_chosen_and_what_nearly_was_is_told(crp, tea):
    done = crp("traces", "similar", "Compare tea and coffee", "--explain")
    assert "comparison: the task goes to it with score" in done.stdout
    first = done.stdout.split("1. trace-tea-and-coffee")[1].split("2. trace")[0]
    for told in (
        "shares   4 words: and, coffee, compare, tea",
        "Jaccard  4/4 = 1.000",
        "type     comparison, the same",
        "class    0.5B-1B, the same",
        "quality  0.9, shown to 0 jobs",
        "made     2026-03-01 12:00 UTC, ",
        "ahead    shared words 4, rank 2 has 2",
    ):
        assert told in first
    missed = done.stdout.split("near misses")[1]
    for trace_id, criterion, because in (
        ("big", "model_class", "model class 7B+, rank 2 has 0.5B-1B"),
        ("other", "task_type", "task type summary, rank 2 has comparison"),
        ("milk", "min_quality", "quality 0.6, at least 0.7 is wanted"),
    ):
        line = next(line for line in missed.splitlines() if line.startswith(trace_id))
        assert criterion in line
        assert because in line
    assert "5% of such jobs are shown none" in done.stdout


def test_template_model_class_and_quality_can_be_chosen(crp, tea):
    given = ("-t", "direct-question", "--model-class", "7B+", "--min-quality", "0.5")
    done = crp("traces", "similar", "Compare tea and coffee", *given, "--limit", "1", "--json")
    seen = json.loads(done.stdout)
    assert (seen["task_type"], seen["routed"]) == ("direct-question", "asked for by name")
    assert [one["trace"]["trace_id"] for one in seen["found"]] == ["big"]
    assert (seen["candidates"], seen["missed"][0]["decided_on"]) == (5, "model_class")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("zebra",), "no word of the task is in the library, which has 5 traces"),
        (("tea", "--min-quality", "1"), "5 traces with enough words of the task, none of quality"),
        (("tea", "--home", "new"), "the library is empty"),
    ],
)
def test_when_nothing_is_found_the_reason_is_told(crp, tea, words, why):
    task = "compare tea or coffee" if words[0] == "tea" else words[0]
    done = crp("traces", "similar", task, *words[1:])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith(f"nothing found: {why}")


def test_where_jobs_are_shown_no_examples_that_is_told(crp, traces):
    done = crp("traces", "similar", "compare tea and coffee")
    assert "trace-tea-and-coffee" in done.stdout
    assert "a job is shown none of them: its model and template want no examples" in done.stderr
    Path("crp.toml").write_text("[reasoning]\nrtl_enabled = false\n", "utf-8")
    done = crp("traces", "similar", "compare tea and coffee")
    assert "reasoning.rtl_enabled is off" in done.stderr


def test_what_can_not_be_looked_for_is_refused(crp, traces):
    one_error(crp("traces", "similar", " "), 2, "the task is empty")
    one_error(crp("traces", "similar", "x", "-t", "comparsion"), 4, 'did you mean "comparison"')
    assert crp("traces", "similar", "x", "--min-quality", "nan").exit_code == 2
    assert crp("traces", "similar", "x", "--limit", "0").exit_code == 2


# -- files -------------------------------------------------------------------------------------


def test_a_library_goes_to_a_file_and_into_another_home(crp, traces, tmp_path):
    assert crp("traces", "export", "library.json").stderr == "2 traces\n"
    other = ("--home", str(tmp_path / "other"))
    done = crp("traces", "import", "library.json", *other)
    assert done.stderr == "2 traces added, 0 were there already, 0 left out\n"
    done = crp("traces", "import", "library.json", *other)
    assert done.stderr == "0 traces added, 2 were there already, 0 left out\n"
    crp("traces", "export", "again.json", *other)
    assert Path("again.json").read_text("utf-8") == Path("library.json").read_text("utf-8")


def test_an_export_can_be_of_one_type_and_go_to_a_pipe(crp, traces):
    assert json.loads(crp("traces", "export", "-", "--type", "other").stdout) == {"traces": []}
    done = crp("traces", "export", "-")
    assert [t["task_summary"] for t in json.loads(done.stdout)["traces"]] == [
        "compare tea and coffee",
        "compare cats and dogs",
    ]


def test_bad_entries_are_named_and_the_good_ones_come_in(crp):
    lines = [json.dumps(trace("good").to_dict()), '{"quality_score": 7}', "torn {"]
    done = crp("traces", "import", "-", "--json", input="\n".join(lines))
    said = json.loads(done.stdout)
    assert (said["added"], said["known"]) == (1, [])
    assert [line.split(":")[0] for line in said["bad"]] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"hello", "this is no library"),
        (b'[{"quality_score": 7}]', "no entry of x.json is a trace"),
    ],
)
def test_what_is_no_library_is_refused(crp, data, words):
    Path("x.json").write_bytes(data)
    one_error(crp("traces", "import", "x.json"), 2, words)


def test_a_file_that_is_not_there_or_can_not_be_written(crp, traces):
    one_error(crp("traces", "import", "nothing.json"), 2, "can not read nothing.json")
    one_error(crp("traces", "export", "no/such/x.json"), 2, "can not write no/such/x.json")
