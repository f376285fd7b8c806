"""Templates written into a folder, and their tests run on recorded answers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from crp.authoring.examination import Outcome, examine
from crp.authoring.finding import Suite, of_file
from crp.authoring.lock import lock_of
from crp.authoring.rehearsal import Answers
from crp.templates import Shelf, find_library

GARDEN = """\
# what a garden needs
format: 1
template: garden
version: 1.0.0
match: {keywords: [garden], priority: 90}
complexity: 3
extract:
  plants:
    ask: Which plants are wanted?
    min: 2
    max: 4
    from: none
steps:
  care:
    for_each: plants
    prompt: How is {{ item }} cared for?
    output: line
    scaffold: none
    checks: [{mentions: "{{ item }}", hint: Name the plant.}]
    on_fail: [retry, accept_best]
  advice:
    prompt: |
      {{ care }}
      Give the ADVICE.
    scaffold: none
"""
TASK = "My garden wants roses and herbs"
RECORDED: dict[str, Any] = {
    "plants": "- Roses\n- Herbs",
    "care": {"Roses": "Roses drink in the morning.", "Herbs": "Herbs want a dry and sunny bed."},
    "advice": "Water the roses in the morning, and keep the herbs dry in a bed full of sun.",
}


def write(
    folder: Path,
    tests: dict[str, Any] | None = None,
    template: str = GARDEN,
    name: str = "garden",
) -> Path:
    """Write a template, and its tests beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(template, "utf-8")
    if tests is not None:
        with (folder / f"{name}.tests.yaml").open("w", encoding="utf-8") as stream:
            YAML().dump(tests, stream)
    return file


def one_test(expect: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The test of GARDEN; `recorded` replaces single answers, None takes one away."""
    recorded = {**RECORDED, **changes.pop("recorded", {})}
    kept = {key: value for key, value in recorded.items() if value is not None}
    return {"roses": {"task": TASK, "expect": expect or {}, "recorded": kept, **changes}}


async def run(file: Path, answers: Answers | None = None) -> Outcome:
    """Run a template's only test."""
    each = suite_of(file)
    (case,) = each.cases
    return await examine(case, each.library, each.locked(case), answers)


async def replay(folder: Path, *tests: dict[str, Any]) -> Outcome:
    """Write GARDEN with a test, and run that."""
    return await run(write(folder, *tests))


async def lock(file: Path) -> Outcome:
    """Run the test and keep its lock, as `--lock` does."""
    outcome = await run(file)
    each = suite_of(file)
    each.keep(outcome.case.test.name, lock_of(outcome.said))
    return outcome


def suite_of(file: Path) -> Suite:
    return of_file(file, shelf())


@lru_cache(maxsize=1)
def shelf() -> Shelf:
    """The box; reading it for every test would take longer than the tests."""
    return find_library()
