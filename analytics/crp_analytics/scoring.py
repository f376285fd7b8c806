"""Scores that come after a job: what a person or a judge says, and what follows for the library.

A person's score wins over all others and decides whether the trace of the job is an example: from
the job's own threshold on it is in the library, below it is not. A judge's score is kept and
counted (`v_job_quality`), but moves nothing. The same judge may score again: the later score
replaces the earlier one, both stay in `scores`; saying the same again changes nothing.

It decides, with one group of writes, and adds the facts to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from duckdb import DuckDBPyConnection

from crp.errors import NotFound, UsageError
from crp.models import JobRecord, Wire
from crp_analytics.facts import JobFact, Move, MoveFact, ScoreFact, TraceFact, scored_by
from crp_analytics.group import Group
from crp_analytics.library import Entry, incomplete

RecordOf = Callable[[str], JobRecord | None]


class Scored(Wire):
    """What a score led to."""

    job_id: str
    value: float
    by: str
    before: float | None = None
    """What the same judge had said before."""
    moved: Literal["", "in", "out"] = ""
    """What it did to the job's trace in the library."""
    trace_id: str = ""
    why: str = ""
    """Why the trace moved, or stayed."""


def checked(job_id: str, value: float, by: str, note: str) -> ScoreFact:
    """Make a score's fact; UsageError when it is none."""
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise UsageError(f"a score is a number from 0 to 1, not {value!r}")
    name = " ".join(by.split())
    if not name or name == "checks":
        raise UsageError("a score needs the name of who gives it")
    return ScoreFact(job_id=job_id, value=value, by=name, note=note.strip())


def decide(
    connection: DuckDBPyConnection, group: Group, fact: ScoreFact, record_of: RecordOf
) -> Scored:
    """Keep a score and move the job's trace; NotFound when there is no such job."""
    record = _in_group(group, fact.job_id)
    known = connection.execute(THRESHOLD, [fact.job_id]).fetchall()
    if record is None and not known:
        raise NotFound(f"no job {fact.job_id!r} in the trace store")
    last = _last(connection, group, fact)
    said = Scored(
        job_id=fact.job_id, value=fact.value, by=fact.by, before=last.value if last else None
    )
    if last == fact:
        return said.model_copy(update={"why": "that was said before: nothing changed"})
    group.add(fact)
    if scored_by(fact.by) != "person":
        return said.model_copy(update={"why": "only a person's score moves a trace"})
    threshold = record.store_above if record else known[0][0]
    moved = _moved(group, fact, threshold, lambda: record or record_of(fact.job_id))
    return said.model_copy(update=moved)


def _moved(
    group: Group, fact: ScoreFact, threshold: float, record: Callable[[], JobRecord | None]
) -> dict[str, Any]:
    """Move the trace of a job to the side of the threshold where its score is."""
    entry = group.library.entry_of_job(fact.job_id)
    good = fact.value >= threshold
    why = f"{fact.by} scored its job {fact.value:.2f}, needed are {threshold:.2f}"
    if entry is None:
        return _entered(group, fact, record(), why) if good else {"why": "it was not in"}
    about = {"trace_id": entry.trace_id}
    if good == (entry.status == "active"):
        return {**about, "why": "it is in" if good else "it was out"}
    if good and (reason := _stays_out(group, entry)):
        return {**about, "why": reason}
    _move(group, entry.trace_id, "active" if good else "retired", why)
    return {**about, "moved": "in" if good else "out", "why": why}


def _entered(group: Group, fact: ScoreFact, record: JobRecord | None, why: str) -> dict[str, Any]:
    """Bring in a trace that was not good enough when its job ended."""
    if record is None or record.trace is None:
        return {"why": "the job has no trace that could be an example"}
    trace = record.trace.model_copy(update={"quality_score": fact.value}, deep=True)
    if reason := incomplete(record) or group.library.taken(trace):
        return {"why": reason}
    tokens = record.result.usage.tokens
    group.add(TraceFact(trace=trace, job_id=fact.job_id, tokens=tokens))
    group.library.add(trace, fact.job_id)
    _move(group, trace.trace_id, "active", why)
    return {"trace_id": trace.trace_id, "moved": "in", "why": why}


def _stays_out(group: Group, entry: Entry) -> str:
    reason = group.library.may_not_return(entry)
    if not reason and entry.held == "out":
        return "it was retired by hand: `crp traces restore` brings it back"
    return reason


def _move(group: Group, trace_id: str, status: Literal["active", "retired"], why: str) -> None:
    fact = MoveFact(cause="score", moves=(Move(trace_id=trace_id, status=status, why=why),))
    group.add(fact)
    group.library.apply(fact)


def _in_group(group: Group, job_id: str) -> JobRecord | None:
    jobs = (fact.record for fact, _ in group.facts if isinstance(fact, JobFact))
    return next((record for record in jobs if record.job.job_id == job_id), None)


def _last(connection: DuckDBPyConnection, group: Group, fact: ScoreFact) -> ScoreFact | None:
    """What the same judge said of the same job last."""
    for earlier, _ in reversed(group.facts):
        if isinstance(earlier, ScoreFact) and (earlier.job_id, earlier.by) == (
            fact.job_id,
            fact.by,
        ):
            return earlier
    found = connection.execute(LAST, [fact.job_id, fact.by]).fetchall()
    if not found:
        return None
    return ScoreFact(job_id=fact.job_id, value=found[0][0], by=fact.by, note=found[0][1] or "")


THRESHOLD = "SELECT store_above FROM jobs WHERE job_id = ? LIMIT 1"

LAST = """
SELECT score, note FROM scores WHERE job_id = ? AND scored_by = ? AND candidate = 'answer'
ORDER BY journal_sequence DESC LIMIT 1
"""
