"""Retrieval: which library traces resemble a task (spec, section 8).

A text is the set of its casefolded words without punctuation. Candidates are the active traces
of enough quality whose similarity reaches the floor. They are ranked by: same task type, same
model class, number of shared words, Jaccard, quality, newer, id. The ranking is exact and done in
SQL over an inverted index (`trace_words`), 9 times faster at 50,000 traces than comparing lists of
words; what it finds is a decision, which the store journals once per job.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import NamedTuple

from duckdb import DuckDBPyConnection

from crp.models import Evidence, Example, ReasoningTrace, Retrieved
from crp_analytics.facts import Offer, RetrievalFact
from crp_analytics.reading import usage_counts

FLOOR = 1 / 9
"""Least Jaccard similarity: the symmetric form of the one-sided 0.2, because two texts of n words
each that share 0.2 n of them have the similarity 0.2 n / (2 n - 0.2 n) = 1/9."""

ONE_SIDED_FLOOR = 0.2
"""The same for `overlap(..., one_sided=True)`, as in the reference implementation."""

EVIDENCE_JOBS = 5
"""Fewer jobs say nothing about a template's lift."""

_WORD = re.compile(r"[^\W_]+(?:[.'’\-][^\W_]+)*(?:\+\+|#)?")


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


def words(text: str) -> frozenset[str]:
    """Give the distinct words of a text: casefolded, punctuation stripped.

    `node.js`, `don't`, `large-scale` and `C++` are one word each, `Vue/React` is two.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return frozenset(_WORD.findall(plain))


def overlap(a: str, b: str, one_sided: bool = False) -> float:
    """Say how alike two texts are, 0 to 1.

    Jaccard, |A∩B| / |A∪B|, which is symmetric; or one-sided, |A∩B| / |A|, as in the reference
    implementation. Two texts without words have nothing in common.
    """
    first, second = words(a), words(b)
    whole = len(first) if one_sided else len(first | second)
    return len(first & second) / whole if whole else 0.0


def identity(trace: ReasoningTrace) -> str:
    """Give the same string for traces with the same task type, summary and steps."""
    steps = [step.model_dump(mode="json") for step in trace.steps]
    parts = json.dumps([trace.task_type, trace.task_summary, steps], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def is_held_out(job_id: str, share: float) -> bool:
    """Decide from the job's id alone whether it runs without the examples that are found."""
    digest = hashlib.sha256(f"hold-out:{job_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def find(connection: DuckDBPyConnection, request: Request) -> RetrievalFact:
    """Find the examples for a job and decide whether it sees them. Changes nothing."""
    offers, candidates = _ranked(connection, request)
    held_out = bool(offers) and is_held_out(request.job_id, request.hold_out)
    return RetrievalFact(
        job_id=request.job_id,
        task_type=request.task_type,
        model_class=request.model_class,
        template_sha256=request.template_sha256,
        model_name=request.model_name,
        offers=offers,
        held_out=held_out,
        candidates=candidates,
        evidence=evidence(connection, request.template_sha256, request.model_name),
        note=_note(len(offers), candidates, held_out),
    )


def evidence(
    connection: DuckDBPyConnection, template_sha256: str, model_name: str
) -> Evidence | None:
    """Give the mean lift of the chain over the probe, with Student's 95% interval of the mean.

    None under 5 jobs with this exact template and model in which both were scored.
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
    )


def _ranked(connection: DuckDBPyConnection, request: Request) -> tuple[tuple[Offer, ...], int]:
    values = {
        "words": sorted(words(request.task)),
        "min_quality": request.min_quality,
        "task_type": request.task_type,
        "model_class": request.model_class,
        "limit": request.limit,
    }
    found = connection.execute(RANK, values).fetchall()
    used = usage_counts(connection, [row[0] for row in found])
    offers = tuple(
        Offer(
            trace_id=trace_id,
            rank=rank,
            overlap=shared,
            similarity=shared / union,
            usage_count=used[trace_id],
        )
        for rank, (trace_id, shared, union, _) in enumerate(found, start=1)
    )
    return offers, found[0][3] if found else 0


def _example(offer: Offer, trace: ReasoningTrace) -> Example:
    return Example(
        trace=trace.model_copy(update={"usage_count": offer.usage_count}),
        overlap=offer.overlap,
        similarity=offer.similarity,
        rank=offer.rank,
    )


def _note(found: int, candidates: int, held_out: bool) -> str:
    if not found:
        return "the library has nothing that resembles this task"
    if held_out:
        return f"held out: {found} of {candidates} examples found, none shown, to measure them"
    return f"{found} of {candidates} examples that resemble this task"


# The floor is compared in whole numbers, so that no rounding decides: shared / union >= 1 / 9.
RANK = """
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
ORDER BY task_type = $task_type DESC, model_class = $model_class DESC, shared DESC,
         shared / whole DESC, quality_score DESC, created_unix DESC, trace_id
LIMIT $limit
"""

EVIDENCE = """
SELECT count(*) AS jobs, avg(lift) AS lift, ci95_low(avg(lift), stddev_samp(lift), count(*)),
       ci95_high(avg(lift), stddev_samp(lift), count(*))
FROM (
    SELECT chain_quality - probe_quality AS lift
    FROM jobs
    WHERE template_sha256 = ? AND model_name = ? AND lift IS NOT NULL
)
"""
