-- How often was each library entry shown to a job, and how did those jobs do?
-- Each job counts once; a job that was held out did not see the trace and does not count. n counts
-- scored jobs; the interval is Student's 95% interval of the mean.
-- Example: SELECT * FROM v_trace_usage WHERE status = 'active' ORDER BY usage_count DESC
CREATE VIEW v_trace_usage AS
WITH used AS (
    SELECT r.trace_id, count(*) AS times, max(r.retrieved_at) AS last_used_at,
           count(q.quality) AS n, avg(q.quality) AS mean, stddev_samp(q.quality) AS sd
    FROM retrievals AS r
    LEFT JOIN v_job_quality AS q USING (job_id)
    WHERE r.shown
    GROUP BY r.trace_id
)
SELECT t.trace_id, t.task_type, t.status, t.quality_score,
       (t.usage_imported + coalesce(u.times, 0))::INTEGER AS usage_count, u.last_used_at,
       coalesce(u.n, 0) AS n,
       u.mean AS quality_of_jobs,
       ci95_low(u.mean, u.sd, u.n) AS quality_low,
       ci95_high(u.mean, u.sd, u.n) AS quality_high
FROM traces AS t
LEFT JOIN used AS u USING (trace_id);
