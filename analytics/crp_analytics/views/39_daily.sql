-- How is it going, day by day (UTC)?
-- n counts scored jobs; the interval is Student's 95% interval of the mean.
-- Example: SELECT * FROM v_daily ORDER BY day DESC LIMIT 14
CREATE VIEW v_daily AS
SELECT j.finished_at::DATE AS day,
       count(*) AS jobs,
       count(*) FILTER (j.status = 'completed') AS completed,
       count(*) FILTER (j.gate_orc) AS orc,
       count(*) FILTER (j.stored) AS traces_stored,
       count(q.quality) AS n,
       avg(q.quality) AS quality,
       ci95_low(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_low,
       ci95_high(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_high,
       sum(j.input_tokens + j.output_tokens) AS tokens,
       sum(j.cost) AS cost
FROM jobs AS j
JOIN v_job_quality AS q USING (job_id)
GROUP BY day;
