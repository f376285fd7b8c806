"""Takes a finished job from the trace store and makes a test or an example of it."""

from __future__ import annotations

from pathlib import Path

from crp.authoring.examination import Case, Outcome, examine
from crp.authoring.finding import Suite, of_name, own_file
from crp.authoring.lock import lock_of
from crp.authoring.promote import as_test, said_in
from crp.authoring.recording import add_test, tests_file
from crp.cli.job_story import find
from crp.cli.template_shelf import shown_path
from crp.cli.terminal import out, say
from crp.config import Settings
from crp.errors import NotFound, UsageError
from crp.models import JobRecord
from crp.records import Records, records
from crp.templates import find_library


async def promote_to_test(settings: Settings, given: str, name: str) -> None:
    """Write a job down as a test, run that once, and keep its lock."""
    record = await _record(await records(settings), given)
    each = of_name(record.result.template, find_library(settings, Path.cwd()))
    own_file(each.file)
    file, name = tests_file(each.file), " ".join(name.split()) or record.job.job_id
    add_test(file, name, as_test(record, each.template))
    out(f"{shown_path(file)}: test {name!r}, {len(record.attempts)} answers")
    outcome = await _replayed(each, name)
    for line in outcome.lines:
        say(f"{outcome.status}: {line}")
    _tell_differences(each, record, outcome)
    say(f"the test {outcome.status if outcome.status != 'passed' else 'passes'}")


async def promote_to_example(settings: Settings, given: str) -> None:
    """Put the trace of a job into the library."""
    store = await records(settings)
    record = await _record(store, given)
    if record.trace is None:
        raise UsageError(
            "the job made no trace: only a job that was done in steps and got a score does"
        )
    if not await store.add_trace(record.trace):
        raise UsageError("this or an identical trace is in the library already")
    out(record.trace.trace_id)
    quality, least = record.trace.quality_score, record.job.config.rtl_min_quality_for_storage
    if quality < least:
        say(f"note: its quality is {quality:.2f}; jobs are shown examples of {least:.2f} or more")


async def _record(store: Records, given: str) -> JobRecord:
    job_id = await find(store, given)
    record = await store.record(job_id)
    if record is None:
        raise NotFound(f"the job {job_id} has not ended, or its record is gone")
    return record


async def _replayed(each: Suite, name: str) -> Outcome:
    case: Case = next(c for c in each.cases if c.test.name == name)
    outcome = await examine(case, each.library, None)
    if outcome.said:
        each.keep(name, lock_of(outcome.said))
    return outcome


def _tell_differences(each: Suite, record: JobRecord, outcome: Outcome) -> None:
    """The job may have had examples or settings of its own; a test has neither."""
    then = {said.name: said.prompt_sha256 for said in said_in(record, each.template)}
    changed = [s.name for s in outcome.said if then.get(s.name, s.prompt_sha256) != s.prompt_sha256]
    if changed:
        some = "; ".join(dict.fromkeys(changed[:5]))
        say(f"note: the job had other prompts (examples, help, the template's text): {some}")
