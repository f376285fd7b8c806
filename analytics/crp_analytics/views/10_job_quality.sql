-- How good is each job's answer, all things considered?
-- A person's latest score wins, then a judge's, then the checks that ran with the job.
-- Example: SELECT * FROM v_job_quality WHERE scorer_kind = 'person'
CREATE VIEW v_job_quality AS
WITH later AS (
    SELECT job_id, arg_max(score, journal_sequence) AS score,
           arg_max(scored_by, journal_sequence) AS scored_by, scorer_kind
    FROM scores
    WHERE candidate = 'answer'
    GROUP BY job_id, scorer_kind
),
best AS (
    SELECT job_id, arg_min(score, rank) AS score, arg_min(scored_by, rank) AS scored_by,
           arg_min(scorer_kind, rank) AS scorer_kind
    FROM (
        SELECT *, list_position(['person', 'judge', 'checks'], scorer_kind) AS rank FROM later
    )
    GROUP BY job_id
)
SELECT j.job_id, j.task_type, j.template, j.template_sha256, j.model_name, j.status,
       coalesce(b.score, j.quality) AS quality,
       coalesce(b.scored_by, j.scored_by) AS scored_by,
       coalesce(b.scorer_kind, 'checks') AS scorer_kind,
       j.quality AS quality_by_checks
FROM jobs AS j
LEFT JOIN best AS b USING (job_id);
