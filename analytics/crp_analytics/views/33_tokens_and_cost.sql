-- What does a job cost in tokens, money and time, and what does a point of quality cost?
-- n counts jobs; the intervals are Student's 95% intervals of the mean. cost_now uses the latest price of the model instead of the one of that day.
-- Example: SELECT template, model_name, tokens_per_job, cost_per_job FROM v_tokens_and_cost
CREATE VIEW v_tokens_and_cost AS
WITH price AS (
    SELECT model_name, provider, arg_max(input_price, journal_sequence) AS input_price,
           arg_max(output_price, journal_sequence) AS output_price
    FROM prices GROUP BY model_name, provider
),
repriced AS (
    SELECT a.job_id, sum(
        (a.gen_ai_usage_input_tokens * p.input_price
         + a.gen_ai_usage_output_tokens * p.output_price) / 1e6
    ) AS cost_now
    FROM attempts AS a
    JOIN price AS p
      ON p.model_name = a.gen_ai_request_model AND p.provider = a.gen_ai_provider_name
    GROUP BY a.job_id
),
spent AS (
    SELECT j.*, j.input_tokens + j.output_tokens AS tokens, r.cost_now, q.quality AS best_quality
    FROM jobs AS j
    JOIN v_job_quality AS q USING (job_id)
    LEFT JOIN repriced AS r USING (job_id)
)
SELECT template, model_name, count(*) AS n,
       avg(tokens) AS tokens_per_job,
       ci95_low(avg(tokens), stddev_samp(tokens), count(*)) AS tokens_low,
       ci95_high(avg(tokens), stddev_samp(tokens), count(*)) AS tokens_high,
       avg(calls) AS calls_per_job,
       sum(cached_tokens) / nullif(sum(input_tokens), 0) AS cached_share,
       avg(cost) AS cost_per_job,
       ci95_low(avg(cost), stddev_samp(cost), count(*)) AS cost_low,
       ci95_high(avg(cost), stddev_samp(cost), count(*)) AS cost_high,
       avg(cost_now) AS cost_now_per_job,
       sum(tokens) / nullif(sum(best_quality), 0) AS tokens_per_quality_point,
       avg(seconds) AS seconds_per_job,
       avg(model_seconds) AS model_seconds_per_job
FROM spent
GROUP BY template, model_name;
