-- What did each curation retire, and why?
-- n counts traces.
-- Example: SELECT * FROM v_curation ORDER BY ran_at DESC LIMIT 10
CREATE VIEW v_curation AS
SELECT r.run_id, r.ran_at, r.considered, r.retired, l.reason, count(l.trace_id) AS n,
       avg(l.quality) AS quality
FROM curation_runs AS r
LEFT JOIN curation_log AS l USING (run_id)
GROUP BY r.run_id, r.ran_at, r.considered, r.retired, l.reason;
