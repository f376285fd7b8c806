"""What the store can learn: the bodies of the journal's entries.

A fact says what was decided, not how: which trace was kept, which one was retired, which one was
shown. So the tables that are made again from an old journal are the same, even when the rules
have changed since.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from crp.errors import StoreTooNew
from crp.models import Evidence, JobRecord, Quality, ReasoningTrace, Wire
from crp_analytics.journal import Entry


class JobFact(Wire):
    """A job ended. `stored` says whether its trace entered the library."""

    kind: ClassVar[str] = "job"
    record: JobRecord
    stored: bool = False
    reason: str = ""


class TraceFact(Wire):
    """A trace was added to the library by itself."""

    kind: ClassVar[str] = "trace"
    trace: ReasoningTrace


class Offer(Wire):
    """One trace that was found for a job."""

    trace_id: str
    rank: int
    overlap: int
    similarity: Quality
    usage_count: int = 0
    """How often it had been shown before this job."""


class RetrievalFact(Wire):
    """A job asked for examples. When it was held out, `offers` are what it would have seen."""

    kind: ClassVar[str] = "retrieval"
    job_id: str
    task_type: str = ""
    model_class: str = ""
    template_sha256: str = ""
    model_name: str = ""
    offers: tuple[Offer, ...] = ()
    held_out: bool = False
    candidates: int = 0
    evidence: Evidence | None = None
    note: str = ""


ScoredBy = Literal["checks", "judge", "person"]


class ScoreFact(Wire):
    """Somebody judged a finished job."""

    kind: ClassVar[str] = "score"
    job_id: str
    value: Quality
    by: str
    note: str = ""


class Retired(Wire):
    """One trace that curation took out of the library, and why."""

    trace_id: str
    task_type: str = ""
    reason: str
    detail: str = ""
    quality: float = 0.0
    usage_count: int = 0
    later_jobs: int = 0


class CurationFact(Wire):
    """A curation run: its rules and what it retired."""

    kind: ClassVar[str] = "curation"
    considered: int
    min_quality: float
    grace_jobs: int
    max_traces: int
    retired: tuple[Retired, ...] = Field(default=())


Fact = JobFact | TraceFact | RetrievalFact | ScoreFact | CurationFact
KINDS: dict[str, type[Fact]] = {
    fact.kind: fact for fact in (JobFact, TraceFact, RetrievalFact, ScoreFact, CurationFact)
}


class Noted(NamedTuple):
    """A fact with its place in the journal."""

    sequence: int
    at: datetime
    fact: Fact


def from_entry(entry: Entry) -> Noted:
    """Read a journal entry as the fact that it holds. StoreTooNew when its kind is not known."""
    if entry.kind not in KINDS:
        raise StoreTooNew(
            f"entry {entry.sequence} of the journal is a {entry.kind!r}: it was written by a newer"
            " version of crp; update crp to use this store"
        )
    return Noted(entry.sequence, entry.at, KINDS[entry.kind].model_validate(entry.body))


def scored_by(by: str) -> ScoredBy:
    """Say what kind of judge a name means: `checks`, `judge:MODEL`, anything else is a person."""
    if by == "checks":
        return "checks"
    return "judge" if by.split(":")[0] == "judge" else "person"
