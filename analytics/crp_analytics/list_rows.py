"""The rows of a job's lists: its events, steps and attempts, which are nearly all of its rows.

DuckDB makes them from the job's fact as JSON: it reads that faster than Python makes rows, and
without Python's lock. What must stay true: it is the whole fact, defaults included, whatever
version of crp wrote it down (see `facts.document`); the rows of a job depend on its fact alone.

Columns are documented in migrations/*.sql. gen_ai_* and error_type are OpenTelemetry's names with
dots as underscores, see `crp.telemetry.conventions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
from duckdb import DuckDBPyConnection

from crp.telemetry.conventions import OPERATION
from crp_analytics.job_rows import Row
from crp_analytics.text import INLINE


def insert(connection: DuckDBPyConnection, documents: Sequence[str]) -> None:
    """Put the lists of jobs into their tables."""
    with _read_in(connection, documents):
        for table, query in QUERIES.items():
            connection.execute(f"INSERT INTO {table} BY NAME {query}")


def rows(documents: Sequence[str]) -> dict[str, list[Row]]:
    """Give the rows that `insert` makes, by table."""
    found: dict[str, list[Row]] = {}
    with duckdb.connect() as connection, _read_in(connection, documents):
        for table, query in QUERIES.items():
            result = connection.execute(query)
            names = [column[0] for column in result.description or ()]
            found[table] = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return found


@contextmanager
def _read_in(connection: DuckDBPyConnection, documents: Sequence[str]) -> Iterator[None]:
    """Have one row a job in `incoming`, as long as the block runs."""
    connection.execute(READ_IN, [documents])
    yield
    connection.execute("DROP TABLE incoming")


def _inlined(output: str) -> str:
    """Give the columns of a text of which the row has the beginning: see `text.Inline`."""
    return f"""left({output}, {INLINE}) AS output,
    length({output}) AS output_characters,
    CASE WHEN length({output}) > {INLINE} THEN sha256({output}) END AS output_sha256"""


def _utc(moment: str) -> str:
    """Give a time as UTC without a zone, whatever the zone of the session: see `text.utc`."""
    return f"make_timestamp(epoch_us({moment}))"


EVENT = {
    "sequence": "BIGINT",
    "at": "TIMESTAMPTZ",
    "kind": "VARCHAR",
    "stage": "VARCHAR",
    "step": "VARCHAR",
    "attempt": "BIGINT",
    "body": "JSON",
}

STEP = {
    "id": "VARCHAR",
    "step": "VARCHAR",
    "item": "VARCHAR",
    "title": "VARCHAR",
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "level_start": "INTEGER",
    "level_end": "INTEGER",
    "attempts": "BIGINT",
    "quality": "DOUBLE",
    "output": "VARCHAR",
    "value": "JSON",
    "needs": "VARCHAR[]",
    "started_at": "TIMESTAMPTZ",
    "finished_at": "TIMESTAMPTZ",
}

USAGE = {
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "cached_tokens": "BIGINT",
    "cost": "DOUBLE",
    "seconds": "DOUBLE",
}

ATTEMPT = {
    "stage": "VARCHAR",
    "step": "VARCHAR",
    "part": "VARCHAR",
    "number": "BIGINT",
    "round": "BIGINT",
    "sample": "BIGINT",
    "level": "INTEGER",
    "model": "VARCHAR",
    "status": "VARCHAR",
    "output": "VARCHAR",
    "verdicts": "JSON",
    "quality": "DOUBLE",
    "finish_reason": "VARCHAR",
    "response_model": "VARCHAR",
    "usage": USAGE,
    "prompt_sha256": "VARCHAR",
    "raw_sha256": "VARCHAR",
    "dropped": "VARCHAR[]",
    "transport": "JSON",
    "replayed": "BOOLEAN",
    "queued": "DOUBLE",
    "time_to_first_token": "DOUBLE",
    "started_at": "TIMESTAMPTZ",
    "finished_at": "TIMESTAMPTZ",
    "error": "VARCHAR",
}

MODELS = "MAP(VARCHAR, STRUCT(name VARCHAR, provider VARCHAR))"

RECORD = {
    "job": {"job_id": "VARCHAR", "models": MODELS},
    "result": {"steps": [STEP]},
    "attempts": [ATTEMPT],
    "events": [EVENT],
}
"""What is read of a record, with its types: the names of `crp.models`."""

READ_IN = f"""
CREATE TEMP TABLE incoming AS
SELECT r.job.job_id, r.job.models, r.result.steps, r.attempts, r.events
FROM (
    SELECT from_json_strict(unnest(?::VARCHAR[]), '{json.dumps({"record": RECORD})}').record AS r
)
"""

EVENTS = f"""
SELECT
    job_id,
    e.sequence,
    {_utc("e.at")} AS happened_at,
    e.kind,
    e.stage,
    e.step,
    e.attempt,
    e.body
FROM (SELECT job_id, unnest(events) AS e FROM incoming)
"""

STEPS = f"""
SELECT
    job_id,
    position - 1 AS position,
    s.id AS step_id,
    s.step AS template_step,
    s.item,
    s.title,
    s.status,
    nullif(s.reason, '') AS reason,
    s.level_start AS scaffold_start,
    s.level_end AS scaffold_end,
    s.attempts,
    s.quality,
    {_inlined("s.output")},
    CASE WHEN length(s.value) <= {INLINE} THEN s.value END AS value,
    s.needs,
    {_utc("s.started_at")} AS started_at,
    {_utc("s.finished_at")} AS finished_at,
    (epoch_us(s.finished_at) - epoch_us(s.started_at)) / 1e6 AS run_seconds,
    list_sum([a.queued FOR a IN attempts IF a.step = s.id]) AS queue_seconds
FROM (
    SELECT job_id, unnest(steps) AS s, generate_subscripts(steps, 1) AS position, attempts
    FROM incoming
)
"""

ATTEMPTS = f"""
SELECT
    job_id,
    position - 1 AS position,
    a.stage,
    a.step AS step_id,
    nullif(a.part, '') AS part,
    a.number AS attempt,
    a.round,
    a.sample,
    a.level AS scaffold_level,
    a.model AS model_alias,
    a.status,
    '{OPERATION}' AS gen_ai_operation_name,
    model.provider AS gen_ai_provider_name,
    model.name AS gen_ai_request_model,
    nullif(a.response_model, '') AS gen_ai_response_model,
    [r FOR r IN [a.finish_reason] IF r <> ''] AS gen_ai_response_finish_reasons,
    a.usage.prompt_tokens AS gen_ai_usage_input_tokens,
    a.usage.completion_tokens AS gen_ai_usage_output_tokens,
    a.usage.cached_tokens AS gen_ai_usage_cache_read_input_tokens,
    CASE
        WHEN a.status = 'transport' AND json_array_length(a.transport) > 0
        THEN a.transport->>'$[#-1].kind'
        WHEN a.status <> 'ok' THEN a.status
    END AS error_type,
    nullif(a.error, '') AS error,
    a.usage.cost,
    a.usage.seconds AS model_seconds,
    a.queued AS queue_seconds,
    a.time_to_first_token,
    a.quality,
    [v.check FOR v IN verdicts IF v.passed] AS checks_passed,
    [v.check FOR v IN verdicts IF NOT v.passed] AS checks_failed,
    [v.hint FOR v IN verdicts IF NOT v.passed AND v.hint <> ''] AS hints,
    a.verdicts,
    {_inlined("a.output")},
    nullif(a.prompt_sha256, '') AS prompt_sha256,
    nullif(a.raw_sha256, '') AS raw_sha256,
    a.dropped,
    json_array_length(a.transport) AS transport_failures,
    a.transport,
    a.replayed,
    {_utc("a.started_at")} AS started_at,
    {_utc("a.finished_at")} AS finished_at
FROM (
    SELECT
        job_id,
        a,
        position,
        coalesce(models[a.model], models['default']) AS model,
        from_json(a.verdicts, '[{{"check": "VARCHAR", "passed": "BOOLEAN", "hint": "VARCHAR"}}]')
            AS verdicts
    FROM (
        SELECT
            job_id,
            models,
            unnest(attempts) AS a,
            generate_subscripts(attempts, 1) AS position
        FROM incoming
    )
)
"""

QUERIES = {"events": EVENTS, "steps": STEPS, "attempts": ATTEMPTS}
"""By table, the rows of the jobs in `incoming`."""
