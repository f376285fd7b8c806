-- Do the worked examples help?
-- Jobs that saw examples against jobs that would have seen some and were held out by chance: the
-- only fair comparison, because jobs without examples are those that resemble nothing.
-- The interval of the difference is Welch's with a normal quantile; wait for n_held_out >= 30.
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
           sqrt(var_samp(quality) FILTER (NOT held_out) / n_shown
                + var_samp(quality) FILTER (held_out) / n_held_out) AS error
    FROM arms
    GROUP BY task_type, model_name
)
SELECT task_type, model_name, n_shown, n_held_out, quality_shown, quality_held_out,
       quality_shown - quality_held_out AS effect,
       effect - 1.959964 * error AS effect_low,
       effect + 1.959964 * error AS effect_high
FROM sums;
