"""What people do to the library: score jobs, put traces in, take some out, bring some back.

Every change is a fact in the store's journal, so a rebuild gives the same library; nothing is
deleted. What a person brought back stays, whatever curation thinks of it, and what a person took
out stays out, until the person says otherwise. The store makes its desk: `store.desk`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from duckdb import DuckDBPyConnection
from pydantic import Field

from crp.errors import NotFound, UsageError
from crp.models import JobRecord, MetaLearningConfig, ReasoningTrace, Wire
from crp_analytics import comparing, curation, scoring
from crp_analytics.comparing import Comparison
from crp_analytics.facts import CurationFact, Move, MoveFact, TraceFact
from crp_analytics.group import Group
from crp_analytics.library import Entry, Library
from crp_analytics.retrieval import Request
from crp_analytics.scoring import Scored

T = TypeVar("T")


class Write(Protocol):
    """The store's way to write: a function decides in a group, and is answered after the commit."""

    def __call__(self, decide: Callable[[Group], T]) -> T: ...


class Undone(Wire):
    """What undoing a curation brought back."""

    run_id: int
    restored: tuple[str, ...] = ()
    left: dict[str, str] = Field(default_factory=dict)
    """Why some could not come back, by trace id."""


class Desk:
    """The library, for people. Thread-safe, because the store's writers are."""

    def __init__(
        self,
        write: Write,
        used: Callable[[], AbstractContextManager[DuckDBPyConnection]],
        record_of: Callable[[str], JobRecord | None],
    ) -> None:
        self._write = write
        self._used = used
        self._record_of = record_of

    def score(self, job_id: str, value: float, by: str, note: str = "") -> Scored:
        """Judge a finished job, from 0 to 1. A person's score wins and moves the job's trace.

        `by` is `judge:MODEL` for a model, else a person's name. NotFound, UsageError.
        """
        fact = scoring.checked(job_id, value, by, note)

        def decide(group: Group) -> Scored:
            with self._used() as connection:
                return scoring.decide(connection, group, fact, self._record_of)

        return self._write(decide)

    def add_all(self, traces: Sequence[ReasoningTrace]) -> list[str]:
        """Put traces into the library, all in one write; say of each why it was not added."""
        copies = [trace.model_copy(deep=True) for trace in traces]

        def decide(group: Group) -> list[str]:
            return [_added(group, trace) for trace in copies]

        return self._write(decide)

    def similar(
        self, task: str, task_type: str, model_class: str, limit: int, min_quality: float
    ) -> Comparison:
        """Say what a job with this task would find, and why. Counts no use. UsageError."""
        request = Request("", task, task_type, model_class, "", "", limit, min_quality, 0.0)
        with self._used() as connection:
            return comparing.compare(connection, request)

    def retire(self, trace_id: str, why: str) -> bool:
        """Take a trace out for good; False when it is held out already."""

        def decide(group: Group) -> bool:
            entry = _entry(group.library, trace_id)
            if (entry.status, entry.held) == ("retired", "out"):
                return False
            _add(group, MoveFact(cause="retire", moves=(_out(trace_id, why),)))
            return True

        return self._write(decide)

    def restore(self, trace_id: str, why: str = "") -> bool:
        """Bring a trace back; False when it is in. UsageError when an identical one is in."""

        def decide(group: Group) -> bool:
            entry = _entry(group.library, trace_id)
            if entry.status == "active":
                return False
            if reason := group.library.may_not_return(entry):
                raise UsageError(f"the trace can not come back: {reason}")
            _add(
                group, MoveFact(cause="restore", moves=(_in(trace_id, why or "restored by hand"),))
            )
            return True

        return self._write(decide)

    def undo(self, run_id: int) -> Undone:
        """Bring back what a curation retired; what was moved since then stays where it is.

        NotFound when there is no such run.
        """

        def decide(group: Group) -> Undone:
            with self._used() as connection:
                ids = curation.still_retired(connection, run_id)
            back, left = [], {}
            for trace_id in ids:
                entry = _entry(group.library, trace_id)
                if entry.status == "active" or entry.held:
                    continue
                if reason := group.library.may_not_return(entry):
                    left[trace_id] = reason
                else:
                    back.append(trace_id)
            if back:
                moves = tuple(_in(trace_id, f"curation {run_id} was undone") for trace_id in back)
                _add(group, MoveFact(cause="undo", moves=moves, run_id=run_id))
            return Undone(run_id=run_id, restored=tuple(back), left=left)

        return self._write(decide)

    def would_retire(self, config: MetaLearningConfig) -> CurationFact:
        """Say what a curation would retire now, and why. Changes nothing."""
        with self._used() as connection:
            return curation.choose(connection, config)

    def curate(self, config: MetaLearningConfig) -> CurationFact:
        """Retire the traces that do not deserve their place. Their history stays.

        Those who ask for the same at the same time share one run.
        """

        def decide(group: Group) -> CurationFact:
            if shared := _run_in(group, config):
                return shared
            with self._used() as connection:
                library = group.library
                fact = curation.choose(connection, config, library.gone, library.kept)
            receipt = group.add(fact)
            group.library.apply(fact)
            return fact.model_copy(update={"receipt": receipt})

        return self._write(decide)


def _added(group: Group, trace: ReasoningTrace) -> str:
    if reason := group.library.taken(trace):
        return reason
    group.library.add(trace)
    group.add(TraceFact(trace=trace))
    return ""


def _run_in(group: Group, config: MetaLearningConfig) -> CurationFact | None:
    """The curation that a writer of the same group ran: there is nothing new to be judged."""
    for number, (fact, _) in enumerate(group.facts, group.first.sequence):
        if isinstance(fact, CurationFact) and curation.same_rules(fact, config):
            receipt = group.first.model_copy(update={"sequence": number})
            return fact.model_copy(update={"receipt": receipt})
    return None


def _entry(library: Library, trace_id: str) -> Entry:
    entry = library.entry(trace_id)
    if entry is None:
        raise NotFound(f"no trace {trace_id!r}: `crp traces list --all` shows them")
    return entry


def _add(group: Group, fact: MoveFact) -> None:
    group.add(fact)
    group.library.apply(fact)


def _out(trace_id: str, why: str) -> Move:
    return Move(trace_id=trace_id, status="retired", why=why or "retired by hand")


def _in(trace_id: str, why: str) -> Move:
    return Move(trace_id=trace_id, status="active", why=why)
