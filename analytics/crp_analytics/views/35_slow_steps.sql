-- Where does the time go: which steps are slow, and is it the model, the queue or the retries?
-- n counts steps that ran.
-- Example: SELECT * FROM v_slow_steps ORDER BY total_seconds DESC LIMIT 10
CREATE VIEW v_slow_steps AS
SELECT j.template, s.template_step, j.model_name, count(*) AS n,
       sum(s.run_seconds) AS total_seconds,
       quantile_cont(s.run_seconds, 0.5) AS p50_seconds,
       quantile_cont(s.run_seconds, 0.95) AS p95_seconds,
       max(s.run_seconds) AS slowest_seconds,
       arg_max(s.job_id, s.run_seconds) AS slowest_job,
       avg(s.queue_seconds) AS queue_seconds,
       avg(s.attempts) AS attempts
FROM steps AS s
JOIN jobs AS j USING (job_id)
WHERE s.run_seconds IS NOT NULL
GROUP BY j.template, s.template_step, j.model_name;
