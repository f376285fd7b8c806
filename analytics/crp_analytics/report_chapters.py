"""The chapters of the report: for each its question, its SQL, its columns, its chart, its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from crp_analytics import report_charts as charts
from crp_analytics import report_words as words
from crp_analytics.report_charts import Row, Spec
from crp_analytics.report_words import safe


class Column(NamedTuple):
    """One column of a chapter's table."""

    key: str
    heading: str
    form: str = "text"
    """text, count, share, quality, signed, seconds, money; `X..` is the interval of KEY as X."""


class Chapter(NamedTuple):
    """One question with its answer. A query numbers its rows by `place`."""

    key: str
    title: str
    question: str
    query: str
    columns: tuple[Column, ...]
    draw: Callable[[Sequence[Row], int], Spec]
    read: Callable[[Sequence[Row]], list[str]]
    empty: str
    """What stands there as long as there are no rows."""


def prepared(rows: Sequence[Row]) -> list[Row]:
    """Give rows a name that no other has, and a verdict where there is an effect."""
    made = []
    one_model = len({row.get("model") for row in rows}) < 2
    for row in rows:
        parts = [row.get("first"), row.get("second"), None if one_model else row.get("model")]
        named = [safe(str(part)) for part in parts if part]
        extra = {"parts": named, "name": charts.BETWEEN.join(named)}
        if "effect" in row:
            low, high = row["effect_low"], row["effect_high"]
            extra["verdict"] = words.verdict(low, high, words.least(row))
        made.append({**row, **extra})
    return made


def _retries(rows: Sequence[Row]) -> list[str]:
    worst = rows[0]
    share = words.number(worst["share"], "share")
    said = f"Most often again: {worst['name']}, {share} of {words.plural(worst['n'], 'run')}."
    return [said, *words.few_rows(rows, "steps")]


def _cost(rows: Sequence[Row]) -> list[str]:
    free = all(not row["cost"] for row in rows)
    said = ["No prices are set, so all cost is 0."] if free else []
    return [*said, *words.few_rows(rows, "rows")]


def _few_shot(rows: Sequence[Row]) -> list[str]:
    said = words.effects(rows, "showing examples")
    held = min(row["n_held_out"] for row in rows)
    if held < words.FEW_HELD_OUT:
        said.append(
            f"The smallest hold-out arm has {words.plural(held, 'job')};"
            f" an interval deserves trust from about {words.FEW_HELD_OUT} on."
        )
    return said


def _slow(rows: Sequence[Row]) -> list[str]:
    slowest = rows[0]
    total = words.number(slowest["total"], "seconds")
    return [
        f"Most time went into {slowest['name']}: {total} in {words.plural(slowest['n'], 'run')}.",
        *words.few_rows(rows, "steps"),
    ]


def _gate(rows: Sequence[Row]) -> list[str]:
    jobs = sum(row["jobs"] for row in rows)
    split = sum(row["jobs"] for row in rows if row["orc"])
    return [f"{split:,} of {words.plural(jobs, 'job')} were done in steps."]


NAME = Column("name", "")
N = Column("n", "n", "count")

CHAPTERS = (
    Chapter(
        "time",
        "Quality over time",
        "How good are the answers, and is that changing?",
        """
        WITH span AS (
            SELECT CASE WHEN days <= 31 THEN 'day' WHEN days <= 182 THEN 'week' ELSE 'month' END
                   AS unit
            FROM (SELECT date_diff('day', min(finished_at), max(finished_at)) AS days FROM jobs)
        ),
        halves AS (
            SELECT q.quality, ntile(2) OVER (ORDER BY j.finished_at, job_id) = 2 AS late
            FROM jobs AS j JOIN v_job_quality AS q USING (job_id) WHERE q.quality IS NOT NULL
        ),
        change AS (
            SELECT avg(quality) FILTER (late) - avg(quality) FILTER (NOT late) AS change,
                   t95(count(*) - 2) * nullif(sqrt(
                       var_samp(quality) FILTER (late) / count(*) FILTER (late)
                       + var_samp(quality) FILTER (NOT late) / count(*) FILTER (NOT late)
                   ), 0) AS error
            FROM halves
        )
        SELECT row_number() OVER (ORDER BY period) AS place, unit, period, period AS first,
               count(*) AS jobs, count(quality) AS n, avg(quality) AS quality,
               at_least(0, ci95_low(avg(quality), stddev_samp(quality), n)) AS quality_low,
               at_most(1, ci95_high(avg(quality), stddev_samp(quality), n)) AS quality_high,
               any_value(change) AS change, any_value(change - error) AS change_low,
               any_value(change + error) AS change_high
        FROM (
            SELECT date_trunc(unit, j.finished_at)::DATE AS period, unit, q.quality
            FROM jobs AS j JOIN v_job_quality AS q USING (job_id), span
            WHERE j.finished_at IS NOT NULL
        ), change
        GROUP BY period, unit
        """,
        (
            Column("first", "from"),
            Column("jobs", "jobs", "count"),
            N,
            Column("quality", "mean quality", "quality"),
            Column("quality", "95% interval", "quality.."),
        ),
        lambda rows, width: charts.over_time(rows, "quality", "quality, mean and interval", width),
        words.over_time,
        "No job has finished yet.",
    ),
    Chapter(
        "lift",
        "Does splitting the task help?",
        "The quality of the chain minus that of the direct answer to the same task, by task type.",
        """
        SELECT row_number() OVER (ORDER BY count(*) DESC, task_type) AS place,
               count(*) OVER () AS of_all, task_type AS first, count(*) AS n,
               avg(probe_quality) AS probe, avg(chain_quality) AS chain,
               avg(chain_quality - probe_quality) AS effect,
               ci95_low(effect, stddev_samp(chain_quality - probe_quality), n) AS effect_low,
               ci95_high(effect, stddev_samp(chain_quality - probe_quality), n) AS effect_high,
               count(*) FILTER (chain_quality < probe_quality) AS worse
        FROM jobs WHERE probe_quality IS NOT NULL AND chain_quality IS NOT NULL
        GROUP BY task_type
        """,
        (
            NAME,
            N,
            Column("probe", "direct", "quality"),
            Column("chain", "chain", "quality"),
            Column("effect", "lift", "signed"),
            Column("effect", "95% interval", "signed.."),
            Column("worse", "chain was worse", "count"),
            Column("verdict", "splitting"),
        ),
        lambda rows, width: charts.dots(rows, "effect", "lift in quality", width, zero=True),
        lambda rows: words.effects(rows, "splitting"),
        "No job has both a scored chain and a scored direct answer yet: `crp run --show-probe`"
        " makes both.",
    ),
    Chapter(
        "retries",
        "Which steps are tried again?",
        "The share of runs of a step that needed more than one attempt, the surest first.",
        """
        SELECT row_number() OVER (
                   ORDER BY wilson_low(sum(again), count(*)) DESC, count(*) DESC, template, step
               ) AS place,
               count(*) OVER () AS of_all, template AS first, step AS second, count(*) AS n,
               sum(again) / count(*) AS share,
               wilson_low(sum(again), count(*)) AS share_low,
               wilson_high(sum(again), count(*)) AS share_high,
               count(*) FILTER (status = 'failed') AS failed,
               count(*) FILTER (scaffold_end > scaffold_start) AS raised,
               count(*) FILTER (scaffold_end > scaffold_start AND status = 'done') AS rescued
        FROM (
            SELECT j.template, s.template_step AS step, s.status, s.scaffold_start, s.scaffold_end,
                   (s.attempts > 1)::INTEGER AS again
            FROM steps AS s JOIN jobs AS j USING (job_id) WHERE s.attempts > 0
        )
        GROUP BY template, step
        """,
        (
            NAME,
            N,
            Column("share", "tried again", "share"),
            Column("share", "95% interval", "share.."),
            Column("raised", "got more help", "count"),
            Column("rescued", "rescued by it", "count"),
            Column("failed", "failed", "count"),
        ),
        lambda rows, width: charts.dots(rows, "share", "share tried again", width, share=True),
        _retries,
        "No step has run yet.",
    ),
    Chapter(
        "cost",
        "What does a job cost?",
        "Tokens and money for each job. “Now” is what it would cost with the latest prices.",
        """
        SELECT row_number() OVER (ORDER BY v.n DESC, template, model_name) AS place,
               count(*) OVER () AS of_all, template AS first, model_name AS model, v.n,
               s.input, s.output, v.tokens_per_job AS tokens,
               at_least(0, v.tokens_low) AS tokens_low, v.tokens_high,
               v.cost_per_job AS cost, v.cost_now_per_job AS cost_now,
               v.tokens_per_quality_point AS per_point
        FROM v_tokens_and_cost AS v
        JOIN (
            SELECT template, model_name, avg(input_tokens) AS input, avg(output_tokens) AS output
            FROM jobs GROUP BY ALL
        ) AS s USING (template, model_name)
        """,
        (
            NAME,
            N,
            Column("tokens", "tokens", "count"),
            Column("tokens", "95% interval", "count.."),
            Column("per_point", "tokens for 1.0 quality", "count"),
            Column("cost", "cost", "money"),
            Column("cost_now", "cost now", "money"),
        ),
        lambda rows, width: charts.bars(
            rows, {"input": "in", "output": "out"}, "tokens for each job, mean", width
        ),
        _cost,
        "No job has finished yet.",
    ),
    Chapter(
        "examples",
        "Do the examples help?",
        "Jobs that saw examples against jobs that were held out by chance and saw none.",
        """
        SELECT row_number() OVER (ORDER BY n_shown + n_held_out DESC, task_type, model_name)
                   AS place,
               count(*) OVER () AS of_all, task_type AS first, model_name AS model,
               n_shown, n_held_out, n_shown + n_held_out AS n, quality_shown, quality_held_out,
               effect, effect_low, effect_high
        FROM v_few_shot_effect WHERE n_shown > 0 AND n_held_out > 0
        """,
        (
            NAME,
            Column("n_shown", "n with", "count"),
            Column("n_held_out", "n held out", "count"),
            Column("quality_shown", "with", "quality"),
            Column("quality_held_out", "held out", "quality"),
            Column("effect", "effect", "signed"),
            Column("effect", "95% interval", "signed.."),
            Column("verdict", "showing examples"),
        ),
        lambda rows, width: charts.dots(rows, "effect", "effect on quality", width, zero=True),
        _few_shot,
        "There is no job with examples to compare with one that was held out yet. One job in twenty"
        " that would get examples is held out (`icml_hold_out`).",
    ),
    Chapter(
        "slow",
        "Where does the time go?",
        "Seconds for one run of a step: half of the runs are faster, one in twenty is slower.",
        """
        SELECT row_number() OVER (
                   ORDER BY sum(s.run_seconds) DESC, j.template, s.template_step
               ) AS place,
               count(*) OVER () AS of_all, j.template AS first, s.template_step AS second,
               count(*) AS n, sum(s.run_seconds) AS total,
               quantile_cont(s.run_seconds, 0.5) AS p50, quantile_cont(s.run_seconds, 0.95) AS p95,
               avg(s.queue_seconds) AS queue, arg_max(s.job_id, s.run_seconds) AS slowest_job
        FROM steps AS s JOIN jobs AS j USING (job_id) WHERE s.run_seconds IS NOT NULL
        GROUP BY j.template, s.template_step
        """,
        (
            NAME,
            N,
            Column("total", "all together", "seconds"),
            Column("p50", "half under", "seconds"),
            Column("p95", "95% under", "seconds"),
            Column("queue", "waiting, mean", "seconds"),
            Column("slowest_job", "slowest job"),
        ),
        lambda rows, width: charts.bars(
            rows, {"p50": "half under", "p95": "95% under"}, "seconds", width, stack=False
        ),
        _slow,
        "No step has a time yet.",
    ),
    Chapter(
        "gate",
        "Why were tasks split, or not?",
        "The rule that decided, how often, and the quality of those jobs.",
        """
        SELECT row_number() OVER (ORDER BY count(*) DESC, j.gate_rule, j.gate_orc) AS place,
               count(*) OVER () AS of_all,
               j.gate_rule AS first, CASE WHEN j.gate_orc THEN 'in steps' ELSE 'directly' END
                   AS second,
               j.gate_orc AS orc, count(*) AS jobs, count(q.quality) AS n,
               avg(q.quality) AS quality,
               at_least(0, ci95_low(avg(q.quality), stddev_samp(q.quality), n)) AS quality_low,
               at_most(1, ci95_high(avg(q.quality), stddev_samp(q.quality), n)) AS quality_high,
               any_value(j.gate_reason) AS reason
        FROM jobs AS j JOIN v_job_quality AS q USING (job_id)
        WHERE j.gate_rule IS NOT NULL
        GROUP BY j.gate_rule, j.gate_orc
        """,
        (
            NAME,
            Column("jobs", "jobs", "count"),
            N,
            Column("quality", "mean quality", "quality"),
            Column("quality", "95% interval", "quality.."),
            Column("reason", "for example"),
        ),
        lambda rows, width: charts.bars(rows, {"jobs": "jobs"}, "jobs", width),
        _gate,
        "The gate has decided nothing yet.",
    ),
)
