"""Facts that can not come into the tables: told, forgotten on request, and no burden to others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from crp.errors import NotFound, StoreError
from crp.models import Event, JobRecord
from crp_analytics import projection
from crp_analytics.entries import line_of
from crp_analytics.facts import Noted
from crp_analytics.store import TraceStore
from tests.analytics.samples import START, record

Dump = Callable[[TraceStore], dict[str, list[str]]]

WORDS = "a word that nobody else says"


def poison(job_id: str) -> JobRecord:
    """A record that is whole and has a number that no column can hold."""
    return record(job_id, task=WORDS, events=(Event(sequence=2**70, at=START, kind="x"),))


def add_line(directory: Path, sequence: int, kind: str, body: str) -> None:
    """Write a whole entry into the journal of a store that nobody has open."""
    segment = max((directory / "journal").glob("*.jsonl"))
    with segment.open("ab") as file:
        file.write(line_of(sequence, datetime.now(UTC), kind, body))


def files_with(directory: Path, text: str) -> list[str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return [path.name for path in files if text.encode() in path.read_bytes()]


# -- facts that can not be mapped ------------------------------------------------------------------


def test_a_fact_that_is_not_in_the_tables_is_told(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        store.record_all([record("before"), poison("odd"), record("after")])
        assert {job["job_id"] for job in store.jobs()} == {"before", "after"}
        found = store.check()
        assert not found.whole
        assert found.behind == 0
        assert found.skipped == ("entry 2 of the journal (job, job odd): InvalidInputException",)
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def test_in_memory_it_is_told_as_well(store: TraceStore) -> None:
    store.record(poison("odd"))
    assert store.check().skipped == (
        "entry 1 of the journal (job, job odd): InvalidInputException",
    )


def test_one_such_fact_does_not_make_a_batch_slow(
    store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []

    def apply(connection: DuckDBPyConnection, batch: Sequence[Noted]) -> None:
        batches.append(len(batch))
        real(connection, batch)

    real = projection.apply
    monkeypatch.setattr(projection, "apply", apply)
    store.record_all([poison("odd") if n == 77 else record(f"j{n}") for n in range(200)])
    assert len(store.jobs(1000)) == 199
    assert len(batches) < 20, "a batch is halved, not taken apart"


def test_a_job_that_is_not_in_the_tables_can_be_forgotten(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        store.record_all([record("before"), poison("odd"), record("after")])
        store.forget("odd")
        store.forget("odd")
        assert files_with(directory, WORDS) == []
        assert files_with(directory, '"odd"') == []
        assert store.check().whole, "nothing of it is missed any more"
        before = dump(store)
        store.rebuild()
        assert dump(store) == before
        with pytest.raises(NotFound):
            store.forget("another")


# -- entries that can not be read ------------------------------------------------------------------


NEWER = '{"cause":"tomorrow","moves":[]}'
DIGITS = f'{{"job_id":"big","value":{"9" * 5000},"by":"anna"}}'
WRONG = '{"job_id":"big","value":7,"by":"a word that nobody else says"}'


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("move", NEWER, "(move): literal_error"),
        ("score", DIGITS, "(score, job big): ValueError"),
        ("score", WRONG, "(score, job big): less_than_equal"),
    ],
)
def test_an_entry_that_this_version_can_not_read_does_not_stop_the_store(
    directory: Path,
    dump: Dump,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    body: str,
    told: str,
) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("before"))
    add_line(directory, 2, kind, body)
    with caplog.at_level(logging.ERROR):
        TraceStore.open(directory).close()
        with TraceStore.open(directory) as store:
            store.record(record("after"))
            assert len(store.jobs()) == 2
            assert store.check().skipped == (f"entry 2 of the journal {told}",)
            before = dump(store)
            assert [one.getMessage() for one in caplog.records] == [
                "entry 2 of the journal can not be read: it is skipped"
            ]
            store.rebuild()
            assert dump(store) == before


def test_the_record_of_a_job_that_can_not_be_read_is_refused_in_one_line(directory: Path) -> None:
    number = record("j1", events=(Event(sequence=0, at=START, kind="x", body={"n": 10**5000}),))
    with TraceStore.open(directory) as store:
        store.record(number)
        with pytest.raises(StoreError, match="entry 1 of the journal is no 'job'"):
            store.record_of("j1")
        store.rebuild()
        assert store.check().skipped == ("entry 1 of the journal (job, job j1): ValueError",)


def test_an_entry_that_can_not_be_read_is_forgotten_with_its_job(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        store.record_all([record("big"), record("other")])
    add_line(directory, 3, "score", WRONG)
    with TraceStore.open(directory) as store:
        store.forget("other")
        assert not store.check().whole
        store.forget("big")
        assert files_with(directory, WORDS) == []
        assert store.check().whole
        before = dump(store)
        store.rebuild()
        assert dump(store) == before
