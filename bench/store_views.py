"""A store with so many jobs, made by SQL through the store's own schema, and what its views cost.

The rows are invented, but as many and as wide as those of real jobs: 6 steps, 8 attempts, 30 events
and 2 scores a job, a library entry for every third, a retrieval for every job. `trace_words` and
`blobs`, which no view reads, stay empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from crp_analytics import schema

CONFIG: dict[str, str | bool | int | float | list[str]] = {"threads": 2, "memory_limit": "4GB"}
AT_ONCE = 50_000


def measure(folder: Path, jobs: int, runs: int) -> dict[str, Any]:
    """Fill a store and time every view, in this process. A view is read whole, into a table."""
    path, began = folder / "traces.duckdb", time.perf_counter()
    with duckdb.connect(str(path), config=CONFIG) as connection:
        fill(connection, jobs)
    filled = time.perf_counter() - began
    with duckdb.connect(str(path), config=CONFIG) as store:
        store.execute("SET enable_progress_bar = false")
        views = [name for (name,) in store.execute(VIEWS).fetchall()]
        return {
            "jobs": jobs,
            "filled": filled,
            "bytes": path.stat().st_size,
            "views": {name: _read(store, name, runs) for name in views},
        }


def fill(connection: DuckDBPyConnection, jobs: int) -> None:
    """Make the tables and put so many jobs into them."""
    schema.migrate(connection)
    connection.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false")
    connection.execute(CHANCE)
    for start in range(0, jobs, AT_ONCE):
        connection.execute(MADE, {"start": start, "end": min(start + AT_ONCE, jobs)})
        for table, rows in ROWS.items():
            connection.execute(f"INSERT INTO {table} BY NAME {rows}")
    for table, rows in ONCE.items():
        connection.execute(f"INSERT INTO {table} BY NAME {rows}")
    connection.execute("DROP TABLE made")
    connection.execute("UPDATE journal_position SET sequence = ?", [jobs])
    connection.execute("CHECKPOINT")


def _read(store: DuckDBPyConnection, view: str, runs: int) -> dict[str, Any]:
    def read() -> None:
        store.execute(f"CREATE OR REPLACE TEMP TABLE found AS SELECT * FROM {view}")

    times = [_timed(read) for _ in range(runs + 1)][1:]  # the first one warms the cache
    rows = store.execute("SELECT count(*) FROM found").fetchall()[0][0]
    wall, cpu = zip(*times, strict=True)
    return {"rows": rows, "wall": wall, "cpu": cpu}


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


VIEWS = "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY view_name"

CHANCE = """
CREATE TEMP MACRO chance(i, salt) AS (hash(i, salt) % 1000003)::DOUBLE / 1000003;
CREATE TEMP MACRO one_of(names, i, salt) AS
    names[1 + floor(len(names) * chance(i, salt) * chance(i, salt + 100))::INTEGER];
CREATE TEMP MACRO entry_of(i) AS 'trace-' || left(md5(i::VARCHAR), 20);
"""

MADE = """
CREATE OR REPLACE TEMP TABLE made AS
SELECT i, 'job-' || left(md5(i::VARCHAR), 20) AS job_id, i + 1 AS journal_sequence,
       TIMESTAMP '2026-01-01' + INTERVAL (30 * i) SECOND AS submitted_at,
       submitted_at + INTERVAL 1 SECOND AS started_at,
       submitted_at + INTERVAL (10 + floor(60 * chance(i, 1))::INTEGER) SECOND AS finished_at,
       one_of(['comparison', 'extraction', 'report', 'decision', 'ideas', 'rewrite', 'find-bug',
               'write-code', 'explanation', 'how-to-plan', 'long-summary', 'fact-check'], i, 2)
           AS template,
       'v' || (1 + i // 100000) AS template_version,
       sha256(template || template_version) AS template_sha256,
       one_of(['small-1', 'small-2', 'middle-1', 'large-1'], i, 3) AS model_name,
       one_of(['completed', 'completed', 'failed', 'incomplete', 'cancelled'], i, 4) AS status,
       least(1, greatest(0, 0.3 + 0.5 * chance(i, 5))) AS probe_quality,
       least(1, greatest(0, 0.4 + 0.6 * chance(i, 6))) AS chain_quality
FROM range($start, $end) AS r(i)
"""

ROWS = {
    "jobs": """
        SELECT * EXCLUDE (i), finished_at AS recorded_at, 'what is asked of it, ' || i AS task,
               template AS task_type, chance(i, 7) AS template_score, 'default' AS model_alias,
               'openai' AS model_provider, '2B-7B' AS model_class, 1 AS capability,
               3 AS complexity, one_of(['LOW', 'NONE', 'HIGH'], i, 8) AS pressure,
               'memory 40%' AS pressure_reason, chance(i, 9) < 0.8 AS gate_orc,
               one_of(['probe', 'evidence', 'pressure'], i, 10) AS gate_rule,
               'probe ' || probe_quality AS gate_reason, 'template' AS plan_made_by,
               'joined' AS chosen, greatest(probe_quality, chain_quality) AS quality,
               'checks' AS scored_by, chain_quality AS joined_quality, 3 AS examples_shown,
               chance(i, 11) < 0.05 AS held_out, 20 AS example_candidates, 6 AS steps_total,
               6 AS steps_done, 8 AS calls, 2400 + i % 500 AS input_tokens,
               640 + i % 300 AS output_tokens, 100 AS cached_tokens, 0.0005 AS cost,
               12.0 AS model_seconds, 20.0 AS seconds, repeat('an answer ', 30) AS answer,
               300 AS answer_characters, entry_of(i) AS trace_id, 0.7 AS store_above,
               i % 3 = 0 AS stored, 'a good example: it entered the library' AS stored_reason,
               CASE WHEN status = 'failed' THEN 'the model did not answer' END AS error
        FROM made
    """,
    "steps": """
        SELECT job_id, n AS position, 'step-' || n AS step_id, 'step-' || n AS template_step,
               CASE WHEN chance(i, 20 + n) < 0.03 THEN 'failed' ELSE 'done' END AS status,
               CASE WHEN status = 'failed' THEN 'no attempt was good enough' END AS reason,
               0 AS scaffold_start, (chance(i, 30 + n) < 0.3)::INTEGER AS scaffold_end,
               1 + scaffold_end AS attempts, chain_quality AS quality,
               repeat('an output ', 12) AS output, 120 AS output_characters, started_at,
               finished_at, 3 * chance(i, 40 + n) AS run_seconds, 0.1 AS queue_seconds
        FROM made, range(6) AS r(n)
    """,
    "attempts": """
        SELECT job_id, n AS position, 'execute' AS stage, 'step-' || least(n, 5) AS step_id,
               1 AS attempt, 0 AS round, 0 AS sample, 0 AS scaffold_level,
               'default' AS model_alias,
               CASE WHEN chance(i, 50 + n) < 0.02 THEN 'transport' ELSE 'ok' END AS status,
               'chat' AS gen_ai_operation_name, 'openai' AS gen_ai_provider_name,
               model_name AS gen_ai_request_model, 300 + n AS gen_ai_usage_input_tokens,
               80 + n AS gen_ai_usage_output_tokens,
               CASE WHEN status = 'transport' THEN 'timeout' END AS error_type,
               CASE WHEN status = 'transport' THEN 'no answer in 60 s' END AS error,
               0.0001 AS cost, 1.5 AS model_seconds, 0.1 AS queue_seconds,
               0.2 AS time_to_first_token, chain_quality AS quality, ['covers: items'] AS
               checks_passed, repeat('an output ', 12) AS output, 120 AS output_characters,
               sha256(job_id || n) AS prompt_sha256, (status = 'transport')::INTEGER AS
               transport_failures,
               CASE WHEN status = 'transport'
                    THEN '[{"kind": "timeout", "message": "no answer in 60 s"}]' ELSE '[]'
               END AS transport,
               started_at, finished_at
        FROM made, range(8) AS r(n)
    """,
    "events": """
        SELECT job_id, n AS sequence, started_at AS happened_at, 'attempt' AS kind,
               'execute' AS stage, 'step-' || n % 6 AS step, 1 AS attempt,
               '{"n": ' || n || '}' AS body
        FROM made, range(30) AS r(n)
    """,
    "scores": """
        SELECT job_id, journal_sequence, finished_at AS scored_at, 'probe' AS candidate,
               probe_quality AS score, 'checks' AS scored_by, 'checks' AS scorer_kind FROM made
        UNION ALL BY NAME
        SELECT job_id, journal_sequence, finished_at AS scored_at, 'joined' AS candidate,
               chain_quality AS score, 'checks' AS scored_by, 'checks' AS scorer_kind FROM made
        UNION ALL BY NAME
        SELECT job_id, journal_sequence, finished_at AS scored_at, 'answer' AS candidate,
               chance(i, 61) AS score, kind || ':x' AS scored_by, kind AS scorer_kind
        FROM made, (SELECT unnest(['judge', 'person']) AS kind)
        WHERE chance(i, 62) < CASE kind WHEN 'judge' THEN 0.1 ELSE 0.02 END
    """,
    "traces": """
        SELECT entry_of(i) AS trace_id, journal_sequence, job_id, template AS task_type,
               'what is asked of it, ' || i AS task_summary, '[]' AS steps,
               '2B-7B' AS model_class, chain_quality AS quality_score, finished_at AS created_at,
               epoch(finished_at) AS created_unix, 0 AS usage_imported, 8 AS word_count,
               sha256(job_id) AS identity, 3040 AS tokens,
               CASE WHEN chance(i, 70) < 0.3 THEN 'retired' ELSE 'active' END AS status,
               finished_at AS status_at, journal_sequence AS status_sequence,
               journal_sequence AS changed_sequence
        FROM made WHERE i % 3 = 0
    """,
    "retrieval_runs": """
        SELECT job_id, journal_sequence, started_at AS retrieved_at, template AS task_type,
               '2B-7B' AS model_class, template_sha256, model_name, 20 AS candidates,
               CASE WHEN i > 10 THEN 3 ELSE 0 END AS found, chance(i, 11) < 0.05 AS held_out
        FROM made
    """,
    "retrievals": """
        SELECT job_id, entry_of(3 * floor(i * chance(i, 80 + n) / 3)::BIGINT) AS trace_id,
               n AS rank, 5 AS overlap, 0.4 AS similarity, 0 AS usage_before,
               chance(i, 11) >= 0.05 AS shown, 20 AS candidates, started_at AS retrieved_at
        FROM made, range(1, 4) AS r(n) WHERE i > 10
    """,
}

ONCE = {
    "curation_runs": """
        SELECT journal_sequence AS run_id, finished_at AS ran_at, 100000 AS considered,
               100 AS retired, 0.7 AS min_quality, 50 AS grace_jobs, 1000 AS max_traces
        FROM jobs WHERE journal_sequence % 1000 = 0
    """,
    "curation_log": """
        SELECT status_sequence // 1000 * 1000 AS run_id, trace_id, task_type, 'unused' AS reason,
               'shown to none of 50 later jobs' AS detail, quality_score AS quality,
               0 AS usage_count, 50 AS later_jobs
        FROM traces WHERE status = 'retired' AND status_sequence >= 1000
    """,
    "prices": """
        SELECT model_name, 'openai' AS provider, 0.1 + n / 100 AS input_price,
               0.4 + n / 100 AS output_price, TIMESTAMP '2026-01-01' + INTERVAL (n) MONTH AS since,
               n AS journal_sequence
        FROM (SELECT DISTINCT model_name FROM jobs), range(12) AS r(n)
    """,
    "template_versions": """
        SELECT DISTINCT template_sha256 AS sha256, template AS name, template_version AS version,
               'box' AS origin, 'name: ' || template AS body, 1 AS journal_sequence FROM jobs
    """,
}
