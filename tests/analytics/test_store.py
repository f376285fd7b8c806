"""The store: jobs in, examples and numbers out, each counted once."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from crp.errors import NotFound, StoreError, UsageError
from crp.models import (
    Attempt,
    JobRecord,
    JobStatus,
    MetaLearningConfig,
    ReasoningStep,
    StepRecord,
    Usage,
)
from crp_analytics.facts import KINDS
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, result, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]


def with_status(job_id: str, status: JobStatus) -> JobRecord:
    return record(job_id, result=result(job_id, status=status))


# -- recording -----------------------------------------------------------------------------


def test_a_good_job_is_recorded_and_its_trace_enters_the_library(store: TraceStore) -> None:
    said = store.record(record("j1"))
    assert (said.stored, said.duplicate) == (True, False)
    assert [t.trace_id for t in store.traces()] == ["trace-j1"]
    assert store.trace_count == 1


def test_recording_again_changes_nothing_and_gives_the_same_answer(
    store: TraceStore, dump: Dump
) -> None:
    first = store.record(record("j1"))
    before = dump(store)
    again = store.record(record("j1", task="other words"))
    assert again == first.model_copy(update={"duplicate": True})
    assert dump(store) == before


@pytest.mark.parametrize("status", ["incomplete", "failed", "cancelled"])
def test_jobs_that_did_not_complete_are_recorded_but_teach_nothing(
    store: TraceStore, status: JobStatus
) -> None:
    said = store.record(with_status("j1", status))
    assert (said.stored, said.reason) == (False, f"the job is {status}")
    assert [job["status"] for job in store.jobs()] == [status]
    assert store.trace_count == 0


def test_the_storage_threshold_is_inclusive(store: TraceStore) -> None:
    at, below = trace("at", quality_score=0.7), trace("below", quality_score=0.69)
    assert store.record(record("at", trace=at)).stored
    said = store.record(record("below", trace=below))
    assert (said.stored, said.reason) == (False, "quality 0.69 is below 0.70")


def test_a_skipped_step_keeps_the_trace_out(store: TraceStore) -> None:
    steps = (
        StepRecord(id="a", step="a", status="accepted"),
        StepRecord(id="b", step="b", status="skipped"),
    )
    said = store.record(record("j1", result=result("j1", steps=steps)))
    assert (said.stored, said.reason) == (False, "not every step was executed: b")


def test_an_identical_trace_does_not_enter_twice(store: TraceStore) -> None:
    store.record(record("j1"))
    said = store.record(record("j2"))
    assert (said.stored, said.reason) == (
        False,
        "an identical trace is in the library already: trace-j1",
    )


def test_a_trace_that_was_retired_may_be_learned_again(store: TraceStore) -> None:
    store.record(record("j1"))
    store.curate(MetaLearningConfig(rtl_min_quality_for_storage=0.95))
    assert store.trace_count == 0
    assert store.record(record("j2")).stored


def test_without_a_trace_the_reason_says_why(store: TraceStore) -> None:
    plain = record("j1", trace=None)
    off = plain.job.model_copy(update={"config": MetaLearningConfig(rtl_enabled=False)})
    assert store.record(plain).reason == "the job made no trace"
    other = off.model_copy(update={"job_id": "j2"})
    assert "turned off" in store.record(record("j2", trace=None, job=other)).reason


def test_curation_is_due_after_the_interval_and_again_after_a_run(store: TraceStore) -> None:
    due = [store.record(record(f"j{i}", task=f"task {i}")).curation_due for i in range(5)]
    assert due == [False, False, False, False, True]
    assert store.record(record("j4")).curation_due, "a retried activity hears it again"
    store.curate(MetaLearningConfig())
    assert not store.record(record("j5")).curation_due


def test_writers_that_meet_are_all_kept_once(directory: Path) -> None:
    records = [record(f"j{i % 40}", task=f"task {i % 40}") for i in range(80)]
    with TraceStore.open(directory) as store, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(store.record, records))
        assert sum(not s.duplicate for s in said) == 40
        assert sorted(job["job_id"] for job in store.jobs(100)) == sorted({s.job_id for s in said})
        assert store.sql("SELECT count(*) FROM steps").rows == ((80,),)


def test_nan_anywhere_in_a_record_is_refused_and_the_others_are_kept(store: TraceStore) -> None:
    bad = record("bad", result=result("bad", usage=Usage(cost=math.nan)))
    odd = record("odd", attempts=(Attempt(stage="probe", value={"x": math.inf}),))
    for wrong in (bad, odd):
        with pytest.raises(StoreError, match="this job can not be kept"):
            store.record(wrong)
    store.record(record("good"))
    assert [job["job_id"] for job in store.jobs()] == ["good"]


def test_no_model_in_a_fact_writes_nan_as_null() -> None:
    """It would be taken, and could not be read again."""
    found: set[type[BaseModel]] = set()

    def look(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in found:
            found.add(kind)
            for field in kind.model_fields.values():
                look(field.annotation)
        for part in get_args(kind):
            look(part)

    for fact in KINDS.values():
        look(fact)
    silent = {model for model in found if model.model_config.get("ser_json_inf_nan") is None}
    assert Usage in found
    assert silent == {MetaLearningConfig, ReasoningStep}, "their numbers have bounds, or none"


def test_a_wrong_record_among_many_writers_fails_alone(store: TraceStore) -> None:
    usage = [Usage(cost=math.nan if n % 5 == 0 else 1.0) for n in range(40)]
    records = [record(f"j{n}", result=result(f"j{n}", usage=u)) for n, u in enumerate(usage)]

    def try_to(one: JobRecord) -> bool:
        try:
            return not store.record(one).duplicate
        except StoreError:
            return False

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(try_to, records))
    assert said == [n % 5 != 0 for n in range(40)]
    assert len(store.jobs()) == 32


def test_threads_that_ask_for_the_same_job_get_one_answer(store: TraceStore) -> None:
    store.record(record("j1"))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(store.retrieve, "j2", "compare React", **RETRIEVE) for _ in range(24)]
        answers = [future.result() for future in asked]
    assert all(answer == answers[0] for answer in answers)
    assert store.traces()[0].usage_count == 1


# -- what a record becomes -------------------------------------------------------------------


def test_a_job_reads_back_with_its_steps_attempts_and_scores(store: TraceStore) -> None:
    store.record(record("j1"))
    job = store.job("j1")
    assert job is not None
    assert (job["probe_quality"], job["chain_quality"], job["gate_rule"]) == (0.5, 0.9, "probe")
    assert job["started_at"] == "2026-03-01T12:00:00Z"
    assert [(s["step_id"], s["attempts"]) for s in job["steps"]] == [("a", 1), ("b", 2)]
    assert [a["error_type"] for a in job["attempts"]] == [None, None, "content", None]
    assert job["attempts"][2]["hints"] == ["name React"]
    assert job["attempts"][0]["gen_ai_usage_input_tokens"] == 100
    assert {s["candidate"] for s in job["scores"]} == {"probe", "joined"}
    assert store.job("nobody") is None


def test_a_long_text_is_whole_again_when_it_is_read(store: TraceStore) -> None:
    text = "a long answer " * 230_000  # 3 MB
    store.record(record("j1", result=result("j1", answer=text)))
    job = store.job("j1")
    assert job is not None
    assert job["answer"] == text
    inline = store.sql("SELECT len(answer), answer_characters FROM jobs").rows
    assert inline == ((4096, len(text)),)


def test_a_blob_is_kept_once_however_many_jobs_bring_it(store: TraceStore) -> None:
    for number in range(3):
        store.record(record(f"j{number}"))
    assert store.sql("SELECT body FROM blobs").rows == (("a prompt",),)


@pytest.mark.parametrize(
    "text", ["\x00\x01\x1b[31m\r\n\t", "\u202e\ufeff\u2028 é 日本", "'; DROP --"]
)
def test_control_characters_survive(store: TraceStore, text: str) -> None:
    store.record(record("j1", task=f"x{text}", result=result("j1", answer=text)))
    job = store.job("j1")
    assert job is not None
    assert (job["task"], job["answer"]) == (f"x{text}", text)
    assert store.traces()[0].task_summary == f"x{text}"


def test_lone_surrogates_become_replacement_characters(directory: Path, dump: Dump) -> None:
    odd = Attempt(stage="probe", value={"text": "a\ud800b"})
    with TraceStore.open(directory) as store:
        store.record(record("j1", attempts=(odd,), blobs={"k": "c\udc00"}))
        assert store.sql("SELECT body FROM blobs").rows == (("c\ufffd",),)
        before = dump(store)
        store.rebuild()
        assert dump(store) == before


def test_only_a_changed_price_is_a_new_row(store: TraceStore) -> None:
    store.record(record("j1"))
    store.record(record("j2"))
    dearer = record("j3").job.models["default"].model_copy(update={"input_price": 9.0})
    job = record("j3").job.model_copy(update={"models": {"default": dearer}})
    store.record(record("j3", job=job))
    assert store.sql("SELECT input_price FROM prices ORDER BY 1").rows == ((1.0,), (9.0,))


# -- scores ----------------------------------------------------------------------------------


def test_a_persons_score_wins_and_reaches_the_library(store: TraceStore) -> None:
    store.record(record("j1"))
    store.score("j1", 0.2, "anna", "wrong library")
    store.score("j1", 1.0, "judge:big-model")
    rows = store.sql("SELECT quality, scored_by, quality_by_checks FROM v_job_quality").rows
    assert rows == ((0.2, "anna", 0.9),)
    assert store.traces() == []
    assert store.traces(active_only=False)[0].quality_score == 0.2


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1, math.inf])
def test_a_score_outside_0_to_1_is_refused(store: TraceStore, value: float) -> None:
    store.record(record("j1"))
    with pytest.raises(UsageError, match="a score is a number from 0 to 1"):
        store.score("j1", value, "anna")


def test_a_score_needs_its_job(store: TraceStore) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        store.score("nobody", 0.5, "anna")


# -- opening ---------------------------------------------------------------------------------


def test_a_store_has_one_owner_and_says_who(directory: Path) -> None:
    with (
        TraceStore.open(directory),
        pytest.raises(StoreError, match=rf"in use by process {os.getpid()}:.*one owner"),
    ):
        TraceStore.open(directory)
    TraceStore.open(directory).close()


def test_what_was_recorded_is_there_after_a_restart(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        store.record(record("j1"))
        store.retrieve("j2", "compare React", **RETRIEVE)
        before = dump(store)
    with TraceStore.open(directory) as store:
        assert dump(store) == before
        assert store.record(record("j1")).duplicate


def test_a_closed_store_says_so(directory: Path) -> None:
    store = TraceStore.open(directory)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.jobs()


def test_a_file_that_is_no_database_is_refused_when_there_is_no_journal(directory: Path) -> None:
    directory.mkdir()
    other = sqlite3.connect(directory / "traces.duckdb")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StoreError, match=r"the trace store .*can not be used|has a problem"):
        TraceStore.open(directory)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("new", "can not make the trace store new: Permission denied"),
        (".", "can not lock the trace store .: Permission denied"),
    ],
)
def test_a_directory_that_can_not_be_written_is_one_clear_line(
    tmp_path: Path, name: str, message: str
) -> None:
    """As another user, because root may write anywhere."""
    tmp_path.chmod(0o555)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(tmp_path)
            if os.getuid() == 0:
                os.setuid(65534)
            TraceStore.open(Path(name))
        except StoreError as error:
            code = 0 if str(error) == message else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    tmp_path.chmod(0o755)
    assert os.waitstatus_to_exitcode(status) == 0
