-- The tables of the trace store. Times are UTC. Big tables carry no keys: a key on events makes
-- the file several times larger, and the journal already guarantees that nothing is applied twice.
-- The comment behind a column becomes its COMMENT in the database, the one above a table likewise.
-- A long text is kept in blobs by its sha256, with its beginning inline; *_sha256 is then set.

-- One row: the last journal entry that is in these tables.
CREATE TABLE journal_position (
    sequence BIGINT NOT NULL  -- committed in the same transaction as the rows
);
INSERT INTO journal_position VALUES (0);

-- One row is one fact of a job, append-only.
CREATE TABLE events (
    job_id VARCHAR NOT NULL,     -- the job
    sequence INTEGER NOT NULL,   -- counts from 0 in each job
    happened_at TIMESTAMP,       -- when
    kind VARCHAR,                -- what happened
    stage VARCHAR,               -- stage of the job: probe, decompose, execute ...
    step VARCHAR,                -- planned step, as in steps.step_id
    attempt INTEGER,             -- number of the attempt, 0 when it is about none
    body JSON                    -- details of this kind
);

-- One row is one finished job: completed, incomplete, failed or cancelled.
CREATE TABLE jobs (
    job_id VARCHAR NOT NULL,          -- the id of the workflow
    journal_sequence BIGINT NOT NULL, -- journal entry of the record
    recorded_at TIMESTAMP,            -- when the store learned of it
    status VARCHAR,                   -- completed, incomplete, failed, cancelled
    task VARCHAR,                     -- the task's text, or its beginning
    task_sha256 VARCHAR,              -- the whole text in blobs, when it is long
    task_type VARCHAR,                -- what kind of task it is: the library is divided by it
    template VARCHAR,                 -- the template's name
    template_version VARCHAR,         -- the version that the template gives itself
    template_sha256 VARCHAR,          -- its exact text in template_versions
    template_score DOUBLE,            -- how well the template fitted the request
    model_alias VARCHAR,              -- always the alias default
    model_name VARCHAR,               -- the model's name at its server
    model_provider VARCHAR,           -- embedded, openai, callable or scripted
    model_class VARCHAR,              -- class label of the model's capability
    capability INTEGER,               -- 0 to 3
    complexity INTEGER,               -- 1 to 5
    pressure VARCHAR,                 -- NONE, LOW, MODERATE, HIGH, CRITICAL
    pressure_reason VARCHAR,          -- what the machine said
    gate_orc BOOLEAN,                 -- whether ORC ran
    gate_rule VARCHAR,                -- the rule that decided
    gate_reason VARCHAR,              -- the same in words
    plan_made_by VARCHAR,             -- template, model or fallback
    chosen VARCHAR,                   -- which candidate is the answer
    quality DOUBLE,                   -- of the answer, 0 to 1, as scored when the job ran
    scored_by VARCHAR,                -- who gave that score
    probe_quality DOUBLE,             -- of the direct answer to the whole task
    chain_quality DOUBLE,             -- of the better of joined and synthesized
    joined_quality DOUBLE,            -- of the step outputs joined by the template
    synthesized_quality DOUBLE,       -- of the answer that the model wrote from them
    examples_shown INTEGER,           -- library traces in the prompt
    held_out BOOLEAN,                 -- chosen to run without the examples that were found
    example_candidates INTEGER,       -- traces that were similar enough
    steps_total INTEGER,              -- planned steps
    steps_done INTEGER,               -- of them done, accepted or not needed
    calls INTEGER,                    -- model calls that answered
    input_tokens BIGINT,              -- of all calls
    output_tokens BIGINT,             -- of all calls
    cached_tokens BIGINT,             -- input tokens that the server had in its cache
    cost DOUBLE,                      -- money, by the prices when the job ran
    model_seconds DOUBLE,             -- time that models worked
    seconds DOUBLE,                   -- from start to end
    submitted_at TIMESTAMP,           -- when it was asked for
    started_at TIMESTAMP,             -- when it began
    finished_at TIMESTAMP,            -- when it ended
    answer VARCHAR,                   -- the answer, or its beginning
    answer_characters INTEGER,        -- its whole length
    answer_sha256 VARCHAR,            -- the whole answer in blobs, when it is long
    trace_id VARCHAR,                 -- the library entry that it would make
    store_above DOUBLE,               -- quality from which that may enter the library
    stored BOOLEAN,                   -- whether it entered when the job ended; see traces
    stored_reason VARCHAR,            -- why, or why not
    notes VARCHAR[],                  -- what was dropped, cut, accepted or left out
    error VARCHAR                     -- why it failed
);

-- One row is one planned step of a job.
CREATE TABLE steps (
    job_id VARCHAR NOT NULL,    -- the job
    position INTEGER,           -- in the plan, from 0
    step_id VARCHAR,            -- the planned step, such as profile/Vue
    template_step VARCHAR,      -- the step in the template, such as profile
    item VARCHAR,               -- item of a fan-out
    title VARCHAR,              -- for people
    status VARCHAR,             -- done, accepted, failed, skipped, unneeded
    reason VARCHAR,             -- why it was skipped, failed, accepted or not needed
    scaffold_start INTEGER,     -- scaffold level of the first attempt, 0 to 3
    scaffold_end INTEGER,       -- scaffold level of the last attempt
    attempts INTEGER,           -- how many
    quality DOUBLE,             -- of its output, 0 to 1
    output VARCHAR,             -- the output, or its beginning
    output_characters INTEGER,  -- its whole length
    output_sha256 VARCHAR,      -- the whole output in blobs, when it is long
    value JSON,                 -- the parsed output, when it is not long
    needs VARCHAR[],            -- steps whose outputs it reads
    started_at TIMESTAMP,       -- first attempt
    finished_at TIMESTAMP,      -- last attempt
    run_seconds DOUBLE,         -- between the two
    queue_seconds DOUBLE        -- time that its attempts waited for a worker
);

-- One row is one model call. gen_ai_* and error_type are OpenTelemetry's names (GenAI semantic
-- conventions, 1.41), dots as underscores.
CREATE TABLE attempts (
    job_id VARCHAR NOT NULL,                -- the job
    position INTEGER,                       -- among the job's calls, from 0
    stage VARCHAR,                          -- probe, extract, decompose, execute, synthesize
    step_id VARCHAR,                        -- the planned step, empty for the probe; a>b: b inside a
    part VARCHAR,                           -- critique or judge; NULL for the step itself
    attempt INTEGER,                        -- from 1
    round INTEGER,                          -- of repeat, from 0
    sample INTEGER,                         -- of samples, from 0
    scaffold_level INTEGER,                 -- 0 none, 1 light, 2 medium, 3 heavy
    model_alias VARCHAR,                    -- name of the model in the configuration
    status VARCHAR,                         -- ok, content, overflow, transport
    gen_ai_operation_name VARCHAR,          -- chat
    gen_ai_provider_name VARCHAR,           -- who serves the model
    gen_ai_request_model VARCHAR,           -- the model that was asked for
    gen_ai_response_model VARCHAR,          -- the model that says it answered
    gen_ai_response_finish_reasons VARCHAR[], -- stop, length ...
    gen_ai_usage_input_tokens BIGINT,       -- prompt tokens
    gen_ai_usage_output_tokens BIGINT,      -- answer tokens
    gen_ai_usage_cache_read_input_tokens BIGINT, -- prompt tokens from the server's cache
    error_type VARCHAR,                     -- NULL when all is well
    error VARCHAR,                          -- the error in words
    cost DOUBLE,                            -- money, by the prices when the job ran
    model_seconds DOUBLE,                   -- time that the model worked
    queue_seconds DOUBLE,                   -- time between scheduling and start
    time_to_first_token DOUBLE,             -- seconds
    quality DOUBLE,                         -- weighted mean of its checks
    checks_passed VARCHAR[],                -- in the template's words
    checks_failed VARCHAR[],                -- in the template's words
    hints VARCHAR[],                        -- what the next attempt was told
    verdicts JSON,                          -- each check with score, weight and detail
    output VARCHAR,                         -- the answer, or its beginning
    output_characters INTEGER,              -- its whole length
    output_sha256 VARCHAR,                  -- the whole answer in blobs, when it is long
    prompt_sha256 VARCHAR,                  -- the prompt in blobs
    raw_sha256 VARCHAR,                     -- the untouched answer in blobs, when it differs
    dropped VARCHAR[],                      -- what did not fit the context window
    transport_failures INTEGER,             -- calls with this prompt that did not answer
    transport JSON,                         -- each of them
    replayed BOOLEAN,                       -- came from the answer journal, was not paid again
    started_at TIMESTAMP,                   -- when
    finished_at TIMESTAMP                   -- when
);

-- One row is one text, by its content. Its text may be purged without changing a metric.
CREATE TABLE blobs (
    sha256 VARCHAR NOT NULL,  -- of the text in UTF-8
    characters INTEGER,       -- its length
    body VARCHAR,             -- the text, NULL when purged
    journal_sequence BIGINT   -- journal entry that brought it
);

-- One row is one library entry: an example for later jobs. Entries are retired, never deleted.
CREATE TABLE traces (
    trace_id VARCHAR NOT NULL,        -- identifies it
    journal_sequence BIGINT NOT NULL, -- journal entry that brought it
    job_id VARCHAR,                   -- the job that made it, NULL when it was added by itself
    task_type VARCHAR,                -- as in jobs
    task_summary VARCHAR,             -- what was asked
    steps JSON,                       -- how it was split: list of steps
    model_class VARCHAR,              -- class label of the model
    quality_score DOUBLE,             -- 0 to 1; a person's score of the job replaces it
    created_at TIMESTAMP,             -- when
    created_unix DOUBLE,              -- the same in Unix seconds, exact
    usage_imported INTEGER,           -- uses that it had when it was added; see v_usage_count
    word_count INTEGER,               -- distinct words of task_summary, see trace_words
    identity VARCHAR,                 -- sha256 of task type, summary and steps
    tokens BIGINT,                    -- that its job used
    status VARCHAR,                   -- active or retired
    status_reason VARCHAR,            -- why
    status_at TIMESTAMP,              -- since
    status_sequence BIGINT,           -- journal entry that gave it this status
    held VARCHAR,                     -- in or out when a person put it there to stay, else NULL
    changed_sequence BIGINT           -- journal entry that changed this row last: retrieval reads it
);

-- One row is one distinct word of one library entry's task_summary, casefolded: what retrieval reads.
CREATE TABLE trace_words (
    word VARCHAR NOT NULL,            -- the word
    journal_sequence BIGINT NOT NULL  -- the entry, as in traces
);

-- One row is one job that asked the library for examples.
CREATE TABLE retrieval_runs (
    job_id VARCHAR NOT NULL,  -- a job asks once
    journal_sequence BIGINT,  -- journal entry
    retrieved_at TIMESTAMP,   -- when
    task_type VARCHAR,        -- of the job
    model_class VARCHAR,      -- of the job
    template_sha256 VARCHAR,  -- of the job
    model_name VARCHAR,       -- of the job
    candidates INTEGER,       -- traces that were similar enough
    found INTEGER,            -- of them the best, at most as many as were asked for
    held_out BOOLEAN,         -- they were not shown, so that their effect can be measured
    evidence JSON,            -- what the store knew of this template and this model
    note VARCHAR              -- for people
);

-- One row is one trace that was found for one job. v_usage_count counts those that were shown.
CREATE TABLE retrievals (
    job_id VARCHAR NOT NULL,    -- the job
    trace_id VARCHAR NOT NULL,  -- the trace
    rank INTEGER,               -- from 1
    overlap INTEGER,            -- words that task and trace share
    similarity DOUBLE,          -- Jaccard: shared words over all words of both
    usage_before INTEGER,       -- how often the trace had been shown before
    shown BOOLEAN,              -- false when the job was held out
    candidates INTEGER,         -- traces that were similar enough
    retrieved_at TIMESTAMP      -- when
);

-- One row is one judgement of one job.
CREATE TABLE scores (
    job_id VARCHAR NOT NULL,  -- the job
    journal_sequence BIGINT,  -- journal entry
    scored_at TIMESTAMP,      -- when
    candidate VARCHAR,        -- direct, probe, joined, synthesized; answer when it came later
    score DOUBLE,             -- 0 to 1
    scored_by VARCHAR,        -- checks, judge:MODEL or a person's name
    scorer_kind VARCHAR,      -- checks, judge or person
    parts JSON,               -- sub-scores that explain it
    note VARCHAR              -- for people
);

-- One row is one curation of the library.
CREATE TABLE curation_runs (
    run_id BIGINT NOT NULL,  -- its journal entry
    ran_at TIMESTAMP,        -- when
    considered INTEGER,      -- active traces before
    retired INTEGER,         -- of them retired
    min_quality DOUBLE,      -- rtl_min_quality_for_storage
    grace_jobs INTEGER,      -- rtl_grace_jobs
    max_traces INTEGER       -- rtl_max_traces
);

-- One row is one trace that a curation retired.
CREATE TABLE curation_log (
    run_id BIGINT NOT NULL,     -- as in curation_runs
    trace_id VARCHAR NOT NULL,  -- the trace
    task_type VARCHAR,          -- of the trace
    reason VARCHAR,             -- below_threshold, unused, over_cap
    detail VARCHAR,             -- the same in words
    quality DOUBLE,             -- of the trace at that time
    usage_count INTEGER,        -- at that time
    later_jobs INTEGER          -- jobs of its task type since it entered
);

-- One row is one library entry that a person took out or brought back: by a score of its job, by
-- hand, or by undoing a curation.
CREATE TABLE trace_moves (
    journal_sequence BIGINT NOT NULL, -- journal entry
    moved_at TIMESTAMP,               -- when
    trace_id VARCHAR NOT NULL,        -- the entry
    status VARCHAR,                   -- active or retired from then on
    cause VARCHAR,                    -- score, retire, restore, undo
    why VARCHAR,                      -- for people
    run_id BIGINT                     -- the curation that was undone, as in curation_runs
);

-- One row is one exact text of a template.
CREATE TABLE template_versions (
    sha256 VARCHAR NOT NULL,  -- of the text
    name VARCHAR,             -- the template
    version VARCHAR,          -- that it gives itself
    origin VARCHAR,           -- where it was found first
    body VARCHAR,             -- the exact YAML
    journal_sequence BIGINT   -- journal entry that brought it
);

-- One row is one price of a model from a time on, so that cost can be computed again.
CREATE TABLE prices (
    model_name VARCHAR NOT NULL, -- the model's name at its server
    provider VARCHAR,            -- who serves it
    input_price DOUBLE,          -- money per million prompt tokens
    output_price DOUBLE,         -- money per million answer tokens
    since TIMESTAMP,             -- submission of the first job with this price
    journal_sequence BIGINT      -- journal entry that brought it
);
