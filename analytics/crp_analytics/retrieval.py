"""Retrieval: which library traces resemble a task (spec, section 8).

A text is the set of its casefolded words without punctuation. Candidates are the active traces
of enough quality whose similarity reaches the floor. They are ranked by: same task type, same
model class, number of shared words, Jaccard, quality, newer, id. `rank` does this with the index in
memory, `rank_by_sql` with the tables alone: slower, and what the tests believe. What is found is a
decision, which the store journals once per job. Reads the tables, writes nothing.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from duckdb import DuckDBPyConnection

from crp.models import Evidence, Example, Offer, ReasoningTrace, Retrieved, Wire
from crp_analytics.facts import RetrievalFact
from crp_analytics.index import Index
from crp_analytics.journal import encode
from crp_analytics.reading import usage_counts
from crp_analytics.words import words

EVIDENCE_JOBS = 5
"""Fewer jobs say nothing about a template's lift."""


class Request(NamedTuple):
    """What a job tells the library about itself."""

    job_id: str
    task: str
    task_type: str
    model_class: str
    template_sha256: str
    model_name: str
    limit: int
    min_quality: float
    hold_out: float


class Place(NamedTuple):
    """A trace that was found: words it shares with the task, and words of both together."""

    trace_id: str
    shared: int
    whole: int


class Ranking(NamedTuple):
    """The best traces for a task, best first."""

    places: list[Place]
    candidates: int
    complete: bool = True
    """Whether that many are all that resemble it: in a large library the search ends earlier."""


class Similar(Wire):
    """A trace beside a task, and all that its rank is decided by."""

    rank: int
    trace: ReasoningTrace
    same_type: bool
    same_class: bool
    shared_words: tuple[str, ...]
    task_words: int
    whole: int
    similarity: float


def identity(trace: ReasoningTrace) -> str:
    """Give the same string for traces with the same task type, summary and steps."""
    parts = encode("trace", [trace.task_type, trace.task_summary, trace.steps])
    return hashlib.sha256(parts.encode()).hexdigest()


def is_held_out(job_id: str, share: float) -> bool:
    """Decide from the job's id alone whether it runs without the examples that are found."""
    digest = hashlib.sha256(f"hold-out:{job_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def find(connection: DuckDBPyConnection, index: Index, request: Request) -> RetrievalFact:
    """Find the examples for a job and decide whether it sees them. Changes nothing."""
    ranking = rank(connection, index, request)
    offers = _offers(connection, ranking.places)
    held_out = bool(offers) and is_held_out(request.job_id, request.hold_out)
    return RetrievalFact(
        job_id=request.job_id,
        task_type=request.task_type,
        model_class=request.model_class,
        template_sha256=request.template_sha256,
        model_name=request.model_name,
        offers=offers,
        held_out=held_out,
        candidates=ranking.candidates,
        evidence=evidence(connection, request.template_sha256, request.model_name),
        note=_note(len(offers), ranking, held_out),
    )


def evidence(
    connection: DuckDBPyConnection, template_sha256: str, model_name: str
) -> Evidence | None:
    """Give the mean lift of the chain over the probe, with Student's 95% interval of the mean.

    None under 5 jobs with this exact template and model in which both were scored. Where all lifts
    are alike, the gate goes by that: both ends are the mean.
    """
    found = connection.execute(EVIDENCE, [template_sha256, model_name]).fetchall()[0]
    jobs, lift, low, high = found
    if jobs < EVIDENCE_JOBS:
        return None
    return Evidence(jobs=jobs, lift=lift, low=low, high=high)


def shown(fact: RetrievalFact, traces: dict[str, ReasoningTrace]) -> Retrieved:
    """Give a journaled retrieval as the job sees it: a job that is held out sees no example."""
    examples = () if fact.held_out else tuple(_example(o, traces[o.trace_id]) for o in fact.offers)
    return Retrieved(
        examples=examples,
        held_out=fact.held_out,
        candidates=fact.candidates,
        evidence=fact.evidence,
        note=fact.note,
        offers=fact.offers,
        receipt=fact.receipt,
    )


def rank(connection: DuckDBPyConnection, index: Index, request: Request) -> Ranking:
    """Rank with the index, which must have followed the tables; they decide what only ids can."""
    wanted = words(request.task)
    found = index.search(
        wanted, request.task_type, request.model_class, request.min_quality, request.limit
    )
    if not found.hits:
        return Ranking([], found.candidates, found.complete)
    values: dict[str, Any] = {
        "sequences": [hit.sequence for hit in found.hits],
        "shared": [hit.shared for hit in found.hits],
        "whole": [hit.whole for hit in found.hits],
        **order(request),
    }
    rows = connection.execute(ORDER_HITS, values).fetchall()
    return Ranking([Place(*row) for row in rows], found.candidates, found.complete)


def rank_by_sql(connection: DuckDBPyConnection, request: Request) -> Ranking:
    """Rank with the tables alone: the oracle of the tests."""
    values = {
        "words": sorted(words(request.task)),
        "min_quality": request.min_quality,
        **order(request),
    }
    rows = connection.execute(RANK, values).fetchall()
    return Ranking([Place(*row[:3]) for row in rows], rows[0][3] if rows else 0)


def similar_to(request: Request, number: int, place: Place, trace: ReasoningTrace) -> Similar:
    """Put one trace beside a task."""
    wanted = words(request.task)
    return Similar(
        rank=number,
        trace=trace,
        same_type=trace.task_type == request.task_type,
        same_class=trace.model_class == request.model_class,
        shared_words=tuple(sorted(wanted & words(trace.task_summary))),
        task_words=len(wanted),
        whole=place.whole,
        similarity=place.shared / place.whole,
    )


def order(request: Request) -> dict[str, Any]:
    """Give what BEST_FIRST and a LIMIT behind it need."""
    return {
        "task_type": request.task_type,
        "model_class": request.model_class,
        "limit": request.limit,
    }


def _offers(connection: DuckDBPyConnection, places: list[Place]) -> tuple[Offer, ...]:
    used = usage_counts(connection, [place.trace_id for place in places])
    return tuple(
        Offer(
            trace_id=place.trace_id,
            rank=number,
            overlap=place.shared,
            similarity=place.shared / place.whole,
            usage_count=used[place.trace_id],
        )
        for number, place in enumerate(places, start=1)
    )


def _example(offer: Offer, trace: ReasoningTrace) -> Example:
    return Example(
        trace=trace.model_copy(update={"usage_count": offer.usage_count}),
        overlap=offer.overlap,
        similarity=offer.similarity,
        rank=offer.rank,
    )


def _note(found: int, ranking: Ranking, held_out: bool) -> str:
    if not found:
        return "the library has nothing that resembles this task"
    several = f"{'' if ranking.complete else 'at least '}{ranking.candidates}"
    if held_out:
        return f"held out: {found} of {several} examples found, none shown, to measure them"
    return f"{found} of {several} examples that resemble this task"


BEST_FIRST = """
ORDER BY task_type = $task_type DESC, model_class = $model_class DESC, shared DESC,
         shared / whole DESC, quality_score DESC, created_unix DESC, trace_id
"""

ORDER_HITS = f"""
WITH hits AS (
    SELECT unnest($sequences::BIGINT[]) AS journal_sequence, unnest($shared::INTEGER[]) AS shared,
           unnest($whole::INTEGER[]) AS whole
)
SELECT trace_id, shared, whole FROM hits JOIN traces USING (journal_sequence)
{BEST_FIRST}
LIMIT $limit
"""

# The floor is compared in whole numbers, so that no rounding decides: shared / union >= 1 / 9.
RANK = f"""
WITH hits AS (
    SELECT journal_sequence, count(*) AS shared
    FROM trace_words
    WHERE word IN (SELECT unnest($words::VARCHAR[]))
    GROUP BY journal_sequence
),
alike AS (
    SELECT t.*, h.shared, t.word_count + len($words::VARCHAR[]) - h.shared AS whole
    FROM hits AS h JOIN traces AS t USING (journal_sequence)
    WHERE t.status = 'active' AND t.quality_score >= $min_quality
)
SELECT trace_id, shared, whole, count(*) OVER () AS candidates
FROM alike
WHERE shared * 9 >= whole
{BEST_FIRST}
LIMIT $limit
"""

EVIDENCE = """
SELECT count(*) AS jobs, avg(lift) AS mean,
       coalesce(ci95_low(mean, stddev_samp(lift), count(*)), mean),
       coalesce(ci95_high(mean, stddev_samp(lift), count(*)), mean)
FROM (
    SELECT chain_quality - probe_quality AS lift
    FROM jobs
    WHERE template_sha256 = ? AND model_name = ? AND lift IS NOT NULL
)
"""
