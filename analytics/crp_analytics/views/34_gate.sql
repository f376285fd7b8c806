-- Why did ORC run or not run, and how did those jobs end?
-- n counts scored jobs; the interval is Student's 95% interval of the mean.
-- Example: SELECT gate_orc, gate_rule, jobs, quality FROM v_gate ORDER BY jobs DESC
CREATE VIEW v_gate AS
SELECT j.gate_orc, j.gate_rule, j.pressure, count(*) AS jobs,
       any_value(j.gate_reason) AS reason_example,
       count(q.quality) AS n,
       avg(q.quality) AS quality,
       ci95_low(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_low,
       ci95_high(avg(q.quality), stddev_samp(q.quality), count(q.quality)) AS quality_high,
       avg(j.probe_quality) AS probe_quality
FROM jobs AS j
JOIN v_job_quality AS q USING (job_id)
GROUP BY j.gate_orc, j.gate_rule, j.pressure;
