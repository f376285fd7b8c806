"""A template edited while a job runs: that job keeps its text, the next one uses the new."""

from __future__ import annotations

from crp.config import load_settings
from crp.models import JobResult
from crp.templates import find_library
from crp_activities.providers import ScriptedModel
from crp_activities.providers.base import ModelRequest
from crp_workflows.orchestration import Reasoning
from tests.workflows.jobs import Bench

TASK = "Frobnicate this"
GOOD = """\
template: frob
match: [frobnicate]
probe: no
steps:
  one: {prompt: Say the OLD first word of it., scaffold: none}
  two: {prompt: "{{ one }} Say the OLD second word of it.", scaffold: none}
"""
EDITED = GOOD.replace("OLD", "NEW")
BROKEN = EDITED.replace("{{ one }}", "{{ won }}")


class Author:
    """Edits the template while the model answers, as somebody at an editor does."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.settings = load_settings(bench.directory / "home")
        self.project = bench.directory / "project"
        self.path = self.project / "templates" / "frob.yaml"
        self.path.parent.mkdir(parents=True)
        self.path.write_text(GOOD, "utf-8")
        self.saves = ""
        """What is saved as soon as a model is asked."""
        self.asked: list[str] = []

    def answer(self, request: ModelRequest) -> str:
        self.asked.append(request.messages[-1].content)
        if self.saves:
            self.path.write_text(self.saves, "utf-8")
        return "A first word and a second word stand here."

    async def runs_a_job(self, job_id: str) -> JobResult:
        """Submit a job as `crp run` does: the folders are read now."""
        self.asked.clear()
        model = ScriptedModel(self.answer)
        shelf = find_library(self.settings, self.project)
        made = self.bench.reasoning(model, TASK, job_id=job_id)
        return await Reasoning(made.job, shelf.library, made.stages).run()

    def words(self) -> set[str]:
        return {word for prompt in self.asked for word in ("OLD", "NEW") if word in prompt}


async def test_a_running_job_keeps_its_text_and_the_next_one_uses_the_new(bench: Bench) -> None:
    author = Author(bench)
    author.saves = EDITED
    first = await author.runs_a_job("first")
    assert len(author.asked) >= 2
    assert author.words() == {"OLD"}
    second = await author.runs_a_job("second")
    assert author.words() == {"NEW"}
    assert (first.status, second.status) == ("completed", "completed")
    assert first.template_sha256 != second.template_sha256


async def test_a_broken_edit_changes_neither_the_running_job_nor_the_next(bench: Bench) -> None:
    author = Author(bench)
    author.saves = BROKEN
    first = await author.runs_a_job("first")
    second = await author.runs_a_job("second")
    assert author.words() == {"OLD"}
    assert (first.status, second.status) == ("completed", "completed")
    assert first.template_sha256 == second.template_sha256
