"""Runs the tests of templates and says what came of each. Touches no file; a model if one is given.

passed        every expectation is met, with the prompts that the answers were recorded for
failed        one is not
stale         all are met, but a prompt changed since its answer was recorded
not recorded  a call has no recorded answer: nothing is known then
error         the test can not be run
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crp.authoring import lock as locks
from crp.authoring.lock import LockedTest
from crp.authoring.rehearsal import Answers, FromRecord, Rehearsed, job_of, rehearse
from crp.authoring.slots import Said
from crp.authoring.verdicts import unmet, wrong_route
from crp.errors import CRPError
from crp.language.testing import Expect, Test
from crp.models import Library, Task
from crp_activities.deciding import route

Status = Literal["passed", "failed", "stale", "not recorded", "error"]

MOST_MISSING = 5
"""Calls that are named in one line."""


@dataclass(frozen=True)
class Case:
    """One test of one template."""

    template: str
    template_file: Path
    test_file: Path
    """Where the test stands: the template's file, or the one beside it."""
    test: Test

    @property
    def name(self) -> str:
        return f"{self.template}: {self.test.name}"


@dataclass(frozen=True)
class Outcome:
    """What came of one test."""

    case: Case
    status: Status
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    said: tuple[Said, ...] = field(default=(), repr=False)
    """Every answer, when the job came to its end; nothing else is worth keeping."""


async def examine(
    case: Case, library: Library, locked: LockedTest | None, answers: Answers | None = None
) -> Outcome:
    """Run one test: with `answers` instead of the recorded ones, if given."""
    began = time.perf_counter()
    try:
        status, lines, said = await _examined(case, library, locked, answers)
    except CRPError as error:
        status, lines, said = "error", (str(error),), ()
    return Outcome(case, status, lines, time.perf_counter() - began, said)


async def _examined(
    case: Case, library: Library, locked: LockedTest | None, answers: Answers | None
) -> tuple[Status, tuple[str, ...], tuple[Said, ...]]:
    test = case.test
    task = Task(text=test.task, context=test.context, inputs=dict(test.inputs))
    lines = tuple(_misrouted(test, task, library))
    if only_routes(test):
        return ("failed" if lines else "passed"), lines, ()
    ran = await _run(case, task, library, locked, answers)
    if ran.missing:
        return "not recorded", (*_missing(case, ran), *lines), ()
    lines += tuple(unmet(test, ran))
    stale = () if answers or locked is None else tuple(_stale(case, locked, ran))
    status: Status = "failed" if lines else "stale" if stale else "passed"
    ended = ran.result.status == test.expect.status or ran.result.status != "failed"
    return status, (*lines, *stale), ran.said if ended else ()


def only_routes(test: Test) -> bool:
    """Whether a test asks only where its request goes: there is nothing to record."""
    wanted = test.expect
    return (
        bool(wanted.template) and not test.recorded and wanted == Expect(template=wanted.template)
    )


def _misrouted(test: Test, task: Task, library: Library) -> Iterator[str]:
    if test.expect.template:
        plain = task.model_copy(update={"inputs": {}})  # they are those of the test's template
        chosen = route(job_of(plain, test.capability), library)
        yield from wrong_route(test.expect.template, chosen)


async def _run(
    case: Case, task: Task, library: Library, locked: LockedTest | None, answers: Answers | None
) -> Rehearsed:
    test = case.test
    probed = "probe" in test.recorded
    forced = task.model_copy(
        update={
            "template": case.template,
            "orc": "auto" if probed else "on",
            "probe": "always" if probed else "auto",
        }
    )
    cut = locked.cut if locked else {}
    return await rehearse(
        forced,
        library,
        answers or FromRecord(test.recorded, cut),
        test.capability,
        judges="judge" in test.recorded or answers is not None,
        patient=answers is not None,
    )


def _missing(case: Case, ran: Rehearsed) -> Iterator[str]:
    if not case.test.recorded:
        yield f"nothing is recorded; {_record(case)}"
        return
    # What follows from a made-up list is not missing by itself.
    names = [name for name in ran.missing if "<" not in name] or list(ran.missing)
    more = f" and {len(names) - MOST_MISSING} more" if len(names) > MOST_MISSING else ""
    named = "; ".join(names[:MOST_MISSING])
    yield f"no answer is recorded for {named}{more}; {_record(case)}"


def _stale(case: Case, locked: LockedTest, ran: Rehearsed) -> Iterator[str]:
    changed = list(locks.changes(locked, ran.said))
    yield from changed[:MOST_MISSING]
    if changed:
        yield f"{_record(case)}, or --lock when the answers still fit"


def _record(case: Case) -> str:
    return f"`crp templates test {case.template} --record` asks a model"
