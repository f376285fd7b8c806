"""`crp templates` for people who write templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from crp.authoring import lock
from crp.language.load import lint, load
from tests.cli.conftest import Crp

MINE = 'template: mine\nversion: 1.0.0\nmatch: [frobnicate]\nsteps:\n  one: "Do {{ task }}"\n'
BROKEN = MINE.replace("task", "nowhere")

Write = Callable[[str, str], str]


@pytest.fixture
def write() -> Write:
    def written(name: str, text: str) -> str:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return name

    return written


def one_error(done: Any, code: int, *words: str) -> None:
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words), line


# -- new ------------------------------------------------------------------------------------------


def test_a_new_template_is_short_lints_clean_and_says_what_to_try(crp: Crp) -> None:
    done = crp("templates", "new", "my-task")
    text = Path("templates/my-task.yaml").read_text("utf-8")
    assert done.stdout == "templates/my-task.yaml\n"
    assert text.startswith("# yaml-language-server: $schema=./template.schema.json\n")
    assert len(text.splitlines()) <= 15
    assert lint(text, "t") == []
    for command in ("templates lint", "templates plan my-task", "run"):
        assert f"crp {command}" in done.stderr
    assert crp("templates", "fmt", "--check").exit_code == 0
    assert crp("templates", "lint", "my-task").exit_code == 0


def test_the_commands_that_new_prints_work(crp: Crp) -> None:
    crp("templates", "new", "my-task")
    done = crp("templates", "plan", "my-task", "a task", "--items", "one,two")
    assert done.exit_code == 0
    assert "notes/two" in done.stdout
    assert crp("run", "a task", "-t", "my-task", "--plan-only").exit_code == 0


def test_new_writes_over_nothing(crp: Crp, write: Write) -> None:
    write("templates/my-task.yml", MINE)
    one_error(crp("templates", "new", "my-task"), 2, "my-task.yml", "there already")


@pytest.mark.parametrize("name", ["My Task", "9lives", "-x", "", "a/b", "../x", "ü"])
def test_a_name_that_can_not_be_one_is_one_message(crp: Crp, name: str) -> None:
    done = crp("templates", "new", "--", name)
    one_error(done, 2, "can not be a name")
    assert not Path("templates").exists()


def test_a_bad_name_gets_the_nearest_good_one(crp: Crp) -> None:
    one_error(crp("templates", "new", "My Task"), 2, 'did you mean "my-task"')


def test_new_from_another_is_its_copy_under_the_new_name(crp: Crp) -> None:
    assert crp("templates", "new", "mine", "--from", "comparison").exit_code == 0
    text = Path("templates/mine.yaml").read_text("utf-8")
    assert load(text, "t").template == "mine"
    done = crp("templates", "diff", "comparison", "mine")
    assert done.stdout == "template: comparison -> mine\n"


def test_new_that_extends_another_has_its_steps(crp: Crp) -> None:
    assert crp("templates", "new", "mine", "--extends", "comparison").exit_code == 0
    assert crp("templates", "lint", "mine").exit_code == 0
    assert crp("templates", "fmt", "--check", "mine").exit_code == 0
    mine, base = (crp("templates", "show", n, "--json").stdout for n in ("mine", "comparison"))
    assert json.loads(mine)["steps"] == json.loads(base)["steps"]


def test_new_for_the_user_lies_in_the_home_directory(crp: Crp, tmp_path: Path) -> None:
    crp("templates", "new", "mine", "--user")
    assert (tmp_path / "home" / "templates" / "mine.yaml").exists()
    assert not Path("templates").exists()


def test_new_from_what_is_not_there_is_one_message(crp: Crp) -> None:
    one_error(crp("templates", "new", "x", "--from", "comparisn"), 4, 'did you mean "comparison"')
    one_error(crp("templates", "new", "x", "--from", "a", "--extends", "b"), 2, "not both")


# -- list -----------------------------------------------------------------------------------------


def rows(crp: Crp) -> dict[str, dict[str, Any]]:
    listed = json.loads(crp("templates", "list", "--json").stdout)["templates"]
    return {row["name"]: row for row in listed}


def test_the_list_says_what_a_template_hides_and_its_version(crp: Crp, write: Write) -> None:
    write("templates/comparison.yaml", MINE.replace("mine", "comparison"))
    row = rows(crp)["comparison"]
    assert (row["from"], row["hides"], row["version"]) == ("project", ["box"], "1.0.0")


def test_the_list_says_that_an_older_version_serves(crp: Crp, write: Write) -> None:
    write("templates/mine.yaml", MINE)
    crp("templates", "list")
    write("templates/mine.yaml", BROKEN)
    done = crp("templates", "list")
    assert "templates/mine.yaml:5:15: " in done.stderr
    assert "is used" in done.stderr
    assert rows(crp)["mine"]["state"].startswith("broken; the version of ")
    run = crp("run", "frobnicate", "--plan-only")
    assert "mine.yaml is broken and its version of" in run.stderr
    assert "mine (project)" in run.stdout


# -- show -----------------------------------------------------------------------------------------


def test_the_long_form_is_a_template_again(crp: Crp, write: Write) -> None:
    write("templates/mine.yaml", MINE)
    long = crp("templates", "show", "mine", "--expanded").stdout
    assert load(long, "t") == load(MINE, "t")
    assert yaml.safe_load(long) == json.loads(crp("templates", "show", "mine", "--json").stdout)


def test_the_drawings_are_printed(crp: Crp) -> None:
    assert "profile ×items" in crp("templates", "show", "comparison", "--graph").stdout
    assert crp("templates", "show", "comparison", "--mermaid").stdout.startswith("flowchart TD\n")


def test_two_ways_to_show_at_once_are_refused(crp: Crp) -> None:
    one_error(crp("templates", "show", "comparison", "--graph", "--mermaid"), 2, "one of")
    one_error(crp("templates", "show", "comparison", "--graph", "--json"), 2, "--json")


# -- lint -----------------------------------------------------------------------------------------


def test_a_template_that_is_used_but_nowhere_is_told_where_it_stands(
    crp: Crp, write: Write
) -> None:
    text = MINE + "  two: {use: comparisn}\n"
    done = crp("templates", "lint", write("templates/mine.yaml", text))
    assert done.exit_code == 3
    assert 'templates/mine.yaml:6:14: error: step "two" uses the template "com' in done.stdout
    assert "there is none [L002]" in done.stdout
    assert 'did you mean "comparison"?' in done.stdout


def test_templates_that_use_each_other_are_told_with_the_way(crp: Crp, write: Write) -> None:
    write("some/a.yaml", "template: a\nsteps: {x: {use: b}}\n")
    write("some/b.yaml", "template: b\nsteps: {x: y}\non_fail: [retry, use: c]\n")
    write(
        "some/c.yaml",
        "template: c\nextract: {l: {ask: x, otherwise: use a}}\nsteps: {x: '{{ l }}'}\n",
    )
    done = crp("templates", "lint", "some")
    assert done.exit_code == 3
    for way in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"):
        assert f"these templates use each other: {way} [L003]" in done.stdout


def test_the_tests_beside_a_template_are_looked_at_too(crp: Crp, write: Write) -> None:
    write("templates/mine.yaml", MINE)
    write("templates/mine.tests.yaml", "one:\n  task: x\n  expct: {}\n")
    done = crp("templates", "lint", "templates/mine.yaml")
    assert done.exit_code == 3
    assert "templates/mine.tests.yaml:3:3: error:" in done.stdout


def test_a_comment_needs_no_new_version(crp: Crp, write: Write) -> None:
    write("templates/mine.yaml", "# a comment\n" + MINE)
    same = lock.content_sha256(load(MINE, "t"))
    locked = {"template": "mine", "version": "1.0.0", "sha256": same}
    write("templates/mine.tests.lock", json.dumps(locked))
    assert crp("templates", "lint", "templates/mine.yaml").stdout == ""


def test_a_text_that_changed_without_its_version_is_a_warning(crp: Crp, write: Write) -> None:
    write("templates/mine.yaml", MINE)
    locked = {"template": "mine", "version": "1.0.0", "sha256": "0" * 64}
    write("templates/mine.tests.lock", json.dumps(locked))
    done = crp("templates", "lint", "templates/mine.yaml")
    assert done.exit_code == 0
    assert "templates/mine.yaml:2:10: warning: " in done.stdout
    assert "[W310]" in done.stdout
    write("templates/mine.yaml", MINE.replace("1.0.0", "1.0.1"))
    assert crp("templates", "lint", "templates/mine.yaml").stdout == ""


def test_lint_finds_what_extends_in_its_own_folder(crp: Crp, write: Write) -> None:
    write("some/base.yaml", MINE)
    path = write("some/child.yaml", "template: child\nextends: mine\nsteps: {two: '{{ one }}'}\n")
    assert crp("templates", "lint", path).exit_code == 0


def test_sarif_has_the_problems(crp: Crp, write: Write) -> None:
    done = crp("templates", "lint", "--sarif", write("mine.yaml", BROKEN))
    assert done.exit_code == 3
    made = json.loads(done.stdout)
    jsonschema.validate(made, {"required": ["version", "runs"]})
    assert [r["ruleId"] for r in made["runs"][0]["results"]] == ["T003"]


def test_json_sarif_and_watch_do_not_go_together(crp: Crp) -> None:
    one_error(crp("templates", "lint", "--json", "--sarif"), 2, "one of")


# -- match ----------------------------------------------------------------------------------------


def test_match_says_the_winner_and_the_reasons(crp: Crp) -> None:
    done = crp("templates", "match", "Compare React, Vue and Angular")
    assert done.stdout.startswith("comparison: score ")
    assert 'keyword "compare" +1.00' in done.stdout


def test_match_says_when_nothing_fits(crp: Crp) -> None:
    assert crp("templates", "match", "xyzzy").stdout.startswith("generic-analysis: no score")


def test_the_routing_table_fails_on_a_misroute(crp: Crp, write: Write) -> None:
    examples = "{examples: [Compare tea and cocoa]}"
    write("templates/mine.yaml", MINE.replace("[frobnicate]", examples))
    done = crp("templates", "match", "--all")
    assert done.exit_code == 1
    assert "mine: 'Compare tea and cocoa': goes to comparison" in done.stderr
    rows = json.loads(crp("templates", "match", "--all", "--json").stdout)
    (ours,) = (row for row in rows if row["template"] == "mine")
    assert (ours["goes_to"], ours["problem"]) == ("comparison", "goes to comparison")


def test_match_without_anything_to_match_is_one_message(crp: Crp) -> None:
    one_error(crp("templates", "match"), 2, "--all")


# -- diff -----------------------------------------------------------------------------------------


def test_one_name_is_compared_with_what_it_hides(crp: Crp, write: Write) -> None:
    text = crp("templates", "show", "comparison").stdout
    write("templates/comparison.yaml", text.replace("priority: 10", "priority: 11"))
    done = crp("templates", "diff", "comparison")
    assert (done.exit_code, done.stdout) == (1, "match: priority 10 -> 11\n")
    assert "box:comparison" in done.stderr
    assert crp("templates", "diff", "box:comparison", "project:comparison").exit_code == 1


def test_equal_files_have_no_difference(crp: Crp, write: Write) -> None:
    same = write("b.yaml", "# a comment\n" + MINE)
    done = crp("templates", "diff", write("a.yaml", MINE), same)
    assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["comparison"], 2, "hides no other"),
        (["nowhere.yaml", "comparison"], 4, "nowhere.yaml"),
        (["work:comparison", "comparison"], 4, "come from box"),
        (["comparisn", "comparison"], 4, "did you mean"),
    ],
)
def test_what_can_not_be_compared_is_one_message(
    crp: Crp, words: list[str], code: int, says: str
) -> None:
    one_error(crp("templates", "diff", *words), code, says)


# -- fmt and migrate ------------------------------------------------------------------------------


def test_fmt_puts_keys_in_order_and_check_writes_nothing(crp: Crp, write: Write) -> None:
    messy = write("templates/mine.yaml", "steps: {a: x}\n# my name\ntemplate: mine\n")
    done = crp("templates", "fmt", "--check")
    assert (done.exit_code, done.stdout) == (1, "templates/mine.yaml: would be changed\n")
    assert Path(messy).read_text("utf-8").startswith("steps")
    assert crp("templates", "fmt").exit_code == 0
    assert Path(messy).read_text("utf-8") == "# my name\ntemplate: mine\nsteps: {a: x}\n"
    assert crp("templates", "fmt", "--check").exit_code == 0


def test_a_broken_file_is_left_alone(crp: Crp, write: Write) -> None:
    path = write("templates/mine.yaml", BROKEN)
    for command in ("fmt", "migrate"):
        done = crp("templates", command)
        assert done.exit_code == 3
        assert "templates/mine.yaml: left alone" in done.stderr
    assert Path(path).read_text("utf-8") == BROKEN


def test_migrate_adds_the_format_once(crp: Crp, write: Write) -> None:
    path = write("templates/mine.yaml", "# mine\n" + MINE)
    assert crp("templates", "migrate").stdout == "templates/mine.yaml: now format 1\n"
    assert Path(path).read_text("utf-8").startswith("# mine\nformat: 1\n")
    assert "nothing to do" in crp("templates", "migrate").stderr


def test_templates_of_the_box_are_not_rewritten(crp: Crp) -> None:
    one_error(crp("templates", "fmt", "comparison"), 2, "templates new NAME --from comparison")
    one_error(crp("templates", "fmt"), 4, "./templates")
