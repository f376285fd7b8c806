"""Edits that break a template: the last good text serves, and everybody is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crp.authoring.keeping import GoodTexts
from crp.authoring.watching import Edits, log_edits
from crp.config import Settings, load_settings
from crp.templates import Shelf, find_library

GOOD = "template: mine\nversion: 1.0.0\nsteps: {a: first}\n"
BETTER = GOOD.replace("first", "second").replace("1.0.0", "1.1.0")
BROKEN = GOOD.replace("first", '"{{ nowhere }}"')


class Author:
    """Somebody who edits one template of a project."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = load_settings(folder / "home")
        self.project = folder / "project"
        self.path = self.project / "templates" / "mine.yaml"
        self.path.parent.mkdir(parents=True)

    def shelf(self) -> Shelf:
        return find_library(self.settings, self.project)

    def saves(self, text: str, name: str = "mine.yaml") -> Shelf:
        self.path.with_name(name).write_text(text, "utf-8")
        return self.shelf()

    def served(self) -> str:
        return self.shelf().get("mine").steps[0].text


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


def test_the_next_job_uses_an_edited_template(author: Author) -> None:
    author.saves(GOOD)
    assert author.served() == "first"
    author.saves(BETTER)
    assert author.served() == "second"


def test_a_broken_edit_never_replaces_the_last_good_version(author: Author) -> None:
    author.saves(GOOD)
    author.saves(BETTER)
    shelf = author.saves(BROKEN)
    assert author.served() == "second"
    assert [p.code for p in shelf.problems] == ["T003"]
    source = shelf.library.get("mine")
    assert source is not None
    assert source.text == BETTER


def test_a_file_that_was_never_good_is_not_used(author: Author) -> None:
    shelf = author.saves(BROKEN)
    assert "mine" not in shelf.templates
    assert shelf.notes == ["the template file mine.yaml is broken and not used"]


def test_the_note_says_which_version_serves_instead(author: Author) -> None:
    author.saves(GOOD)
    (note,) = author.saves(BROKEN).notes
    assert note.startswith("the template file mine.yaml is broken and its version of ")


def test_a_repaired_file_serves_again(author: Author) -> None:
    author.saves(GOOD)
    author.saves(BROKEN)
    shelf = author.saves(BETTER)
    assert (author.served(), shelf.problems, shelf.notes) == ("second", [], [])


def test_a_deleted_file_serves_no_more(author: Author) -> None:
    author.saves(GOOD)
    author.path.unlink()
    assert "mine" not in author.shelf().templates


def test_a_broken_file_does_not_hand_its_name_to_the_box(author: Author) -> None:
    mine = "template: comparison\nsteps: {a: x}\n"
    author.saves(mine)
    shelf = author.saves(mine.replace("x", '"{{ nowhere }}"'))
    assert shelf.file_of("comparison").origin == "project"


def test_the_base_of_that_time_is_kept_with_a_template_that_extends_it(author: Author) -> None:
    child = "template: mine\nextends: base\nsteps: {b: '{{ a }} again'}\n"
    author.saves("template: base\nsteps: {a: one}\n", "base.yaml")
    assert [s.id for s in author.saves(child).get("mine").steps] == ["a", "b"]
    shelf = author.saves("template: base\nsteps: {c: one}\n", "base.yaml")
    assert [s.id for s in shelf.get("mine").steps] == ["a", "b"]
    assert shelf.notes[0].startswith("the template file mine.yaml is broken and its version of ")


def test_a_snippet_that_is_taken_away_is_kept_for_who_needs_it(author: Author) -> None:
    author.saves("tone: Be kind.\n", "_snippets.yaml")
    author.saves("template: mine\nsteps: {a: 'Go. {{ snippets.tone }}'}\n")
    shelf = author.saves("other: x\n", "_snippets.yaml")
    assert shelf.get("mine").steps[0].text == "Go. Be kind."
    assert shelf.problems


def test_broken_shared_texts_are_reported_and_the_last_good_ones_serve(author: Author) -> None:
    author.saves("tone: Be kind.\n", "_snippets.yaml")
    author.saves("template: mine\nsteps: {a: 'Go. {{ snippets.tone }}'}\n")
    shelf = author.saves("tone: [\n", "_snippets.yaml")
    assert shelf.get("mine").steps[0].text == "Go. Be kind."
    assert {p.file for p in shelf.problems} == {"_snippets.yaml"}


def test_a_home_that_can_not_be_written_stops_nobody(author: Author) -> None:
    author.settings.home.write_text("a file, not a folder")
    assert author.saves(GOOD).get("mine").version == "1.0.0"


def test_a_damaged_kept_text_is_as_none(author: Author) -> None:
    author.saves(GOOD)
    (kept,) = (author.settings.home / "good-templates").iterdir()
    kept.write_text("{")
    assert GoodTexts(author.settings.home).last(author.path) is None
    assert "mine" not in author.saves(BROKEN).templates


def test_templates_of_the_box_are_not_kept(author: Author) -> None:
    author.shelf()
    assert not author.settings.home.exists()


# -- the worker's log -----------------------------------------------------------------------------


def test_an_edit_is_told_with_its_version_and_once(author: Author) -> None:
    author.saves(GOOD)
    edits = Edits(author.settings)
    author.saves(BETTER)
    expected = (logging.INFO, "template mine changed: version 1.1.0, the next job uses it")
    assert edits.told(author.path) == [expected]
    assert edits.told(author.path) == []


def test_a_broken_edit_is_told_with_its_place_and_what_serves(author: Author) -> None:
    author.saves(GOOD)
    author.saves(BROKEN)
    ((level, line),) = Edits(author.settings).told(author.path)
    assert level == logging.WARNING
    assert line.startswith("template mine is broken, the version of ")
    assert f"{author.path}:3:16: " in line


def test_the_folders_of_every_project_that_was_used_are_watched(author: Author) -> None:
    assert Edits(author.settings).folders() == set()
    author.saves(GOOD)
    assert Edits(author.settings).folders() == {author.path.parent.resolve()}


@asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(log_edits(settings, stopping))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


async def until(holds: Callable[[], bool], touch: Callable[[], object]) -> None:
    """Wait for the log; the watch may begin after the first save, so it is saved again."""
    for _ in range(60):
        if holds():
            return
        touch()
        await asyncio.sleep(0.5)
    raise AssertionError("it was never told")


async def test_a_worker_logs_what_is_saved_while_it_runs(
    author: Author, caplog: pytest.LogCaptureFixture
) -> None:
    author.saves(GOOD)
    with caplog.at_level(logging.INFO, "crp.authoring.watching"):
        async with watched(author.settings):
            await until(lambda: "version 1.1.0" in caplog.text, lambda: author.saves(BETTER))
            await until(lambda: "is broken" in caplog.text, lambda: author.saves(BROKEN))
