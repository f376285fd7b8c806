-- Which model does which kind of task better, and at what price?
-- n counts scored jobs; the interval is Student's 95% interval of the mean.
-- Example: SELECT * FROM v_models WHERE n >= 20 ORDER BY task_type, quality DESC
CREATE VIEW v_models AS
SELECT j.task_type, j.model_name, j.model_provider, any_value(j.capability) AS capability,
       count(*) AS jobs,
       count(q.quality) AS n,
       avg(q.quality) AS quality,
       ci95_low(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_low,
       ci95_high(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_high,
       count(*) FILTER (j.status = 'completed') / count(*) AS completed_share,
       wilson_low(count(*) FILTER (j.status = 'completed'), count(*)) AS completed_share_low,
       wilson_high(count(*) FILTER (j.status = 'completed'), count(*)) AS completed_share_high,
       avg(j.input_tokens + j.output_tokens) AS tokens_per_job,
       avg(j.cost) AS cost_per_job,
       avg(j.seconds) AS seconds_per_job
FROM jobs AS j
JOIN v_job_quality AS q USING (job_id)
GROUP BY j.task_type, j.model_name, j.model_provider;
