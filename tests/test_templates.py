"""Templates on disk: where they are found, what a broken one does, and those in the box."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import JsonValue

from crp.authoring.linting import problems_of
from crp.authoring.routing import routing_table
from crp.config import load_settings
from crp.errors import NotFound
from crp.language.lists import find_list, guard, sheet, without_asking
from crp.language.match import FLOOR, rank
from crp.language.plan import make_plan
from crp.language.text import render
from crp.models import Job, ModelProfile, Task
from crp.stages import Brief, PlanRequest
from crp.templates import Shelf, box, find_library, is_template, lint_file, pinned
from crp_activities.deciding import FALLBACK

GOOD = "template: mine\nsteps: {a: x}\n"
BOX = sorted(path.stem for path in box().glob("*.yaml") if is_template(path))


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return find_library()


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


# -- where they are found -------------------------------------------------------------------------


def test_the_box_is_found_without_settings(shelf: Shelf) -> None:
    assert set(BOX) <= set(shelf.templates)
    assert shelf.problems == []
    assert {t.origin for t in shelf.library.templates} == {"box"}


def test_the_hash_is_that_of_the_exact_bytes(shelf: Shelf) -> None:
    source = shelf.library.get("comparison")
    assert source is not None
    data = (box() / "comparison.yaml").read_bytes()
    assert (source.text.encode(), source.sha256) == (data, hashlib.sha256(data).hexdigest())
    assert pinned(source.text)[0].sha256 == source.sha256


def test_the_nearest_file_of_a_name_wins(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "home", templates=(tmp_path / "more",))
    text = GOOD.replace("mine", "comparison")
    for folder, origin in [
        (tmp_path / "home" / "templates", "user"),
        (tmp_path / "more", str(tmp_path / "more")),
        (tmp_path / "project" / "templates", "project"),
    ]:
        write(folder, "other-name.yaml", text)
        source = find_library(settings, tmp_path / "project").library.get("comparison")
        assert source is not None
        assert source.origin == origin


def test_a_broken_file_is_reported_and_hides_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    write(folder, "a.yaml", "template: comparison\nsteps: {a: '{{ x }}'}\n")
    write(folder, "b.yaml", GOOD)
    (folder / "c.yaml").write_bytes(b"template: \xff")
    shelf = find_library(load_settings(tmp_path))
    assert [(p.file, p.code) for p in shelf.problems] == [("a.yaml", "T003"), ("c.yaml", "Y001")]
    assert shelf.get("mine").steps[0].text == "x"
    source = shelf.library.get("comparison")
    assert source is not None
    assert source.origin == "box"


def test_two_files_of_one_name_in_one_folder_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "templates", "a.yaml", GOOD)
    write(tmp_path / "templates", "b.yaml", GOOD)
    shelf = find_library(load_settings(tmp_path))
    assert [(p.file, p.code) for p in shelf.problems] == [("b.yaml", "L001")]


def test_other_softwares_templates_in_a_project_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "templates", "deployment.yaml", "kind: {{ .Values.kind }}\n")
    write(tmp_path / "templates", "page.html", "<p>")
    write(tmp_path / "templates", "mine.yaml", GOOD)
    shelf = find_library(project=tmp_path)
    assert shelf.problems == []
    assert "mine" in shelf.templates


def test_the_repository_is_not_its_own_project(shelf: Shelf) -> None:
    assert find_library(project=box().parent).library == shelf.library


def test_what_is_no_template_is_not_read_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    for name in ("_snippets.yaml", "mine.tests.yaml", "scaffolds.yaml", ".hidden.yaml"):
        write(folder, name, "light: Think.\n")
    (folder / "folder.yaml").mkdir()
    shelf = find_library(load_settings(tmp_path))
    assert shelf.problems == []
    assert shelf.library.scaffolds == "light: Think.\n"


def test_a_list_that_falls_back_to_a_missing_template_is_reported(tmp_path: Path) -> None:
    text = "template: t\nextract: {l: {ask: x, otherwise: use nowhere}}\nsteps: {a: x}\n"
    write(tmp_path / "templates", "t.yaml", text)
    problems = find_library(load_settings(tmp_path)).problems
    assert [p.message for p in problems] == [
        'the list "l" uses the template "nowhere": there is none'
    ]


def test_a_template_that_extends_another_is_pinned_with_both_texts(tmp_path: Path) -> None:
    folder, child = tmp_path / "templates", "template: child\nextends: mine\nsteps: {b: y}\n"
    write(folder, "a-child.yaml", child)
    write(folder, "b-mine.yaml", GOOD)
    shelf = find_library(load_settings(tmp_path))
    source, template = shelf.library.get("child"), shelf.get("child")
    assert source is not None
    assert [step.id for step in template.steps] == ["a", "b"]
    assert (source.text, source.base) == (child, GOOD)
    assert source.sha256 == hashlib.sha256((child + GOOD).encode()).hexdigest()


def test_a_template_may_extend_the_one_that_it_hides(tmp_path: Path) -> None:
    text = "template: comparison\nextends: comparison\nversion: 9.9.9\n"
    write(tmp_path / "templates", "comparison.yaml", text)
    shelf = find_library(load_settings(tmp_path))
    assert shelf.problems == []
    assert shelf.get("comparison").version == "9.9.9"
    assert len(shelf.get("comparison").steps) > 1


def test_a_template_that_extends_nothing_there_is_is_reported(tmp_path: Path) -> None:
    text = "template: child\nextends: nowhere\nsteps: {b: y}\n"
    write(tmp_path / "templates", "child.yaml", text)
    (problem,) = find_library(load_settings(tmp_path)).problems
    assert (problem.code, problem.line) == ("R002", 2)


def test_the_nearest_snippet_of_a_name_wins(tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    write(project / "templates", "_snippets.yaml", "tone: near\n")
    write(home / "templates", "_snippets.yaml", 'tone: far\nend: |\n  "far"\n  too\n')
    text = "template: t\nsteps: {a: '{{ snippets.tone }}, {{ snippets.end }}'}\n"
    write(project / "templates", "t.yaml", text)
    shelf = find_library(load_settings(home), project)
    assert shelf.get("t").steps[0].text == 'near, "far"\ntoo'
    assert pinned(text, "t", snippets=shelf.library.snippets)[1] == shelf.get("t")


def test_a_file_knows_what_hides_it(tmp_path: Path) -> None:
    write(tmp_path / "templates", "c.yaml", GOOD.replace("mine", "comparison"))
    found = [f for f in find_library(load_settings(tmp_path)).found if f.name == "comparison"]
    assert [(f.origin, f.hidden_by) for f in found] == [("user", ""), ("box", "user")]


def test_a_name_that_is_nowhere_gets_a_suggestion(shelf: Shelf) -> None:
    with pytest.raises(NotFound, match='did you mean "comparison"'):
        shelf.get("comparision")


def test_a_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    path = write(tmp_path, "big.yaml", "# " + "x" * 1_000_000)
    assert [p.code for p in lint_file(path)] == ["Y002"]


# -- the box --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOX)
def test_a_template_of_the_box_is_complete_and_clean(shelf: Shelf, name: str) -> None:
    template = shelf.get(name)
    assert problems_of(box() / f"{name}.yaml", shelf) == []
    assert template.version
    assert template.license == "CC0-1.0"
    assert template.title
    assert template.description
    assert len(template.match.examples) >= 3
    assert len(template.match.not_examples) >= 2
    assert template.quality.score


@pytest.mark.parametrize("name", BOX)
def test_every_example_goes_to_its_own_template_and_no_counterexample_does(
    shelf: Shelf, name: str
) -> None:
    rows = routing_table(list(shelf.templates.values()), FALLBACK)
    assert [row for row in rows if row.template == name and row.problem] == []


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("Compare React, Vue, and Angular", "comparison"),
        ("Tea or coffee, which is healthier?", "comparison"),
        ("What are the differences between TCP and UDP?", "comparison"),
        ("Who wrote Dune?", "direct-question"),
        ("What is the population of Iceland?", "direct-question"),
        ("Write a poem about the sea", None),
        ("Explain how photosynthesis works", "explanation"),
        ("Why is the sky blue?", "explanation"),
    ],
)
def test_requests_go_where_a_person_would_send_them(
    shelf: Shelf, request_text: str, name: str | None
) -> None:
    best = rank(request_text, [t for n, t in shelf.templates.items() if n != FALLBACK])[0]
    assert (best.template if best.score >= FLOOR else None) == name


def brief_of(shelf: Shelf, task: Task, names: dict[str, list[str]]) -> Brief:
    job = Job(
        job_id="j",
        task=task,
        models={"default": ModelProfile(capability=0)},
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Brief.model_validate(
        {"job": job, "template": shelf.get("comparison"), "complexity": 3, "names": names}
    )


def test_three_frameworks_are_studied_one_by_one_and_then_compared(shelf: Shelf) -> None:
    task = Task(text="Compare React, Vue, and Angular")
    template = shelf.get("comparison")
    items, aspects = template.extract
    found = find_list(items, task, {})
    assert found is not None
    things, problem = guard(items, found, task, {})
    assert problem == ""
    assert find_list(aspects, task, {"items": list(things)}) is None
    # Code finds no aspects in the request; the nearest example has the same things.
    without = without_asking(aspects, task)
    assert without == ("performance", "learning curve", "ecosystem")
    names = {"items": list(things), "aspects": list(without)}
    plan = make_plan(brief_of(shelf, task, names), PlanRequest(max_steps=10))
    assert [step.id for step in plan.steps] == [
        "profile/React",
        "profile/Vue",
        "profile/Angular",
        "contrast",
    ]
    assert plan.steps[-1].description == (
        "Compare React, Vue and Angular on performance, learning curve and ecosystem."
    )


def test_a_request_that_is_like_no_example_gets_the_aspects_that_fit_everything(
    shelf: Shelf,
) -> None:
    aspects = shelf.get("comparison").extract[1]
    task = Task(text="What is the difference between a virus and a bacterium?")
    assert without_asking(aspects, task) == aspects.otherwise


def test_facts_with_labels_stand_side_by_side_without_a_model(shelf: Shelf) -> None:
    facts = "## Ada\n- price: 10 euro\n- weight: 2 kg\n\n## Bob\n- weight: 3 kg\n- price: 12 euro\n"
    names: dict[str, JsonValue] = {
        "items": ["Ada", "Bob"],
        "aspects": ["price", "weight"],
        "sheet": {name: dict(row) for name, row in sheet(facts).items()},
    }
    task = Task(text="Compare Ada and Bob", context=facts)
    plan = make_plan(brief_of(shelf, task, names), PlanRequest(max_steps=10))
    assert [(s.id, s.kind) for s in plan.steps][-1] == ("table", "render")
    assert "contrast" not in [s.step for s in plan.steps]
    table = render(shelf.get("comparison").step("table").text, names)
    assert table.splitlines() == [
        "| | price | weight |",
        "|---|---|---|",
        "| Ada | 10 euro | 2 kg |",
        "| Bob | 12 euro | 3 kg |",
    ]


def test_the_joined_comparison_has_a_section_for_each_answer_there_is(shelf: Shelf) -> None:
    synthesize = shelf.get("comparison").synthesize
    assert synthesize is not None
    profile: JsonValue = {"React": "It is old.", "Vue": "It is small."}
    whole = render(synthesize.text, {"profile": profile, "contrast": "Vue is smaller."})
    assert whole == (
        "## React\n\nIt is old.\n\n## Vue\n\nIt is small.\n\n## Side by side\n\nVue is smaller."
    )
    assert render(synthesize.text, {"contrast": "c"}) == "## Side by side\n\nc"
    half: JsonValue = {"React": None, "Vue": "It is small."}
    assert render(synthesize.text, {"profile": half}) == "## Vue\n\nIt is small."
    assert render(synthesize.text, {"profile": profile}).endswith("It is small.")
