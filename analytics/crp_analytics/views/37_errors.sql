-- What goes wrong: failed jobs, failed steps, model calls that did not answer or were refused?
-- n counts occurrences, jobs the jobs in which they occurred.
-- Example: SELECT place, error_type, n, jobs, last_at FROM v_errors ORDER BY n DESC
CREATE VIEW v_errors AS
SELECT 'job' AS place, template AS name, status AS error_type, count(*) AS n, count(*) AS jobs,
       max(finished_at) AS last_at, arg_max(error, finished_at) AS latest
FROM jobs WHERE status <> 'completed'
GROUP BY template, status
UNION ALL
SELECT 'step', template_step, status, count(*), count(DISTINCT job_id),
       max(finished_at), arg_max(reason, finished_at)
FROM steps WHERE status IN ('failed', 'skipped')
GROUP BY template_step, status
UNION ALL
SELECT 'call', gen_ai_request_model, error_type, count(*), count(DISTINCT job_id),
       max(finished_at), arg_max(error, finished_at)
FROM attempts WHERE error_type IS NOT NULL
GROUP BY gen_ai_request_model, error_type
UNION ALL
SELECT 'transport', gen_ai_request_model, failure.kind, count(*), count(DISTINCT job_id),
       max(finished_at), arg_max(failure.message, finished_at)
FROM (
    SELECT *, unnest(from_json(transport, '[{"kind": "VARCHAR", "message": "VARCHAR"}]')) AS failure
    FROM attempts WHERE transport_failures > 0
)
GROUP BY gen_ai_request_model, failure.kind;
