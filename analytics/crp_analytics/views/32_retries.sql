-- Which steps need more than one attempt, which fail, and does a heavier scaffold rescue them?
-- n counts steps that ran; the intervals of the rates are Wilson's.
-- Example: SELECT * FROM v_retries WHERE n >= 20 ORDER BY retry_rate DESC
CREATE VIEW v_retries AS
WITH ran AS (
    SELECT s.*, j.template, j.model_name
    FROM steps AS s JOIN jobs AS j USING (job_id)
    WHERE s.attempts > 0
)
SELECT template, template_step, model_name, count(*) AS n,
       count(*) FILTER (attempts > 1) / count(*) AS retry_rate,
       wilson_low(count(*) FILTER (attempts > 1), count(*)) AS retry_rate_low,
       wilson_high(count(*) FILTER (attempts > 1), count(*)) AS retry_rate_high,
       avg(attempts) AS attempts,
       count(*) FILTER (status = 'failed') AS failed,
       count(*) FILTER (status = 'failed') / count(*) AS failure_rate,
       wilson_low(count(*) FILTER (status = 'failed'), count(*)) AS failure_rate_low,
       wilson_high(count(*) FILTER (status = 'failed'), count(*)) AS failure_rate_high,
       count(*) FILTER (status = 'accepted') AS accepted,
       count(*) FILTER (scaffold_end > scaffold_start) AS scaffold_raised,
       count(*) FILTER (scaffold_end > scaffold_start AND status = 'done') AS rescued
FROM ran
GROUP BY template, template_step, model_name;
