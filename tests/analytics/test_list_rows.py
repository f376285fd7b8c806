"""Events, steps and attempts as DuckDB makes them: what Python would make, whatever is in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench import store_rows
from crp.models import Attempt, Event, Level, StepRecord, TransportFailure, Usage, Verdict
from crp.telemetry.conventions import answered, asked
from crp_analytics import list_rows
from crp_analytics.facts import JobFact, Noted, document
from crp_analytics.store import TraceStore
from crp_analytics.text import INLINE
from tests.analytics.samples import MODEL, START, record, result

TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "x" * (INLINE + 1),
        "ü" * INLINE,
        "😀" * INLINE,
        "\x00",
        "NaN",
        "null",
        '"\\ud800"',
        "\u2028\x7f",
    ]
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TIMES = st.datetimes(
    min_value=datetime(1900, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, *(timezone(timedelta(minutes=n)) for n in (-420, 330))]),
)
QUALITY = st.floats(0.0, 1.0)
LEVELS = st.sampled_from(Level)
COUNTS = st.integers(0, 2**31 - 1)

STEPS = st.builds(
    StepRecord,
    id=st.sampled_from("ab"),
    step=TEXTS,
    item=st.none() | TEXTS,
    title=TEXTS,
    status=st.sampled_from(["done", "failed", "unneeded"]),
    reason=TEXTS,
    level_start=LEVELS,
    level_end=LEVELS,
    attempts=COUNTS,
    quality=st.none() | QUALITY,
    output=TEXTS,
    value=VALUES,
    needs=st.lists(TEXTS, max_size=2).map(tuple),
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
)
VERDICTS = st.builds(
    Verdict, check=TEXTS, score=QUALITY, passed=st.booleans(), weight=FLOATS, hint=TEXTS
)
FAILURES = st.builds(TransportFailure, at=TIMES, kind=TEXTS, message=TEXTS)
ATTEMPTS = st.builds(
    Attempt,
    stage=st.just("execute"),
    step=st.sampled_from("ab"),
    part=st.sampled_from(["", "judge"]),
    number=COUNTS,
    level=LEVELS,
    model=st.sampled_from(["default", "other"]),
    status=st.sampled_from(["ok", "content", "transport"]),
    output=TEXTS,
    verdicts=st.lists(VERDICTS, max_size=3).map(tuple),
    quality=QUALITY,
    finish_reason=TEXTS,
    response_model=TEXTS,
    usage=st.builds(Usage, prompt_tokens=COUNTS, cost=FLOATS, seconds=FLOATS),
    prompt_sha256=TEXTS,
    dropped=st.lists(TEXTS, max_size=2).map(tuple),
    transport=st.lists(FAILURES, max_size=2).map(tuple),
    queued=st.floats(0, 1e6),
    time_to_first_token=st.none() | FLOATS,
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
    error=TEXTS,
)
EVENTS = st.builds(
    Event,
    sequence=COUNTS,
    at=TIMES,
    kind=TEXTS,
    step=TEXTS,
    attempt=COUNTS,
    body=st.dictionaries(TEXTS, VALUES, max_size=3),
)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=3).map(tuple),
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    events=st.lists(EVENTS, max_size=3).map(tuple),
)
def test_the_rows_are_those_that_python_would_make(
    steps: tuple[StepRecord, ...], attempts: tuple[Attempt, ...], events: tuple[Event, ...]
) -> None:
    given = record("j", result=result("j", steps=steps), attempts=attempts, events=events)
    theirs = list_rows.rows([document(Noted(1, START, JobFact(record=given)))])
    mine = store_rows.rows(given)
    for table, rows in theirs.items():
        assert list(map(_read, rows)) == list(map(_read, mine[table]))


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its JSON read: numbers may be written in several ways."""
    texts = ("body", "value", "verdicts", "transport")
    return {k: json.loads(v) if k in texts and v is not None else v for k, v in row.items()}


def test_half_a_character_is_replaced_and_the_rest_is_kept(store: TraceStore) -> None:
    event = Event(sequence=0, at=START, kind="a\ud800", body={"b": "\udc00 \\ud83d 😀"})
    store.record(record("j", events=(event,)))
    found = store.sql("SELECT kind, body->>'b' FROM events").rows
    assert found == (("a\ufffd", "\ufffd \\ud83d 😀"),)


def test_a_job_that_duckdb_can_not_map_does_not_take_others_with_it(store: TraceStore) -> None:
    odd = Event(sequence=0, at=START, kind="odd", attempt=2**40)
    store.record_all([record("before"), record("odd", events=(odd,)), record("after")])
    assert {job["job_id"] for job in store.jobs()} == {"before", "after"}
    assert store.sql("SELECT DISTINCT job_id FROM events ORDER BY 1").rows == (
        ("after",),
        ("before",),
    )
    assert store.sql("SELECT count(*) FROM duckdb_tables() WHERE temporary").rows == ((0,),)


def columns(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "_"): value for name, value in attributes.items()}


def test_columns_of_a_model_call_have_the_names_of_the_convention() -> None:
    rows = list_rows.rows([document(Noted(1, START, JobFact(record=record("j"))))])["attempts"]
    wanted = columns({**asked(MODEL), **answered("m", "stop", 1, 2, 3)})
    assert {name for name in rows[0] if name.startswith("gen_ai_")} == set(wanted)
    assert columns(asked(MODEL)).items() <= rows[0].items()


def test_times_do_not_depend_on_the_zone_of_the_session(store: TraceStore) -> None:
    east = START.astimezone(timezone(timedelta(hours=5)))
    with store._used() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
    events = [Event(sequence=n, at=at, kind="k") for n, at in enumerate((START, east))]
    store.record(record("j", events=tuple(events)))
    found = store.sql("SELECT DISTINCT happened_at FROM events").rows
    assert found == (("2026-03-01T12:00:00",),)
