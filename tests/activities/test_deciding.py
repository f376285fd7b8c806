"""Routing is robust: one template that can not be read is not everybody's problem."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crp.errors import NotFound, TemplateError, UsageError
from crp.models import Job, JsonValue, Library, ModelProfile, Task, TemplateSource
from crp.templates import find_library
from crp_activities.deciding import route

BROKEN = TemplateSource(name="broken", text="steps: [", sha256="0" * 64)
ASKING = """
format: 1
template: asking
match: [garden]
inputs:
  size: {type: number, help: in square metres, default: 10}
  style: {help: how it looks, choice: [wild, formal], default: wild}
steps:
  plan: "Plan a {{ style }} garden of {{ size }} square metres"
"""


def job(text: str, **task: JsonValue) -> Job:
    return Job(
        job_id="job",
        task=Task(text=text, **task),  # type: ignore[arg-type]
        models={"default": ModelProfile()},
        submitted_at=datetime.now(UTC),
    )


def library(*more: TemplateSource) -> Library:
    box = find_library().library
    asking = TemplateSource(name="asking", text=ASKING, sha256="1" * 64)
    return Library(templates=(*box.templates, asking, *more), scaffolds=box.scaffolds)


def test_a_template_that_this_version_can_not_read_is_passed_over() -> None:
    found = route(job("Compare React and Vue"), library(BROKEN))
    assert found.source.name == "comparison"


def test_a_job_that_asks_for_the_unreadable_one_is_told_why() -> None:
    with pytest.raises(TemplateError, match="broken"):
        route(job("Compare React and Vue", template="broken"), library(BROKEN))


def test_a_name_that_nobody_has_gets_the_nearest_one() -> None:
    with pytest.raises(NotFound, match='did you mean "comparison"'):
        route(job("Compare React and Vue", template="comparisn"), library())


def test_what_fits_nothing_goes_to_the_fallback_and_says_so() -> None:
    found = route(job("Xyzzy plugh quux"), library())
    assert (found.source.name, found.matched) == ("generic-analysis", False)


def test_inputs_have_defaults_and_are_checked() -> None:
    assert route(job("garden"), library()).names["size"] == 10
    assert route(job("garden", inputs={"size": "12.5"}), library()).names["size"] == 12.5
    with pytest.raises(UsageError, match="is a number, not 'big'"):
        route(job("garden", inputs={"size": "big"}), library())
    with pytest.raises(UsageError, match="one of wild, formal"):
        route(job("garden", inputs={"style": "tidy"}), library())
    with pytest.raises(UsageError, match="has no input 'colour'"):
        route(job("garden", inputs={"colour": "green"}), library())


def test_a_list_may_be_given_instead_of_found() -> None:
    found = route(job("Compare things", template="comparison", inputs={"items": "A, B"}), library())
    assert found.names["items"] == ["A", "B"]


def test_a_list_is_held_to_the_limit_of_the_template_and_that_is_told() -> None:
    many = ", ".join(f"thing {n}" for n in range(3000))
    found = route(job("Compare things", template="comparison", inputs={"items": many}), library())
    assert found.names["items"] == [f"thing {n}" for n in range(6)]
    assert found.notes == ("items: the first 6 of 3000 are used, the template's limit",)
