"""Making the tables again: the same rows, and the old file stays until the new one is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from crp.errors import StoreError
from crp.models import MetaLearningConfig
from crp_analytics import rebuilding
from crp_analytics.facts import CurationFact, JobFact, RetrievalFact
from crp_analytics.restoring import Found, record_late, restoring
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]

CONFIG = MetaLearningConfig(rtl_max_traces=6)


def run_jobs(store: TraceStore, jobs: int = 12) -> list[Found]:
    """What jobs ask of a store, as their histories would tell it."""
    found: list[Found] = []
    for number in range(jobs):
        job_id, task = f"j{number}", f"compare {number}"
        got = store.retrieve(job_id, task, **{**RETRIEVE, "hold_out": 0.3})
        retrieval = RetrievalFact(
            job_id=job_id,
            offers=got.offers,
            held_out=got.held_out,
            candidates=got.candidates,
            evidence=got.evidence,
            note=got.note,
            **{k: RETRIEVE[k] for k in ("task_type", "model_class", "template_sha256")},
            model_name=RETRIEVE["model_name"],
        )
        given = record(job_id, task=task, retrieved=got)
        said = store.record(given)
        fact = JobFact(record=given, stored=said.stored, reason=said.reason)
        again = Found(fact, store.record(given).receipt, again=True)
        found += [Found(retrieval, got.receipt), again, Found(fact, said.receipt)]
    report = store.curate(CONFIG)
    curation = CurationFact(
        considered=report.considered,
        min_quality=CONFIG.rtl_min_quality_for_storage,
        grace_jobs=CONFIG.rtl_grace_jobs,
        max_traces=CONFIG.rtl_max_traces,
        retired=report.traces,
    )
    return [*found, Found(curation, report.receipt)]


def restored(directory: Path, found: list[Found], lossy: bool = False) -> tuple[int, int]:
    with restoring(directory) as store:
        for one in found:
            store.add(one)
        filled, _ = store.rebuild(lossy=lossy)
        late = store.late
    return filled, record_late(directory, late)


def lose_journal(directory: Path) -> None:
    for segment in (directory / "journal").glob("*.jsonl"):
        segment.unlink()


def test_the_tables_are_the_same_and_the_old_ones_are_kept(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        run_jobs(store)
        before = dump(store)
    told: list[tuple[int, int]] = []
    facts = rebuilding.rebuild(directory, lambda done, total: told.append((done, total)))
    assert (facts, told[-1]) == (25, (25, 25))
    assert [p.name for p in (directory / "backups").glob("*-before-rebuild.duckdb")]
    with TraceStore.open(directory) as store:
        assert dump(store) == before
        comments = "SELECT count(*) FROM duckdb_columns() WHERE comment IS NOT NULL"
        assert store.sql(comments).rows[0][0] > 100


def test_a_rebuild_that_is_killed_leaves_the_old_tables(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        run_jobs(store)
        before = dump(store)
    child = os.fork()
    if child == 0:
        rebuilding.rebuild(directory, lambda done, total: os._exit(9))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with TraceStore.open(directory) as store:
        assert dump(store) == before
    assert rebuilding.rebuild(directory) == 25


def test_while_somebody_owns_the_store_a_rebuild_is_refused_with_his_pid(directory: Path) -> None:
    with TraceStore.open(directory), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        rebuilding.rebuild(directory)


def test_what_only_the_tables_know_is_not_given_up_unasked(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        run_jobs(store)
    segment = next((directory / "journal").glob("*.jsonl"))
    content = bytearray(segment.read_bytes())
    content[content.index(b'"job_id":"j5"') + 3] ^= 1
    segment.write_bytes(content)
    with pytest.raises(StoreError, match=r"would lose 1 entry .*byte \d+.*--from-temporal"):
        rebuilding.rebuild(directory)
    assert not (directory / "traces.rebuilt.duckdb").exists()
    assert rebuilding.rebuild(directory, lossy=True) == 24


def test_a_journal_that_lost_its_end_is_noticed_too(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        run_jobs(store)
    lose_journal(directory)
    with pytest.raises(StoreError, match="would lose 25 entries"):
        rebuilding.rebuild(directory)


def test_tables_of_another_migration_are_made_again(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        run_jobs(store)
        before = dump(store)
        with store._used() as connection:
            connection.execute("UPDATE schema_migrations SET sha256 = 'other'")
    with pytest.raises(StoreError, match="rebuild the store from its journal"):
        TraceStore.open(directory)
    rebuilding.rebuild(directory)
    with TraceStore.open(directory) as store:
        assert dump(store) == before


# -- from histories ----------------------------------------------------------------------------


def test_a_lost_journal_and_lost_tables_come_back_row_by_row(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        found = run_jobs(store)
        before = dump(store)
    lose_journal(directory)
    (directory / "traces.duckdb").unlink()
    assert restored(directory, found) == (25, 0)
    with TraceStore.open(directory) as store:
        assert dump(store) == before
        assert store.check().whole
        store.record(record("next", task="something else"))
        assert store.jobs()[0]["journal_sequence"] == 26


def test_only_what_the_journal_lacks_is_taken(directory: Path, dump: Dump) -> None:
    """A score by hand is in no history; it stays, because the journal has it."""
    with TraceStore.open(directory) as store:
        found = run_jobs(store)
        store.score("j3", 0.1, "anna")
        store.add_trace(trace("by hand"))
        before = dump(store)
    segment = next((directory / "journal").glob("*.jsonl"))
    content = bytearray(segment.read_bytes())
    for job_id in (b"j0", b"j5", b"j11"):
        place = content.index(b'"record":{"job":{"job_id":"' + job_id + b'"')
        content[place + 3] ^= 1
    segment.write_bytes(content)
    assert restored(directory, found) == (3, 0)
    with TraceStore.open(directory) as store:
        assert dump(store) == before
        assert store.check().whole
        assert len(store.check().kept_aside) == 3


def test_a_job_whose_place_no_history_tells_comes_last_and_once(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        found = run_jobs(store)
    killed = Found(JobFact(record=record("killed", task="its worker died")), None)
    known = Found(JobFact(record=record("j1", task="compare 1")), None)
    assert restored(directory, [*found, killed, known]) == (0, 1)
    with TraceStore.open(directory) as store:
        assert [job["job_id"] for job in store.jobs(2)] == ["killed", "j11"]
        assert len(store.jobs()) == 13


def test_a_forgotten_job_does_not_come_back_from_its_history(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        found = run_jobs(store)
        store.forget("j2")
        before = dump(store)
    forget_line = [
        line
        for segment in (directory / "journal").glob("*.jsonl")
        for line in segment.read_bytes().splitlines(keepends=True)
        if json.loads(line)["kind"] == "forget"
    ]
    lose_journal(directory)
    (directory / "journal" / "000000000026.jsonl").write_bytes(forget_line[0])
    restored(directory, found, lossy=True)
    with TraceStore.open(directory) as store:
        after = dump(store)
        assert '"j2"' not in repr(after)
        assert "compare 2" not in repr(after)
        assert [r for r in before["jobs"] if "forgotten" not in r] == after["jobs"]


def test_a_decision_says_where_it_is_kept_also_when_it_is_asked_again(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        got = store.retrieve("j", "compare", **RETRIEVE)
        said = store.record(record("j"))
        assert got.receipt is not None
        assert said.receipt is not None
        assert (got.receipt.sequence, said.receipt.sequence) == (1, 2)
        assert said.receipt.at - got.receipt.at >= timedelta(0)
        assert store.retrieve("j", "compare", **RETRIEVE) == got
        assert store.record(record("j")).receipt == said.receipt
