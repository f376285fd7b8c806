-- Do the worked examples help?
-- Jobs that saw examples against jobs that would have seen some and were held out by chance: the
-- only fair comparison, because jobs without examples are those that resemble nothing.
-- The interval of the difference is Welch's, with Student's quantile for its degrees of freedom: with
-- few jobs in one arm it is wide.
-- Example: SELECT task_type, n_shown, n_held_out, effect, effect_low, effect_high FROM v_few_shot_effect
CREATE VIEW v_few_shot_effect AS
WITH arms AS (
    SELECT j.task_type, j.model_name, r.held_out, q.quality
    FROM retrieval_runs AS r
    JOIN jobs AS j USING (job_id)
    JOIN v_job_quality AS q USING (job_id)
    WHERE r.found > 0 AND q.quality IS NOT NULL
),
sums AS (
    SELECT task_type, model_name,
           count(*) FILTER (NOT held_out) AS n_shown,
           count(*) FILTER (held_out) AS n_held_out,
           avg(quality) FILTER (NOT held_out) AS quality_shown,
           avg(quality) FILTER (held_out) AS quality_held_out,
           var_samp(quality) FILTER (NOT held_out) / n_shown AS a,
           var_samp(quality) FILTER (held_out) / n_held_out AS b,
           (a + b) ** 2 / nullif(a ** 2 / (n_shown - 1) + b ** 2 / (n_held_out - 1), 0) AS df,
           t95(greatest(1, floor(coalesce(df, 1)))::BIGINT) * nullif(sqrt(a + b), 0) AS error
    FROM arms
    GROUP BY task_type, model_name
)
SELECT task_type, model_name, n_shown, n_held_out, quality_shown, quality_held_out,
       quality_shown - quality_held_out AS effect,
       effect - error AS effect_low,
       effect + error AS effect_high
FROM sums;
