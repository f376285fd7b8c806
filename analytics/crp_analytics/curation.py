"""Curation: which library entries have to go (spec, section 8). It decides and changes nothing.

In this order: `below_threshold` (its quality is under the storage threshold, which may have been
raised, or a person has scored its job), `unused` (never shown to a job although enough later jobs
of its task type were recorded), `over_cap` (its task type has more entries than the cap: the
lowest quality goes first, then the oldest). A trace has one reason, the first that fits. What a
person brought back (`held`) stays and counts for the cap; what came back by a score has its grace
again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from duckdb import DuckDBPyConnection

from crp.errors import NotFound
from crp.models import CurationReport, MetaLearningConfig, Retired
from crp_analytics.facts import CurationFact


def choose(
    connection: DuckDBPyConnection,
    config: MetaLearningConfig,
    gone: Collection[str] = (),
    kept: Collection[str] = (),
) -> CurationFact:
    """Decide which active traces leave the library, and why.

    `gone` have left it and `kept` are held in it, though the tables do not say so yet.
    """
    rules = {
        "min_quality": config.rtl_min_quality_for_storage,
        "grace": config.rtl_grace_jobs,
        "cap": config.rtl_max_traces,
        "gone": list(gone),
        "kept": list(kept),
    }
    found = connection.execute(CHOOSE, rules).fetchall()
    active = connection.execute(ACTIVE, {"gone": list(gone)}).fetchall()
    return CurationFact(
        considered=active[0][0],
        min_quality=config.rtl_min_quality_for_storage,
        grace_jobs=config.rtl_grace_jobs,
        max_traces=config.rtl_max_traces,
        retired=tuple(_retired(config, *row) for row in found),
    )


def same_rules(fact: CurationFact, config: MetaLearningConfig) -> bool:
    """Whether a curation was run with these rules."""
    return (fact.min_quality, fact.grace_jobs, fact.max_traces) == (
        config.rtl_min_quality_for_storage,
        config.rtl_grace_jobs,
        config.rtl_max_traces,
    )


def report(fact: CurationFact) -> CurationReport:
    """Sum a curation up for people."""
    return CurationReport(
        considered=fact.considered,
        retired=len(fact.retired),
        reasons=dict(Counter(retired.reason for retired in fact.retired)),
        traces=fact.retired,
        receipt=fact.receipt,
    )


def still_retired(connection: DuckDBPyConnection, run_id: int) -> list[str]:
    """Give the traces that are out because of one curation. NotFound when there was none."""
    if not connection.execute(RUN, [run_id]).fetchall():
        raise NotFound(f"the library has no curation {run_id}: the view v_curation lists them")
    return [row[0] for row in connection.execute(STILL_RETIRED, [run_id]).fetchall()]


def _retired(
    config: MetaLearningConfig,
    trace_id: str,
    task_type: str,
    reason: str,
    quality: float,
    used: int,
    later: int,
) -> Retired:
    details = {
        "below_threshold": f"quality {quality:.2f} < {config.rtl_min_quality_for_storage:.2f}",
        "unused": f"shown to none of {later} later jobs (grace: {config.rtl_grace_jobs})",
        "over_cap": f"{task_type!r} has more than {config.rtl_max_traces} traces",
    }
    return Retired(
        trace_id=trace_id,
        task_type=task_type,
        reason=reason,
        detail=details[reason],
        quality=quality,
        usage_count=used,
        later_jobs=later,
    )


_LEFT = "status = 'active' AND trace_id NOT IN (SELECT unnest($gone::VARCHAR[]))"

ACTIVE = f"SELECT count(*) FROM traces WHERE {_LEFT}"

CHOOSE = f"""
WITH active AS (
    SELECT t.trace_id, t.task_type, t.quality_score, t.created_unix, u.usage_count,
           t.held IS NOT NULL OR trace_id IN (SELECT unnest($kept::VARCHAR[])) AS held,
           t.status_sequence AS since
    FROM traces AS t JOIN v_usage_count AS u USING (trace_id)
    WHERE {_LEFT}
),
numbered AS (
    SELECT task_type, journal_sequence,
           row_number() OVER (PARTITION BY task_type ORDER BY journal_sequence) AS number
    FROM jobs
),
totals AS (SELECT task_type, count(*) AS jobs FROM jobs GROUP BY ALL),
aged AS (  -- later jobs of its type: all of them without those up to its entering
    SELECT a.*, coalesce(t.jobs, 0) - coalesce(n.number, 0) AS later_jobs
    FROM active AS a
    ASOF LEFT JOIN numbered AS n
        ON a.task_type = n.task_type AND a.since >= n.journal_sequence
    LEFT JOIN totals AS t ON a.task_type = t.task_type
),
judged AS (
    SELECT *, CASE
        WHEN held THEN NULL
        WHEN quality_score < $min_quality THEN 'below_threshold'
        WHEN usage_count = 0 AND later_jobs >= $grace THEN 'unused'
    END AS reason
    FROM aged
),
capped AS (  -- the cap counts only what is left
    SELECT *, row_number() OVER (
        PARTITION BY task_type, reason IS NULL
        ORDER BY held DESC, quality_score DESC, created_unix DESC, trace_id
    ) AS place
    FROM judged
)
SELECT trace_id, task_type, coalesce(reason, 'over_cap') AS reason, quality_score, usage_count,
       later_jobs
FROM capped
WHERE reason IS NOT NULL OR (place > $cap AND NOT held)
ORDER BY trace_id
"""

RUN = "SELECT 1 FROM curation_runs WHERE run_id = ?"

LAST_RUN = """
SELECT max(status_sequence) FROM traces
WHERE status = 'retired' AND status_sequence IN (SELECT run_id FROM curation_runs)
"""
"""The last curation of which something is still out: what `undo` without a number means."""

STILL_RETIRED = """
SELECT trace_id FROM traces WHERE status = 'retired' AND status_sequence = ? ORDER BY trace_id
"""
