"""`crp templates promote`: a job that ended becomes a test of its template, or an example."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crp.authoring.promote import as_test, said_in
from crp.cli.app import app
from crp.language.load import load
from crp.language.testing import load_tests
from crp.models import JobRecord, Task
from crp_analytics.store import TraceStore
from tests.authoring.replays import GARDEN, RECORDED, TASK, one_test, write
from tests.workflows.jobs import Bench

Crp = Callable[..., Any]
SCRIPT: dict[str, Any] = {
    "Which plants": "- Roses\n- Herbs",
    "ADVICE": RECORDED["advice"],
    "How is Roses": ["I can not say.", "Roses drink in the morning."],
    "How is Herbs": "Herbs stay dry.",
    "": "No idea.",
}


class Shop:
    """A home with finished jobs, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.file = write(folder / "templates", None)
        self.tests = folder / "templates" / "garden.tests.yaml"

    def job(self, job_id: str, script: Any = SCRIPT, text: str = GARDEN, **task: Any) -> None:
        """Run a job and leave its record in the trace store."""
        with TraceStore.open(self.home / "traces") as store:
            bench = Bench(self.folder / "bench", store)
            asked = Task(text=TASK, orc="on", **task)
            asyncio.run(bench.run(script, asked, text, job_id=job_id))

    def record(self, job_id: str) -> JobRecord:
        with TraceStore.open(self.home / "traces") as store:
            record = store.record_of(job_id)
        assert record is not None
        return record

    def __call__(self, *words: str) -> Any:
        return CliRunner().invoke(app, ["templates", *words], prog_name="crp")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRP_HOME", str(tmp_path / "home"))
    return Shop(tmp_path)


def test_a_job_becomes_a_test_that_passes(shop: Shop) -> None:
    shop.job("garden-one")
    done = shop("promote", "garden-o", "--as-test", "--name", "a hot day")
    assert done.exit_code == 0, done.output
    assert "the test passes" in done.stderr
    (test,) = load_tests(shop.tests.read_bytes(), "x", load(GARDEN, "garden"))
    assert (test.name, test.task) == ("a hot day", TASK)
    assert test.expect.template == "garden"
    assert test.expect.lists == {"plants": ("Roses", "Herbs")}
    assert test.expect.ran == ("care", "advice")
    assert test.recorded["care"] == {
        "Roses": ["I can not say.", "Roses drink in the morning."],
        "Herbs": "Herbs stay dry.",
    }
    assert test.recorded["plants"] == "- Roses\n- Herbs"  # as the model said it
    lock = json.loads((shop.folder / "templates/garden.tests.lock").read_text())
    assert "care/Roses, try 2" in lock["tests"]["a hot day"]["prompts"]
    assert shop("test", "garden").exit_code == 0


def test_the_test_expects_what_happened(shop: Shop) -> None:
    shop.job("garden-two")
    shop("promote", "garden-two", "--as-test")
    worse = shop.tests.read_text().replace("- I can not say.", "- Roses are fine.")
    shop.tests.write_text(worse)
    done = shop("test", "garden", "--lock")
    assert "attempts of care/Roses: expected 2, found 1" in done.stdout


def test_facts_and_inputs_of_the_job_are_in_the_test(shop: Shop) -> None:
    text = GARDEN.replace("extract:", "inputs: {size: {default: small}}\nextract:")
    shop.file.write_text(text)
    facts = {"context": "Roses need sun.", "inputs": {"size": "large"}}
    shop.job("garden-three", text=text, **facts)
    shop("promote", "garden-three", "--as-test")
    (test,) = load_tests(shop.tests.read_bytes(), "x", load(text, "garden"))
    assert (test.context, test.inputs) == ("Roses need sun.", {"size": "large"})
    assert test.name == "garden-three"


def test_comments_of_the_tests_that_are_there_survive(shop: Shop) -> None:
    write(shop.folder / "templates", one_test())
    shop.tests.write_text(f"# ours\n{shop.tests.read_text()}")
    shop.job("garden-four")
    assert shop("promote", "garden-four", "--as-test").exit_code == 0
    assert shop.tests.read_text().startswith("# ours\nroses:\n")
    again = shop("promote", "garden-four", "--as-test")
    assert again.exit_code == 2
    assert "has a test 'garden-four' already: give another --name" in again.stderr


def test_a_template_that_was_edited_since_is_told(shop: Shop) -> None:
    shop.job("garden-five")
    shop.file.write_text(GARDEN.replace("Give the ADVICE", "Now give the ADVICE"))
    done = shop("promote", "garden-five", "--as-test")
    assert "note: the job had other prompts" in done.stderr
    assert "advice" in done.stderr.partition("other prompts")[2]


def test_an_answer_is_the_models_own_words_also_where_code_cleaned_it(shop: Shop) -> None:
    raw = "```\nRoses drink in the morning.\n```"
    shop.job("garden-six", {**SCRIPT, "How is Roses": raw})
    record = shop.record("garden-six")
    texts = {said.name: said.text for said in said_in(record, load(GARDEN, "garden"))}
    assert texts["care/Roses"] == raw


def test_a_job_that_failed_is_no_test(shop: Shop) -> None:
    shop.job("garden-seven", {**SCRIPT, "Which plants": ["none", "none"]})
    done = shop("promote", "garden-seven", "--as-test")
    assert done.exit_code == 2
    assert "the job is failed" in done.stderr
    assert not shop.tests.exists()
    with pytest.raises(Exception, match="the job is failed"):
        as_test(shop.record("garden-seven"), load(GARDEN, "garden"))


def test_a_trace_enters_the_library_whatever_its_quality(shop: Shop) -> None:
    poor = {**SCRIPT, "ADVICE": "Dig."}
    shop.job("garden-eight", poor)
    done = shop("promote", "garden-eight", "--as-example")
    assert done.exit_code == 0, done.output
    assert done.stdout == "garden-eight\n"
    assert "note: its quality is 0." in done.stderr
    with TraceStore.open(shop.home / "traces") as store:
        assert [trace.trace_id for trace in store.traces()] == ["garden-eight"]
    again = shop("promote", "garden-eight", "--as-example")
    assert again.exit_code == 2
    assert "is in the library already" in again.stderr


@pytest.mark.parametrize("words", [(), ("--as-test", "--as-example")])
def test_one_of_test_and_example_must_be_chosen(shop: Shop, words: tuple[str, ...]) -> None:
    assert shop("promote", "garden", *words).exit_code == 2


def test_a_job_that_nobody_knows_exits_with_4(shop: Shop) -> None:
    done = shop("promote", "garden", "--as-test")
    assert done.exit_code == 4
    assert "no job 'garden'" in done.stderr
