"""The library's door: whether the trace of a finished job becomes an example (spec, section 8)."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from crp.models import JobRecord, ReasoningTrace
from crp_analytics.retrieval import identity


class Library:
    """What is in the library, seen together with what the same group of writes puts in."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self._new: set[str] = set()

    def refusal(self, record: JobRecord) -> str:
        """Say why the trace of a job may not enter; empty when it may."""
        result, trace = record.result, record.trace
        if trace is None:
            return _no_trace(record)
        if result.status != "completed":
            return f"the job is {result.status}"
        if missing := [step.id for step in result.steps if not step.fulfilled]:
            return f"not every step was executed: {', '.join(missing)}"
        if trace.quality_score < record.store_above:
            return f"quality {trace.quality_score:.2f} is below {record.store_above:.2f}"
        return self.taken(trace)

    def taken(self, trace: ReasoningTrace) -> str:
        """Say why a trace is in the library already; empty when it is not."""
        if {trace.trace_id, identity(trace)} & self._new:
            return "an identical trace is in the library already"
        found = self._connection.execute(TAKEN, [trace.trace_id, identity(trace)]).fetchall()
        return _why(*found[0]) if found else ""

    def add(self, trace: ReasoningTrace) -> None:
        """Remember a trace that the current group of writes puts in."""
        self._new |= {trace.trace_id, identity(trace)}


def _no_trace(record: JobRecord) -> str:
    config = record.job.config
    if not (config.enabled and config.rtl_enabled):
        return "the library is turned off for this job"
    if record.result.status != "completed":
        return f"the job is {record.result.status}"
    return "the job made no trace"


def _why(trace_id: str, same_id: bool) -> str:
    if same_id:
        return f"a trace with the id {trace_id} is in the library already"
    return f"an identical trace is in the library already: {trace_id}"


TAKEN = """
SELECT trace_id, trace_id = $1 AS same_id FROM traces
WHERE trace_id = $1 OR (identity = $2 AND status = 'active')
ORDER BY same_id DESC LIMIT 1
"""
