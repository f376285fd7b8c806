"""The retrieval index finds what the SQL finds, however it came to be as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crp.models import ReasoningTrace
from crp_analytics import bits, index_file, projection, schema, shelf
from crp_analytics import index as index_module
from crp_analytics.comparing import compare
from crp_analytics.facts import (
    CurationFact,
    Fact,
    ForgetFact,
    Move,
    MoveFact,
    Noted,
    Retired,
    TraceFact,
)
from crp_analytics.index import Index
from crp_analytics.index_file import NAME, Damaged, KeptIndex, read, write
from crp_analytics.retrieval import Ranking, Request, rank, rank_by_sql
from crp_analytics.store import TraceStore
from crp_analytics.text import forgotten_name, sha256
from tests.analytics.samples import RETRIEVE, START, trace

WORDS = ["react", "vue", "svelte", "compare", "large", "small", "cost", "speed", "a", "b", "c"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
TYPES = st.sampled_from(["comparison", "summary", "plan"])
CLASSES = st.sampled_from(["0.5B-1B", "2B-7B", "7B+"])
SCORES = st.sampled_from([0.0, 0.5, 0.7, 0.8, 1.0])
PLACES = st.integers(0, 30)
TRACES = st.builds(
    trace,
    TEXTS,
    task_type=TYPES,
    model_class=CLASSES,
    quality_score=SCORES,
    created_at=st.sampled_from([0.0, 1.0, 2.5]),
    trace_id=st.uuids().map(str),
)
REQUESTS = st.builds(
    lambda *parts: Request("j", parts[0], parts[1], parts[2], "", "", parts[3], parts[4], 0.0),
    TEXTS,
    st.one_of(TYPES, st.just("unknown")),
    st.one_of(CLASSES, st.just("")),
    st.integers(0, 6),
    SCORES,
)
EVENTS = st.one_of(
    st.tuples(st.just("add"), TRACES),
    st.tuples(st.just("add"), TRACES),
    st.tuples(st.just("retire"), PLACES),
    st.tuples(st.just("curate"), PLACES),
    st.tuples(st.just("restore"), PLACES),
    st.tuples(st.just("score"), PLACES),
    st.tuples(st.just("forget"), PLACES),
    st.tuples(st.just("ask"), REQUESTS),
    st.tuples(st.just("ask"), REQUESTS),
    st.tuples(st.just("save and load"), st.none()),
)


class Tables:
    """A store's tables, with facts put in by hand."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        schema.migrate(self.connection)
        self.empty()

    def empty(self) -> None:
        for table in ("traces", "trace_words", "curation_log", "curation_runs", "trace_moves"):
            self.connection.execute(f"DELETE FROM {table}")
        self.connection.execute("UPDATE journal_position SET sequence = 0")
        self.ids: list[str] = []

    def learn(self, *facts: Fact) -> None:
        self.ids += [fact.trace.trace_id for fact in facts if isinstance(fact, TraceFact)]
        next_place = projection.position(self.connection) + 1
        noted = [Noted(place, START, fact) for place, fact in enumerate(facts, next_place)]
        projection.apply(self.connection, noted)

    def happen(self, what: str, given: object) -> None:
        if what == "add":
            self.learn(TraceFact(trace=given))  # type: ignore[arg-type]
        elif self.ids and isinstance(given, int):
            place = given % len(self.ids)
            self._to_one(what, self.ids[place])
            if what == "forget":
                self.ids[place] = forgotten_name(self.ids[place])

    def _to_one(self, what: str, trace_id: str) -> None:
        if what == "curate":
            gone = (Retired(trace_id=trace_id, reason="unused"),)
            rules = {"considered": 1, "min_quality": 0.7, "grace_jobs": 1, "max_traces": 9}
            self.learn(CurationFact(**rules, retired=gone))
        elif what == "forget":
            digest = sha256(trace_id)
            self.learn(ForgetFact(job=digest, traces=(digest,)))
        elif what == "score":
            query = "UPDATE traces SET job_id = trace_id WHERE trace_id = ?"
            self.connection.execute(query, [trace_id])
            place = projection.position(self.connection) + 1
            self.connection.execute(projection.PERSON_SCORE, [0.75, place, trace_id])
            self.connection.execute(projection.MOVE, [place])
        else:
            status = "active" if what == "restore" else "retired"
            cause = "restore" if what == "restore" else "retire"
            self.learn(MoveFact(cause=cause, moves=(Move(trace_id=trace_id, status=status),)))


@pytest.fixture(scope="module")
def tables() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.connection.close()


@pytest.fixture
def empty(tables: Tables) -> Tables:
    tables.empty()
    return tables


def followed(connection: DuckDBPyConnection) -> Index:
    index = Index()
    index.follow(connection)
    return index


def request(task: str, **changes: object) -> Request:
    whole = Request("j", task, "comparison", "0.5B-1B", "", "", 3, 0.7, 0.0)
    return whole._replace(**changes)  # type: ignore[arg-type]


# Each pair: from how many rows on a word is a bitmap, and how many traces are few.
@pytest.mark.parametrize(("dense", "few"), [(64, 20_000), (2, 20_000), (2, 0), (1, 0)])
@given(library=st.lists(TRACES, min_size=1, max_size=20), events=st.lists(EVENTS, max_size=40))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_index_finds_what_the_sql_finds(
    tables: Tables,
    tmp_path: Path,
    dense: int,
    few: int,
    library: list[ReasoningTrace],
    events: list[tuple[str, object]],
) -> None:
    tables.empty()
    tables.learn(*(TraceFact(trace=one) for one in library))
    index = Index()
    with mock.patch.object(shelf, "DENSE_ROWS", dense), mock.patch.object(index_module, "FEW", few):
        for what, given_ in events:
            if isinstance(given_, Request):
                index.follow(tables.connection)
                assert_equal(tables.connection, index, given_)
            elif what == "save and load":
                write(index, tmp_path / NAME, [0, 0])
                index, _ = read(tmp_path / NAME)
            else:
                tables.happen(what, given_)
        fresh = followed(tables.connection)
        index.follow(tables.connection)
        whole = request("compare react vue a b c cost", min_quality=0.0)
        for some in (index, fresh):
            for one in (whole, whole._replace(model_class="7B+", limit=1)):
                assert_equal(tables.connection, some, one)
        assert (len(index), index.active) == (len(fresh), fresh.active)


def assert_equal(connection: DuckDBPyConnection, index: Index, asked: Request) -> None:
    ours, theirs = rank(connection, index, asked), rank_by_sql(connection, asked)
    assert ours.places == theirs.places
    if ours.complete and asked.limit:
        assert ours.candidates == theirs.candidates
    elif asked.limit:
        assert len(ours.places) <= ours.candidates <= theirs.candidates


NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=70)


def planes_of(numbers: list[int]) -> list[int]:
    return bits.total(
        bits.of_rows([row for row, n in enumerate(numbers) if n > i], len(numbers))
        for i in range(max(numbers))
    )


@given(NUMBERS, st.data())
def test_bit_planes_calculate_like_numbers(numbers: list[int], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.integers(0, 90), min_size=len(numbers), max_size=len(numbers)))
    everything = (1 << len(numbers)) - 1
    first, second = planes_of(numbers), planes_of(others)
    rows = range(len(numbers))
    assert [bits.value(first, row) for row in rows] == numbers
    added = bits.plus(first, second)
    assert [bits.value(added, row) for row in rows] == [
        a + b for a, b in zip(numbers, others, strict=True)
    ]
    found = bits.at_least(first, second, everything)
    assert sorted(bits.rows(found)) == [row for row in rows if numbers[row] >= others[row]]
    assert [bits.value(bits.same(5, everything), row) for row in rows] == [5 for _ in rows]


@given(NUMBERS, st.integers(1, 10))
def test_the_largest_are_the_largest_and_all_their_equals(numbers: list[int], count: int) -> None:
    sure, tied = bits.largest(reversed(planes_of(numbers)), (1 << len(numbers)) - 1, count)
    chosen = sorted((numbers[row] for row in bits.rows(sure | tied)), reverse=True)
    ordered = sorted(numbers, reverse=True)
    last = ordered[min(count, len(ordered)) - 1]
    assert sure & tied == 0
    assert len(bits.rows(sure)) <= count
    assert [n for n in chosen if n >= last] == [n for n in ordered if n >= last]


def test_a_search_in_a_large_library_says_at_least(empty: Tables) -> None:
    for kind in ("comparison", "summary"):
        for number in range(4):
            empty.happen("add", trace(f"compare react {number}", task_type=kind))
    with mock.patch.object(index_module, "FEW", 7):
        early = rank(empty.connection, followed(empty.connection), request("compare react"))
    assert (early.candidates, early.complete) == (4, False)
    whole = rank(empty.connection, followed(empty.connection), request("compare react"))
    assert (whole.candidates, whole.complete) == (8, True)
    assert early.places == whole.places


def test_the_reasons_for_a_rank_are_told(empty: Tables) -> None:
    empty.happen("add", trace("compare react and vue", model_class="7B+", trace_id="t"))
    (found,) = compare(empty.connection, request("Compare React, Vue, Svelte")).found
    assert found.shared_words == ("compare", "react", "vue")
    assert (found.task_words, found.whole, found.similarity) == (4, 5, 0.6)
    assert (found.same_type, found.same_class, found.rank) == (True, False, 1)
    assert found.trace.trace_id == "t"


# -- the file -------------------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[None]:
    """Every index is worth saving."""
    with mock.patch.object(index_file, "WORTH_SAVING", 1):
        yield


def filled(tables: Tables, count: int = 6) -> DuckDBPyConnection:
    for number in range(count):
        tables.happen("add", trace(f"compare react {number}"))
    return tables.connection


def asked(connection: DuckDBPyConnection, folder: Path) -> Ranking:
    return rank(connection, KeptIndex(folder).now(connection), request("compare react"))


@pytest.mark.usefixtures("small")
def test_a_saved_index_is_loaded_and_topped_up(empty: Tables, tmp_path: Path) -> None:
    connection = filled(empty)
    KeptIndex(tmp_path).now(connection)
    empty.happen("add", trace("compare react"))
    empty.happen("retire", 0)
    with mock.patch.object(Index, "add", autospec=True, side_effect=Index.add) as added:
        found = asked(connection, tmp_path)
    assert added.call_count == 1, "only what is new is read from the tables"
    assert found == rank_by_sql(connection, request("compare react"))
    assert found.candidates == 6


@pytest.mark.usefixtures("small")
def test_any_damage_costs_only_a_rebuild(empty: Tables, tmp_path: Path) -> None:
    connection = filled(empty)
    KeptIndex(tmp_path).now(connection)
    path = tmp_path / NAME
    whole = path.read_bytes()
    right = rank_by_sql(connection, request("compare react"))
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(Damaged):
            read(path)
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert asked(connection, tmp_path) == right
        assert path.read_bytes() == whole, "the rebuilt index is saved again"


@pytest.mark.usefixtures("small")
def test_a_file_of_another_format_or_machine_is_made_again(empty: Tables, tmp_path: Path) -> None:
    connection = filled(empty)
    for where, name, value in ((index_file, "FORMAT", 0), (sys, "byteorder", "other")):
        with mock.patch.object(where, name, value):
            write(followed(connection), tmp_path / NAME, [0, 0])
        with pytest.raises(Damaged, match="version"):
            read(tmp_path / NAME)


@pytest.mark.usefixtures("small")
def test_a_file_of_other_tables_is_not_believed(empty: Tables, tmp_path: Path) -> None:
    KeptIndex(tmp_path).now(filled(empty))
    empty.empty()
    connection = filled(empty)  # the same texts and places, other trace ids
    assert asked(connection, tmp_path) == rank_by_sql(connection, request("compare react"))


@pytest.mark.usefixtures("small")
def test_a_change_that_nobody_told_of_is_noticed_at_the_next_start(
    empty: Tables, tmp_path: Path
) -> None:
    connection = filled(empty)
    KeptIndex(tmp_path).now(connection)
    connection.execute("UPDATE traces SET status = 'retired' WHERE journal_sequence = 1")
    assert asked(connection, tmp_path).candidates == 5
    connection.execute("UPDATE traces SET quality_score = 0.1 WHERE journal_sequence = 2")
    assert asked(connection, tmp_path).candidates == 4


@pytest.mark.usefixtures("small")
def test_a_file_that_knows_more_than_the_tables_is_not_believed(
    empty: Tables, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = filled(empty)
    empty.happen("retire", 0)
    empty.happen("restore", 0)
    KeptIndex(tmp_path).now(connection)
    connection.execute("UPDATE journal_position SET sequence = 6")
    assert asked(connection, tmp_path) == rank_by_sql(connection, request("compare react"))
    assert "it knows more than the tables" in caplog.text


def test_a_forgotten_trace_is_never_found_by_its_words_again(empty: Tables) -> None:
    connection = filled(empty)
    index = followed(connection)
    empty.happen("forget", 0)
    empty.happen("restore", 0)
    index.follow(connection)
    found = rank(connection, index, request("compare react"))
    assert found == rank_by_sql(connection, request("compare react"))
    assert found.candidates == 5


def test_a_small_index_leaves_no_file(empty: Tables, tmp_path: Path) -> None:
    kept = KeptIndex(tmp_path)
    kept.now(filled(empty))
    kept.save(empty.connection)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_full_disk_costs_the_file_and_not_the_answer(empty: Tables, tmp_path: Path) -> None:
    connection = filled(empty)
    with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")):
        found = asked(connection, tmp_path)
    assert found == rank_by_sql(connection, request("compare react"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_store_saves_its_index_when_it_is_closed(directory: Path) -> None:
    wanted = {**RETRIEVE, "min_quality": 0.0}
    with TraceStore.open(directory) as store:
        store.add_trace(trace("compare react and vue"))
        assert not (directory / NAME).exists(), "nobody has searched yet"
        assert len(store.retrieve("j1", "compare react", **wanted).offers) == 1
        (directory / NAME).unlink()
        store.add_trace(trace("compare react and svelte"))
        with mock.patch.object(index_file, "WORTH_SAVING", 2):
            assert len(store.retrieve("j2", "compare react", **wanted).offers) == 2
    assert len(read(directory / NAME)[0]) == 2
