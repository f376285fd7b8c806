-- Which version of which template gives the better answers, on which model?
-- n counts scored jobs; the interval is Student's 95% interval of the mean.
-- Example: SELECT * FROM v_quality_by_template WHERE template = 'comparison' ORDER BY first_job_at
CREATE VIEW v_quality_by_template AS
SELECT j.template, j.template_version, j.template_sha256, j.model_name,
       count(*) AS jobs,
       count(q.quality) AS n,
       avg(q.quality) AS quality,
       ci95_low(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_low,
       ci95_high(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_high,
       count(*) FILTER (j.status = 'completed') / count(*) AS completed_share,
       min(j.started_at) AS first_job_at,
       max(j.started_at) AS last_job_at
FROM jobs AS j
JOIN v_job_quality AS q USING (job_id)
GROUP BY j.template, j.template_version, j.template_sha256, j.model_name;
