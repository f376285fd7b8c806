"""Why a task finds what it finds in the library: what `crp traces similar` tells.

The ranking is that of `retrieval`, made from the tables alone, because the index knows nothing of
what it leaves out: what lost a place, is not good enough, is retired, or has too few words in
common. Each of these says on which criterion it lost. Reads the tables, counts no use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from duckdb import DuckDBPyConnection

from crp.errors import UsageError
from crp.models import ReasoningTrace, Wire
from crp_analytics.reading import traces_by_id
from crp_analytics.retrieval import (
    BEST_FIRST,
    Place,
    Request,
    Similar,
    order,
    similar_to,
)
from crp_analytics.text import from_unix
from crp_analytics.words import words

NEAR = 3
"""So many near misses of each kind are told."""

Criterion = Literal["task_type", "model_class", "shared", "similarity", "quality", "newer", "id"]
Decision = Literal[Criterion, "min_quality", "floor", "retired", ""]


class Compared(Similar):
    """A trace beside the task, and what decided about it. `rank` is 0 when it is no candidate."""

    decided_on: Decision = ""
    """Found: why it is before the next one, empty when there is none. Missed: why it lost."""
    because: str = ""
    """The same in words, with the numbers of both."""


class Comparison(Wire):
    """What a job with this task would find, and what it would not."""

    task_type: str
    model_class: str
    limit: int
    min_quality: float
    words: tuple[str, ...]
    """Of the task."""
    active: int
    """Traces in the library."""
    retired: int
    sharing: int
    """Active traces with at least one word of the task."""
    alike: int
    """Of them those with enough words of the task: Jaccard reaches 1/9."""
    candidates: int
    """Of them those that are good enough: the found ones are their best."""
    found: tuple[Compared, ...] = ()
    missed: tuple[Compared, ...] = ()
    why_nothing: str = ""
    """Empty when something was found."""


class _Row(NamedTuple):
    """A trace that shares a word with the task, in a row of RELATED."""

    place: Place
    outcome: Literal["candidate", "min_quality", "floor", "retired"]
    rank: int
    """Among those of the same outcome."""
    several: int
    """How many have this outcome."""
    status_reason: str


def compare(connection: DuckDBPyConnection, request: Request) -> Comparison:
    """Say what a job with this task would find, what it nearly would, and why. Changes nothing.

    UsageError for a limit below 1 or a quality that is not from 0 to 1.
    """
    if request.limit < 1 or not 0.0 <= request.min_quality <= 1.0:
        raise UsageError("the limit is at least 1 and the quality from 0 to 1")
    wanted = sorted(words(request.task))
    rows = _related(connection, request, wanted)
    traces = traces_by_id(connection, [row.place.trace_id for row in rows])
    found, missed = _judged(rows, traces, request)
    active, retired = connection.execute(SIZE).fetchall()[0]
    counts = {row.outcome: row.several for row in rows}
    candidates = counts.get("candidate", 0)
    alike = candidates + counts.get("min_quality", 0)
    comparison = Comparison(
        task_type=request.task_type,
        model_class=request.model_class,
        limit=request.limit,
        min_quality=request.min_quality,
        words=tuple(wanted),
        active=active,
        retired=retired,
        sharing=alike + counts.get("floor", 0),
        alike=alike,
        candidates=candidates,
        found=found,
        missed=missed,
    )
    return comparison.model_copy(update={"why_nothing": "" if found else _nothing(comparison)})


def _related(connection: DuckDBPyConnection, request: Request, wanted: Sequence[str]) -> list[_Row]:
    values = {"words": wanted, "min_quality": request.min_quality, "near": NEAR, **order(request)}
    rows = connection.execute(RELATED, values).fetchall()
    return [_Row(Place(*row[:3]), *row[3:]) for row in rows]


def _judged(
    rows: list[_Row], traces: dict[str, ReasoningTrace], request: Request
) -> tuple[tuple[Compared, ...], tuple[Compared, ...]]:
    """Divide what was read into found and missed, each with what decided."""

    def compared(row: _Row) -> Compared:
        rank = row.rank if row.outcome == "candidate" else 0
        plain = similar_to(request, rank, row.place, traces[row.place.trace_id])
        return Compared(**dict(plain))

    ranked = [compared(row) for row in rows if row.outcome == "candidate"]
    found, behind = ranked[: request.limit], ranked[request.limit :]
    missed = [_decided(miss, found[-1], miss) for miss in behind]
    missed += [_excluded(compared(row), row, request) for row in rows if row.outcome != "candidate"]
    return tuple(_ahead(found, behind)), tuple(missed)


def _ahead(found: list[Compared], behind: list[Compared]) -> Iterator[Compared]:
    ranked = [*found, *behind[:1]]
    yield from (_decided(better, better, worse) for better, worse in pairwise(ranked))
    if not behind:
        yield from found[-1:]


def _decided(told: Compared, better: Compared, worse: Compared) -> Compared:
    """Give one of two neighbours with the first criterion on which they differ."""
    for name, (in_words, value) in CRITERIA.items():
        if value(better) != value(worse):
            other = worse if told is better else better
            mine, its = (_in_words(name, one) for one in (told, other))
            because = f"{in_words} {mine}, rank {other.rank} has {its}"
            return told.model_copy(update={"decided_on": name, "because": because})
    raise AssertionError("ids differ")


def _excluded(miss: Compared, row: _Row, request: Request) -> Compared:
    because = {
        "min_quality": f"quality {_number(miss.trace.quality_score)}, "
        f"at least {_number(request.min_quality)} is wanted",
        "floor": f"Jaccard {len(miss.shared_words)}/{miss.whole}, at least 1/9 is wanted",
        "retired": row.status_reason or "retired",
    }[row.outcome]
    return miss.model_copy(update={"decided_on": row.outcome, "because": because})


def _nothing(seen: Comparison) -> str:
    """Say why nothing was found, by the first step that left nothing."""
    if not seen.active:
        out = f", {_traces(seen.retired)} retired" if seen.retired else ""
        return f"the library is empty{out}"
    if not seen.words:
        return "the task has no words"
    if not seen.sharing:
        return f"no word of the task is in the library, which has {_traces(seen.active)}"
    if not seen.alike:
        return (
            f"{_traces(seen.sharing)} with a word of the task, none with enough: "
            "Jaccard has to reach 1/9"
        )
    least = _number(seen.min_quality)
    return f"{_traces(seen.alike)} with enough words of the task, none of quality {least}"


def _traces(count: int) -> str:
    return f"{count} {'trace' if count == 1 else 'traces'}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _in_words(name: Criterion, one: Similar) -> str:
    trace = one.trace
    return {
        "task_type": trace.task_type,
        "model_class": trace.model_class,
        "shared": str(len(one.shared_words)),
        "similarity": f"{len(one.shared_words)}/{one.whole}",
        "quality": str(trace.quality_score),
        "newer": str(from_unix(trace.created_at) or trace.created_at),
        "id": trace.trace_id,
    }[name]


CRITERIA: dict[Criterion, tuple[str, Callable[[Similar], Any]]] = {
    "task_type": ("task type", lambda one: one.same_type),
    "model_class": ("model class", lambda one: one.same_class),
    "shared": ("shared words", lambda one: len(one.shared_words)),
    "similarity": ("Jaccard", lambda one: one.similarity),
    "quality": ("quality", lambda one: one.trace.quality_score),
    "newer": ("made", lambda one: one.trace.created_at),
    "id": ("id", lambda one: one.trace.trace_id),
}
"""What ranks the candidates, in this order: how it is called, and its value."""

SIZE = """
SELECT count(*) FILTER (status = 'active'), count(*) FILTER (status <> 'active') FROM traces
"""

# A retired trace is told only when it would be a candidate otherwise.
RELATED = f"""
WITH hits AS (
    SELECT journal_sequence, count(*) AS shared
    FROM trace_words
    WHERE word IN (SELECT unnest($words::VARCHAR[]))
    GROUP BY journal_sequence
),
weighed AS (
    SELECT t.*, h.shared, t.word_count + len($words::VARCHAR[]) - h.shared AS whole,
           CASE WHEN shared * 9 < whole THEN 'floor'
                WHEN quality_score < $min_quality THEN 'min_quality'
                WHEN status <> 'active' THEN 'retired'
                ELSE 'candidate' END AS outcome
    FROM hits AS h JOIN traces AS t USING (journal_sequence)
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY outcome {BEST_FIRST}) AS place,
           count(*) OVER (PARTITION BY outcome) AS several
    FROM weighed
    WHERE status = 'active' OR outcome = 'retired'
)
SELECT trace_id, shared, whole, outcome, place, several, coalesce(status_reason, '')
FROM placed
WHERE place <= $near + CASE WHEN outcome = 'candidate' THEN $limit ELSE 0 END
ORDER BY list_position(['candidate', 'min_quality', 'retired', 'floor'], outcome), place
"""
