"""What the store can learn: the bodies of the journal's entries.

A fact says what was decided, not how: which trace was kept, which one was retired, which one was
shown. So the tables that are made again from an old journal are the same, even when the rules
have changed since.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field, ValidationError
from pydantic_core import to_json

from crp.errors import StoreError, StoreTooNew
from crp.models import (
    Evidence,
    JobRecord,
    Offer,
    Quality,
    ReasoningTrace,
    Receipt,
    Retired,
    Wire,
)
from crp_analytics.journal import Entry
from crp_analytics.text import clean


class JobFact(Wire):
    """A job ended. `stored` says whether its trace entered the library."""

    kind: ClassVar[str] = "job"
    record: JobRecord
    stored: bool = False
    reason: str = ""


class TraceFact(Wire):
    """A trace was added to the library by itself, or by a person's score of its job."""

    kind: ClassVar[str] = "trace"
    trace: ReasoningTrace
    job_id: str = ""
    """The job that made it, when a score brought it in later."""
    tokens: int | None = None
    """That its job used."""


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
    receipt: Receipt | None = Field(default=None, exclude=True)
    """Where it is kept, once that is known."""


ScoredBy = Literal["checks", "judge", "person"]


class ScoreFact(Wire):
    """Somebody judged a finished job."""

    kind: ClassVar[str] = "score"
    job_id: str
    value: Quality
    by: str
    note: str = ""


class CurationFact(Wire):
    """A curation run: its rules and what it retired."""

    kind: ClassVar[str] = "curation"
    considered: int
    min_quality: float
    grace_jobs: int
    max_traces: int
    retired: tuple[Retired, ...] = Field(default=())
    receipt: Receipt | None = Field(default=None, exclude=True)
    """Where it is kept, once that is known."""


class Move(Wire):
    """One library entry that left or came back."""

    trace_id: str
    status: Literal["active", "retired"]
    why: str = ""


class MoveFact(Wire):
    """A person took entries out of the library or brought them back."""

    kind: ClassVar[str] = "move"
    cause: Literal["score", "retire", "restore", "undo"]
    moves: tuple[Move, ...]
    run_id: int | None = None
    """The curation that was undone."""

    @property
    def held(self) -> Literal["in", "out"] | None:
        """Where a person holds the entries from now on: curation and scores leave them there."""
        if self.cause == "score":
            return None
        return "out" if self.cause == "retire" else "in"


class ForgetFact(Wire):
    """A person had the texts of a job removed. Holds no word of it: ids are told by their sha256.

    It makes a rebuild forget as well, from an older copy of the journal too.
    """

    kind: ClassVar[str] = "forget"
    job: str
    traces: tuple[str, ...] = ()
    """The library entries that the job made."""
    blobs: tuple[str, ...] = ()
    """Texts that nobody else's rows name, and prompts of others that quote its entries."""


class ForgottenFact(Wire):
    """What is left of a fact whose texts were removed: the rows that it adds to the tables."""

    kind: ClassVar[str] = "forgotten"
    rows: dict[str, list[dict[str, Any]]]


Fact = (
    JobFact
    | TraceFact
    | RetrievalFact
    | ScoreFact
    | CurationFact
    | MoveFact
    | ForgetFact
    | ForgottenFact
)
KINDS: dict[str, type[Fact]] = {fact.kind: fact for fact in get_args(Fact)}


class Noted(NamedTuple):
    """A fact with its place in the journal."""

    sequence: int
    at: datetime
    fact: Fact
    text: str = ""
    """The fact as it was just written down; empty for one that was read."""


def from_entry(entry: Entry) -> Noted:
    """Read a journal entry as the fact that it holds.

    StoreTooNew when its kind is not known, StoreError when this version can not read it.
    """
    if entry.kind not in KINDS:
        raise StoreTooNew(
            f"entry {entry.sequence} of the journal is a {entry.kind!r}: it was written by a newer"
            " version of crp; update crp to use this store"
        )
    try:
        return Noted(entry.sequence, entry.at, _read(KINDS[entry.kind], entry))
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"entry {entry.sequence} of the journal is no {entry.kind!r} that this version of crp"
            " can read: a newer one may"
        ) from error


def document(noted: Noted) -> str:
    """Give a fact as JSON that DuckDB can read: whole, and without half characters.

    Not as the journal has it: an older version of crp wrote down fewer fields.
    """
    if noted.text and "\\ud" not in noted.text:
        return noted.text
    try:
        return to_json(noted.fact).decode()
    except ValueError:  # it has half a character
        return clean(json.dumps(noted.fact.model_dump(mode="json"), ensure_ascii=False))


def _read(kind: type[Fact], entry: Entry) -> Fact:
    try:
        return kind.model_validate_json(entry.text)
    except ValidationError:  # slower, and with half characters
        return kind.model_validate(entry.body)


def scored_by(by: str) -> ScoredBy:
    """Say what kind of judge a name means: `checks`, `judge:MODEL`, anything else is a person."""
    if by == "checks":
        return "checks"
    return "judge" if by.split(":")[0] == "judge" else "person"
