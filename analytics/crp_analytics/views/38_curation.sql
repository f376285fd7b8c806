-- What did each curation retire, and why?
-- n counts traces, back how many of them are in the library again; the interval is Student's 95%
-- interval of the mean. `crp traces undo RUN_ID` takes a run back.
-- Example: SELECT * FROM v_curation ORDER BY ran_at DESC LIMIT 10
CREATE VIEW v_curation AS
SELECT r.run_id, r.ran_at, r.considered, r.retired, l.reason, count(l.trace_id) AS n,
       count(*) FILTER (t.status = 'active') AS back,
       avg(l.quality) AS quality,
       ci95_low(avg(l.quality), stddev_samp(l.quality), count(l.quality)) AS quality_low,
       ci95_high(avg(l.quality), stddev_samp(l.quality), count(l.quality)) AS quality_high
FROM curation_runs AS r
LEFT JOIN curation_log AS l USING (run_id)
LEFT JOIN traces AS t USING (trace_id)
GROUP BY r.run_id, r.ran_at, r.considered, r.retired, l.reason;
