-- Is the cost of a job what its tokens and the prices of its day make?
-- Recomputed from attempts and prices: each call with the price that its model had when its job
-- was submitted.
-- Example: SELECT * FROM v_cost_check WHERE abs(difference) > 1e-9
CREATE VIEW v_cost_check AS
WITH periods AS (
    -- The first price holds for all time before: a job that was submitted earlier may end later.
    SELECT model_name, provider, input_price, output_price,
           CASE WHEN row_number() OVER times = 1 THEN TIMESTAMP '-infinity' ELSE since END AS since,
           coalesce(lead(since) OVER times, TIMESTAMP 'infinity') AS until
    FROM prices
    WINDOW times AS (PARTITION BY model_name, provider ORDER BY since, journal_sequence)
),
used AS (  -- few rows a job, before the prices are looked up
    SELECT job_id, gen_ai_request_model AS model_name, gen_ai_provider_name AS provider,
           count(*) AS calls, sum(cost) AS cost,
           sum(gen_ai_usage_input_tokens) AS input, sum(gen_ai_usage_output_tokens) AS output
    FROM attempts GROUP BY ALL
)
SELECT u.job_id, sum(u.calls)::BIGINT AS calls, sum(u.cost) AS cost,
       sum(coalesce(u.input * p.input_price + u.output * p.output_price, 0) / 1e6) AS recomputed,
       sum(u.cost) - recomputed AS difference
FROM used AS u
JOIN jobs AS j USING (job_id)
LEFT JOIN periods AS p
  ON p.model_name = u.model_name AND p.provider = u.provider
 AND j.submitted_at >= p.since AND j.submitted_at < p.until
GROUP BY u.job_id;
