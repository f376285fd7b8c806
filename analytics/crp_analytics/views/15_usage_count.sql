-- How often was each library entry shown to a job?
-- The count alone; v_trace_usage says how those jobs did.
-- Example: SELECT usage_count, count(*) FROM v_usage_count GROUP BY ALL ORDER BY ALL
CREATE VIEW v_usage_count AS
SELECT t.trace_id, (t.usage_imported + coalesce(u.times, 0))::INTEGER AS usage_count
FROM traces AS t
LEFT JOIN (
    SELECT trace_id, count(*) AS times FROM retrievals WHERE shown GROUP BY trace_id
) AS u USING (trace_id);
