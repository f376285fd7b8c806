-- Are the answers of a kind of task getting better, week by week (UTC, weeks begin on Monday)?
-- n counts scored jobs; the interval is Student's 95% interval of the mean. v_daily has all kinds
-- of tasks together, day by day.
-- Example: SELECT * FROM v_quality_over_time WHERE task_type = 'comparison' ORDER BY week
CREATE VIEW v_quality_over_time AS
SELECT j.task_type, date_trunc('week', j.finished_at)::DATE AS week,
       count(*) AS jobs,
       count(q.quality) AS n,
       avg(q.quality) AS quality,
       ci95_low(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_low,
       ci95_high(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_high
FROM jobs AS j
JOIN v_job_quality AS q USING (job_id)
GROUP BY j.task_type, week;
