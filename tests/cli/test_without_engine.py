"""Commands that ask no model and start nothing."""

import json
from pathlib import Path

import pytest

BROKEN = 'template: mine\nsteps:\n  one: "{{ nothing_here }}"\n'
LISTING = """
template: mine
match: [frobnicate]
extract:
  parts:
    ask: Which parts are there?
    otherwise: [left, right]
steps:
  one:
    for_each: parts
    prompt: "Do {{ item }}"
"""
GOOD = 'template: mine\ntitle: Mine\nmatch: [frobnicate]\nsteps:\n  one: "Do {{ task }}"\n'


@pytest.fixture
def write():
    def written(name, text):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return written


def one_error(done, code, *words):
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert all(word in lines[-1] for word in words), lines
    assert "Traceback" not in done.output


# -- templates --------------------------------------------------------------------------------


def test_the_list_says_where_each_template_is_from(crp, write):
    write("templates/mine.yaml", GOOD)
    rows = json.loads(crp("templates", "list", "--json").stdout)["templates"]
    assert {"mine": "project", "comparison": "box"}.items() <= {
        row["name"]: row["from"] for row in rows
    }.items()


def test_the_list_says_what_is_broken(crp, write):
    write("templates/mine.yaml", BROKEN)
    done = crp("templates", "list")
    assert "comparison" in done.stdout
    assert "mine.yaml:3:" in done.stderr


def test_show_prints_the_file_as_it_is(crp, write):
    write("templates/mine.yaml", GOOD)
    assert crp("templates", "show", "mine").stdout == GOOD


def test_show_expanded_writes_the_short_forms_out(crp, write):
    write("templates/mine.yaml", GOOD)
    long = json.loads(crp("templates", "show", "mine", "--expanded", "--json").stdout)
    assert long["match"] == {"keywords": ["frobnicate"]}
    assert long["steps"]["one"]["prompt"] == "Do {{ task }}"


def test_a_name_that_is_nearly_right_gets_a_suggestion(crp):
    one_error(crp("templates", "show", "comparisn"), 4, 'did you mean "comparison"')


def test_lint_points_at_the_mistake_and_exits_with_3(crp, write):
    done = crp("templates", "lint", write("mine.yaml", BROKEN))
    assert done.exit_code == 3
    first, source, caret = done.stdout.splitlines()[:3]
    assert first.startswith("mine.yaml:3:")
    assert "nothing_here" in source
    assert source[caret.index("^") :].startswith("nothing_here")


def test_lint_of_a_folder_looks_at_every_file_in_it(crp, write):
    write("some/a.yaml", GOOD)
    write("some/b.yaml", BROKEN)
    done = crp("templates", "lint", "some")
    assert "2 templates, 1 errors" in done.stderr


def test_lint_takes_names_and_without_arguments_everything(crp, write):
    assert crp("templates", "lint", "comparison").exit_code == 0
    assert crp("templates", "lint").exit_code == 0
    write("templates/mine.yaml", BROKEN)
    assert crp("templates", "lint").exit_code == 3


def test_lint_of_a_file_that_is_not_there(crp):
    one_error(crp("templates", "lint", "nowhere/x.yaml"), 4, "nowhere/x.yaml")


def test_lint_of_bytes_that_are_no_yaml_is_a_problem_not_a_bug(crp, write):
    done = crp("templates", "lint", write("mine.yaml", b"\xff\xfe\x00"))
    assert done.exit_code == 3
    assert "mine.yaml:1:" in done.stdout


# -- plans --------------------------------------------------------------------------------------


def test_plan_only_shows_the_steps_and_what_they_cost(crp):
    done = crp("run", "Compare React, Vue, and Angular", "--plan-only")
    assert done.exit_code == 0
    for word in ("comparison", "keyword", "profile/Angular", "contrast", "likely", "worst"):
        assert word in done.stdout


def test_a_list_that_code_can_not_find_is_said_to_be_asked_of_the_model(crp, write):
    write("templates/mine.yaml", LISTING)
    told = crp("run", "frobnicate", "--plan-only").stdout
    line = next(line for line in told.splitlines() if line.startswith("parts"))
    assert "asked of the model" in line
    assert "left, right" in line
    assert "one/right" in told


def test_plan_only_starts_nothing(crp, tmp_path):
    crp("run", "Compare tea and coffee", "--plan-only")
    assert not (tmp_path / "home").exists()


def test_plan_only_as_json_has_the_steps(crp):
    seen = json.loads(crp("run", "Compare tea and coffee", "--plan-only", "--json").stdout)
    assert seen["template"] == "comparison"
    assert [s["id"] for s in seen["plan"]["steps"]] == ["profile/tea", "profile/coffee", "contrast"]
    assert seen["gate"]["needs_probe"] is True


def test_a_model_that_is_capable_enough_gets_no_steps(crp):
    done = crp("run", "What is the capital of France?", "--plan-only", "--capability", "3")
    assert "one direct answer" in done.stdout


def test_a_task_that_nothing_fits_says_that_the_model_is_asked_for_a_plan(crp):
    done = crp("run", "Bananas?", "--plan-only")
    assert "nothing fits" in done.stdout


def test_templates_plan_takes_the_items_from_the_command_line(crp):
    done = crp("templates", "plan", "comparison", "Compare them", "--items", "A,B,C")
    assert "profile/C" in done.stdout


def test_items_for_a_template_without_a_list_are_refused(crp):
    done = crp("templates", "plan", "direct-question", "Who is it?", "--items", "A,B")
    one_error(done, 2, "--items")


def test_a_broken_template_beside_the_others_is_told_and_not_in_the_way(crp, write):
    write("templates/mine.yaml", BROKEN)
    done = crp("run", "Compare tea and coffee", "--plan-only")
    assert done.exit_code == 0
    assert "mine.yaml is broken" in done.stderr


# -- what was typed wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["run", "  "], 2, "empty"),
        (["run", "Compare a and b", "-t", "compare", "--plan-only"], 4, "did you mean"),
        (["run", "x", "--model", "defalt"], 4, 'did you mean "default"'),
        (["run", "x", "--base-url", "localhost:1"], 2, "http://"),
        (["run", "x", "--input", "novalue"], 2, "NAME=VALUE"),
        (["run", "x", "-c", "nowhere.md"], 4, "nowhere.md"),
        (["run", "x", "-c", "."], 2, "directory"),
        (["run", "x", "--input", "what=1", "-t", "comparison", "--plan-only"], 2, "no input"),
        (["sql", "select 1", "--json", "--csv"], 2, "--csv"),
        (["sql", "select nothing"], 7, "nothing"),
        (["sql", "drop table jobs"], 7, ""),
        (["jobs", "show", "nothing"], 4, "nothing"),
        (["traces", "show", "nothing"], 4, "nothing"),
        (["model", "pull", "nothing"], 4, "nothing"),
    ],
)
def test_a_mistake_is_one_line_with_its_exit_code(crp, words, code, says):
    one_error(crp(*words), code, says)


def test_a_wrong_setting_is_named(crp, monkeypatch):
    monkeypatch.setenv("CRP_EMBEDDED__PORT", "many")
    one_error(crp("model", "list"), 2, "embedded.port", "many")


def test_a_worker_without_a_temporal_says_how_to_get_one(crp):
    done = crp("worker")
    assert done.exit_code == 2
    assert "crp up" in done.stderr


def test_an_option_that_does_not_exist_is_a_usage_error(crp):
    assert crp("run", "x", "--nonsense").exit_code == 2


def test_a_bug_is_one_line_and_its_traceback_is_kept(crp, monkeypatch, tmp_path):
    monkeypatch.setattr("crp.config.load_settings", lambda home: 1 / 0)
    done = crp("model", "list")
    assert done.exit_code == 70
    assert "this is a bug" in done.stderr
    assert "Traceback" not in done.output
    assert "ZeroDivisionError" in (tmp_path / "home/logs/cli-errors.log").read_text()


def test_with_crp_debug_the_traceback_is_shown(crp, monkeypatch):
    monkeypatch.setattr("crp.config.load_settings", lambda home: 1 / 0)
    monkeypatch.setenv("CRP_DEBUG", "1")
    assert "Traceback" in crp("model", "list").stderr


def test_a_full_disk_is_one_line(crp, monkeypatch):
    def full(home):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("crp.config.load_settings", full)
    one_error(crp("model", "list"), 5, "No space left", "somewhere")


# -- facts --------------------------------------------------------------------------------------


def test_facts_that_are_not_utf8_are_read_and_that_is_told(crp, write):
    name = write("facts.md", b"# Caf\xe9\n\nopen: 9\n\n# Bar\n\nopen: 10\n")
    done = crp("run", "Compare the two", "-c", name, "--plan-only")
    assert done.exit_code == 0
    assert "not UTF-8" in done.stderr


def test_five_megabytes_of_facts_are_taken(crp, write):
    name = write("facts.md", "# A\n\nlong: " + "word " * 1_000_000 + "\n\n# B\n\nlong: no\n")
    done = crp("run", "Compare A and B", "-c", name, "--plan-only")
    assert done.exit_code == 0
    assert "2 x kept" in done.stdout


def test_more_facts_than_anything_can_read_are_refused(crp, write, monkeypatch):
    monkeypatch.setattr("crp.cli.asking.MOST_BYTES", 1_000_000)
    name = write("facts.md", b"x" * 1_000_001)
    one_error(crp("run", "Compare A and B", "-c", name, "--plan-only"), 2, "larger than 1 MB")


def test_the_task_and_the_facts_may_come_from_stdin(crp):
    done = crp("run", "-", "--plan-only", input="Compare tea and coffee\n")
    assert "profile/tea" in done.stdout


# -- the store without an engine ----------------------------------------------------------------


def test_sql_asks_the_store_without_starting_an_engine(crp, tmp_path):
    done = crp("sql", "select count(*) as jobs from jobs", "--json")
    assert json.loads(done.stdout) == [{"jobs": 0}]
    assert not (tmp_path / "home/engine.json").exists()


def test_sql_prints_aligned_columns_csv_and_says_when_rows_are_missing(crp):
    query = "select i as number, 'a' || i as word from range(9, 12) t(i)"
    assert crp("sql", query).stdout == "number  word\n9       a9\n10      a10\n11      a11\n"
    assert crp("sql", query, "--csv").stdout == "number,word\n9,a9\n10,a10\n11,a11\n"
    assert "only the first 2 rows" in crp("sql", query, "--limit", "2").stderr


def test_an_empty_home_has_no_jobs_and_no_traces(crp):
    assert json.loads(crp("jobs", "list", "--json").stdout) == []
    assert json.loads(crp("traces", "list", "--json").stdout) == []
    assert "crp run" in crp("jobs", "list").stderr


# -- models -------------------------------------------------------------------------------------


def test_the_models_of_the_settings_are_listed_with_what_they_lack(crp, write):
    write(
        "crp.toml",
        '[models.big]\nbase_url = "http://h/v1"\ncapability = 2\napi_key_env = "NO_KEY"\n',
    )
    rows = {row["alias"]: row for row in json.loads(crp("model", "list", "--json").stdout)}
    assert rows["big"]["capability"] == 2
    assert rows["big"]["ready"] == "no: NO_KEY is not set"
    assert rows["default"]["at"] == "this machine"
