-- One row is one fact of the journal that is in no other table: it could not be read or mapped. A
-- version that can finds it at the next rebuild.
CREATE TABLE skipped (
    journal_sequence BIGINT NOT NULL,  -- its journal entry
    kind VARCHAR,                      -- what it is: job, retrieval, score ...
    job_id VARCHAR,                    -- the job that it is about, when that can be told
    reason VARCHAR                     -- the kind of error; empty once the job is forgotten
);
