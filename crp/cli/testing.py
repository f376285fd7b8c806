"""Finds the tests that are meant, has them run, keeps what was recorded, prints what came of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from crp.authoring.examination import Case, Outcome, examine, only_routes
from crp.authoring.finding import Suite, own_file, with_tests
from crp.authoring.lock import lock_of
from crp.authoring.recording import recorded_of, write_recorded
from crp.authoring.rehearsal import Answers, FromModel
from crp.cli.asking import ModelChoice, choose_model
from crp.cli.stages import told
from crp.cli.terminal import out, print_json, say
from crp.config import Settings, load_settings
from crp.errors import NotFound
from crp.templates import find_library
from crp_activities.dispatch import Models


class Wish(NamedTuple):
    """What was asked for on the command line."""

    names: tuple[str, ...]
    only: str
    live: bool
    record: bool
    lock: bool
    choice: ModelChoice


async def run_tests(wish: Wish, home: Path | None, *, as_json: bool) -> bool:
    """Run tests and say what came of them; True when all passed."""
    settings = load_settings(home)
    shelf = find_library(settings, Path.cwd())
    found = list(with_tests(shelf, wish.names))
    broken = [] if wish.names else shelf.broken
    cases = [(each, case) for each in found for case in each.cases if _meant(case, wish)]
    if wish.only and not cases:
        raise NotFound(f"no test {wish.only!r}: see the `tests` of the template")
    outcomes: list[Outcome] = []
    for each in found if wish.record or wish.lock else ():
        if each.cases:
            own_file(each.file)
    async with _answers(settings, wish) as answers:
        for each, case in cases:
            outcome = await _run(each, case, answers, wish)
            outcomes.append(outcome)
            if not as_json:
                _tell(outcome)
    for file in broken:
        say(f"not tested: {file.path.name} is broken, see `crp templates lint`")
    if as_json:
        print_json([_data(outcome) for outcome in outcomes])
    else:
        say(_summary(outcomes, [each.name for each in found if not each.cases]))
    return not broken and all(outcome.status == "passed" for outcome in outcomes)


def _meant(case: Case, wish: Wish) -> bool:
    return not wish.only or case.test.name == wish.only


async def _run(each: Suite, case: Case, answers: Answers | None, wish: Wish) -> Outcome:
    asked = None if only_routes(case.test) else answers
    locked = None if wish.lock or asked else each.locked(case)
    outcome = await examine(case, each.library, locked, asked)
    if outcome.said and wish.record:
        write_recorded(case.test_file, case.test.name, recorded_of(outcome.said))
    if outcome.said and (wish.record or wish.lock):
        each.keep(case.test.name, lock_of(outcome.said))
    return outcome


@contextlib.asynccontextmanager
async def _answers(settings: Settings, wish: Wish) -> AsyncIterator[Answers | None]:
    """What answers instead of the record: the model that `crp run` would ask."""
    if not (wish.live or wish.record):
        yield None
        return
    serving, profiles = choose_model(settings, wish.choice)
    url, key = "", ""
    if any(profile.provider == "embedded" for profile in profiles.values()):
        from crp import local

        with told() as tell:
            running = await local.ensure(serving, tell)
        url, key = running.model_url, running.model_key
    models = Models(settings, embedded=lambda: (url, key))
    try:
        yield FromModel(models, profiles)
    finally:
        await models.aclose()


# -- what is said ---------------------------------------------------------------------------------


def _tell(outcome: Outcome) -> None:
    out(f"{outcome.status:<13}{outcome.case.name}")
    for line in outcome.lines:
        out(f"{'':<13}{line}")


def _summary(outcomes: Iterable[Outcome], without: list[str]) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    words = [f"{count} {status}" for status, count in counts.most_common()]
    head = f"{counts.total()} tests: {', '.join(words)}" if words else "no tests"
    return f"{head}; without tests: {', '.join(without)}" if without else head


def _data(outcome: Outcome) -> dict[str, Any]:
    return {
        "template": outcome.case.template,
        "test": outcome.case.test.name,
        "file": str(outcome.case.test_file),
        "status": outcome.status,
        "lines": list(outcome.lines),
        "calls": len(outcome.said),
        "seconds": round(outcome.seconds, 4),
    }
