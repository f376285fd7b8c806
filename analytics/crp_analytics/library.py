"""The library's door: whether the trace of a finished job becomes an example (spec, section 8).

`Library` is the library as one group of writes sees it: what the tables hold, and on top of that
what the writers before it decided, which may not be in the tables yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from duckdb import DuckDBPyConnection

from crp.models import JobRecord, ReasoningTrace
from crp_analytics.blanking import Names
from crp_analytics.facts import CurationFact, MoveFact
from crp_analytics.known import Known
from crp_analytics.retrieval import identity
from crp_analytics.text import forgotten_name


class Entry(NamedTuple):
    """One library entry, active or retired."""

    trace_id: str
    identity: str
    status: str = "active"
    held: str | None = None
    """`in` or `out` when a person put it there to stay."""


class Library:
    """What is in the library, seen together with what the same group of writes puts in."""

    def __init__(self, tables: Callable[[], DuckDBPyConnection], known: Known) -> None:
        self._tables = tables
        self._known = known
        self._changed: dict[str, Entry] = {}
        self._alike: defaultdict[str, list[str]] = defaultdict(list)
        """The ids of changed entries by their identity."""
        self._before: list[tuple[str, Entry | None, str]] = []
        """What each change replaced, and the job whose entry it brought."""
        self._of_job: dict[str, str] = {}

    # -- what comes in ------------------------------------------------------------------------

    def refusal(self, record: JobRecord) -> str:
        """Say why the trace of a job may not enter; empty when it may."""
        trace = record.trace
        if trace is None:
            return _no_trace(record)
        if reason := incomplete(record):
            return reason
        if trace.quality_score < record.store_above:
            return f"quality {trace.quality_score:.2f} is below {record.store_above:.2f}"
        return self.taken(trace)

    def taken(self, trace: ReasoningTrace) -> str:
        """Say why a trace can not be added; empty when it can."""
        if self.entry(trace.trace_id):
            return f"a trace with the id {trace.trace_id} is in the library already"
        return self._why_not_twice(identity(trace), trace.trace_id)

    def add(self, trace: ReasoningTrace, job_id: str = "") -> None:
        """Remember a trace that the current group of writes puts in."""
        self._put(Entry(trace.trace_id, identity(trace)), job_id)
        if job_id:
            self._of_job[job_id] = trace.trace_id

    # -- what goes and comes back -------------------------------------------------------------

    def entry(self, trace_id: str) -> Entry | None:
        """Give an entry by its id, a retired one too."""
        if entry := self._changed.get(trace_id):
            return entry
        return self._found(ENTRY, trace_id) if self._known.maybe(trace_id) else None

    def entry_of_job(self, job_id: str) -> Entry | None:
        """Give the entry that a job made, a retired one too."""
        if entry := self._changed.get(self._of_job.get(job_id, "")):
            return entry
        found = self._found(ENTRY_OF_JOB, job_id)
        return self.entry(found.trace_id) if found else None

    def may_not_return(self, entry: Entry) -> str:
        """Say why a retired entry can not become active again; empty when it can."""
        if not entry.identity:
            return "its job was forgotten, nothing of it is left"
        return self._why_not_twice(entry.identity, entry.trace_id)

    def apply(self, fact: MoveFact | CurationFact) -> None:
        """Remember what the current group of writes moves."""
        if isinstance(fact, CurationFact):
            for retired in fact.retired:
                self._change(retired.trace_id, status="retired", held=None)
            return
        for move in fact.moves:
            self._change(move.trace_id, status=move.status, held=fact.held)

    def forget(self, names: Names) -> None:
        """Remember that the current group of writes forgets these entries, and their new names."""
        for old, new in names.items():
            if self.entry(old):
                self._put(Entry(old, "", "retired", "out"))
                self._put(Entry(new, "", "retired", "out"))

    def forgotten(self, ids: Iterable[str]) -> dict[str, str]:
        """Give the new names of those entries that were forgotten."""
        names = {old: forgotten_name(old) for old in ids}
        return {old: new for old, new in names.items() if self.entry(new)}

    @property
    def gone(self) -> list[str]:
        """Entries that are not active, whatever the tables say yet."""
        return [entry.trace_id for entry in self._changed.values() if entry.status != "active"]

    @property
    def kept(self) -> list[str]:
        """Active entries that a person holds in, whatever the tables say yet."""
        changed = self._changed.values()
        return [e.trace_id for e in changed if (e.status, e.held) == ("active", "in")]

    def mark(self) -> int:
        """Give a point to go back to."""
        return len(self._before)

    def back_to(self, mark: int) -> None:
        """Forget what was decided since the mark."""
        while len(self._before) > mark:
            trace_id, entry, job_id = self._before.pop()
            self._alike[self._changed[trace_id].identity].pop()
            self._of_job.pop(job_id, None)
            if entry is None:
                del self._changed[trace_id]
            else:
                self._changed[trace_id] = entry

    # -- the tables and what is on top of them ------------------------------------------------

    def _change(self, trace_id: str, **changes: Any) -> None:
        if entry := self.entry(trace_id):
            self._put(entry._replace(**changes))

    def _put(self, entry: Entry, job_id: str = "") -> None:
        self._before.append((entry.trace_id, self._changed.get(entry.trace_id), job_id))
        self._changed[entry.trace_id] = entry
        self._alike[entry.identity].append(entry.trace_id)
        self._known.add(entry.trace_id)
        self._known.add(entry.identity)

    def _why_not_twice(self, same: str, trace_id: str) -> str:
        if not self._known.maybe(same):
            return ""
        found = self._tables().execute(TWINS, [same]).fetchall()
        twins = {row[0]: Entry(*row) for row in found}
        changed = (self._changed.get(other) for other in self._alike.get(same, ()))
        twins |= {e.trace_id: e for e in changed if e and e.identity == same}
        for twin in twins.values():
            if twin.trace_id == trace_id:
                continue
            if twin.status == "active":
                return f"an identical trace is in the library already: {twin.trace_id}"
            if twin.held == "out":
                return f"an identical trace was retired by hand: {twin.trace_id}"
        return ""

    def _found(self, query: str, value: str) -> Entry | None:
        found = self._tables().execute(query, [value]).fetchall()
        return Entry(*found[0]) if found else None


def incomplete(record: JobRecord) -> str:
    """Say what a job lacks for being an example, whatever its quality; empty when nothing."""
    result = record.result
    if result.status != "completed":
        return f"the job is {result.status}"
    if missing := [step.id for step in result.steps if not step.fulfilled]:
        return f"not every step was executed: {', '.join(missing)}"
    return ""


def _no_trace(record: JobRecord) -> str:
    config = record.job.config
    if not (config.enabled and config.rtl_enabled):
        return "the library is turned off for this job"
    if record.result.status != "completed":
        return f"the job is {record.result.status}"
    return "the job made no trace"


_COLUMNS = "trace_id, identity, status, held"

ENTRY = f"SELECT {_COLUMNS} FROM traces WHERE trace_id = ? LIMIT 1"

ENTRY_OF_JOB = f"SELECT {_COLUMNS} FROM traces WHERE job_id = ? LIMIT 1"

TWINS = f"SELECT {_COLUMNS} FROM traces WHERE identity = ? AND (status = 'active' OR held = 'out')"
