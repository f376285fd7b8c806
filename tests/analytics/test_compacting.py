"""Compacting the journal: fewer files, nothing twice, and the same tables as before."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from crp.errors import StoreError
from crp_analytics import rebuilding, segments
from crp_analytics.compacting import compact
from crp_analytics.facts import JobFact
from crp_analytics.journal import Entry, Journal, encode
from crp_analytics.store import TraceStore
from tests.analytics.broken import fill, flip
from tests.analytics.samples import record

Dump = Callable[[TraceStore], dict[str, list[str]]]


@pytest.fixture
def small(directory: Path, dump: Dump, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A store whose journal has many small segments; what its tables say."""
    made = functools.partial(Journal, segment_bytes=10_000)
    monkeypatch.setattr("crp_analytics.tables.Journal", made)
    with TraceStore.open(directory) as store:
        fill(store)
        return dump(store)


def entries(directory: Path) -> list[Entry]:
    journal = Journal(directory / "journal")
    try:
        found = list(journal.read())
        assert journal.damage == ()
        return found
    finally:
        journal.close()


def rebuilt(directory: Path, dump: Dump) -> dict[str, list[str]]:
    rebuilding.rebuild(directory)
    with TraceStore.open(directory) as store:
        return dump(store)


def test_small_segments_become_one_and_every_entry_keeps_its_number_and_time(
    directory: Path, small: dict[str, list[str]], dump: Dump
) -> None:
    before = entries(directory)
    done = compact(directory)
    assert done.segments_before > 5
    assert done.segments_after == 2, "all closed ones, and the one that is written to"
    assert (done.repeated, done.bytes_after) == (0, done.bytes_before)
    assert entries(directory) == before
    assert rebuilt(directory, dump) == small


def test_a_segment_is_not_made_larger_than_wanted(
    directory: Path, small: dict[str, list[str]]
) -> None:
    compact(directory, most=30_000)
    sizes = [path.stat().st_size for path in segments.segments(directory / "journal")]
    assert len(sizes) > 2
    assert max(sizes) <= 30_000


def test_what_was_written_twice_leaves_only_its_number(
    directory: Path, small: dict[str, list[str]], dump: Dump
) -> None:
    """A job is written twice when the tables could not take it at its first time."""
    journal = Journal(directory / "journal", segment_bytes=10_000)
    facts = [e for e in journal.read() if e.kind == JobFact.kind]
    for _ in range(3):
        journal.append([(e.kind, encode(e.kind, e.body)) for e in facts])
    journal.close()
    before = rebuilt(directory, dump)
    assert before["jobs"] == small["jobs"]
    numbers = [entry.sequence for entry in entries(directory)]
    done = compact(directory)
    assert done.repeated >= 2 * len(facts)
    assert done.bytes_after < 0.6 * done.bytes_before
    assert [entry.sequence for entry in entries(directory)] == numbers
    assert rebuilt(directory, dump) == before


def test_done_again_it_changes_nothing(directory: Path, small: dict[str, list[str]]) -> None:
    compact(directory)
    before = {p: p.stat().st_mtime_ns for p in (directory / "journal").glob("*.jsonl")}
    done = compact(directory)
    assert done.segments_after == done.segments_before
    assert {p: p.stat().st_mtime_ns for p in (directory / "journal").glob("*.jsonl")} == before


def test_a_damaged_segment_is_left_as_it_is(directory: Path, small: dict[str, list[str]]) -> None:
    paths = segments.segments(directory / "journal")
    flip(paths[2], b'"kind"')
    damaged = paths[2].read_bytes()
    done = compact(directory)
    assert paths[2].read_bytes() == damaged
    assert done.segments_after == 4, "before it, itself, behind it, the last one"
    journal = Journal(directory / "journal")
    numbers = {entry.sequence for entry in journal.read()}
    assert [d.position.segment for d in journal.damage] == [paths[2].name]
    assert len(set(range(1, journal.last + 1)) - numbers) == 1
    journal.close()


@pytest.mark.parametrize("stop", ["replace", "unlink", "sync"])
def test_a_kill_at_any_moment_loses_nothing_and_the_next_one_goes_on(
    directory: Path,
    small: dict[str, list[str]],
    dump: Dump,
    monkeypatch: pytest.MonkeyPatch,
    stop: str,
) -> None:
    class Killed(BaseException):
        pass

    def killed(path: Path, *_: object, **__: object) -> None:
        if path.name != "owner.pid":
            raise Killed

    before = entries(directory)
    with monkeypatch.context() as patch:
        where = {"replace": "os.replace", "unlink": "pathlib.Path.unlink"}
        patch.setattr(where.get(stop, "crp_analytics.segments.sync"), killed)
        with pytest.raises(Killed):
            compact(directory)
    assert entries(directory) == before
    compact(directory)
    assert len(segments.segments(directory / "journal")) == 2
    assert entries(directory) == before
    assert rebuilt(directory, dump) == small


def test_while_somebody_owns_the_store_it_is_refused(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        with pytest.raises(StoreError, match="one owner at a time"):
            compact(directory)
