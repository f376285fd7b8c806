"""Forgetting a job: no byte of its texts is left in the store's folder, and its numbers stay."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crp.errors import NotFound, StoreUnavailable
from crp.models import (
    Attempt,
    Event,
    Example,
    JobRecord,
    MetaLearningConfig,
    ReasoningStep,
    Retrieved,
    Score,
    StepRecord,
    Task,
    TransportFailure,
    Verdict,
)
from crp_analytics import rebuilding
from crp_analytics.store import TraceStore
from crp_analytics.text import forgotten_name
from tests.analytics.broken import python
from tests.analytics.samples import RETRIEVE, START, attempts, record, result, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]

SECRET = "xyzzyplugh"
"""Stands in every text of the job, and in its id."""
JOB = f"compare-{SECRET}-vue-a2b3c4d5e"
LONG = f"{SECRET} is long. " * 1000


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def secret_record(job_id: str = JOB) -> JobRecord:
    """A job in which every text holds the secret."""
    plain = record(job_id, task=f"compare {SECRET} and Vue")
    said = Verdict(check="covers: items", score=0.0, passed=False, detail=SECRET, hint=SECRET)
    prompts = {sha(text): text for text in (f"a prompt about {SECRET}", f"raw: {SECRET}")}
    prompt, raw = prompts
    lost = TransportFailure(at=START, kind="ModelUnavailable", message=SECRET)
    times = {"started_at": START, "finished_at": START + timedelta(seconds=2)}
    calls = (
        Attempt(stage="probe", output=f"{SECRET}.", prompt_sha256=prompt, raw_sha256=raw, **times),
        Attempt(
            stage="execute",
            step=f"profile/{SECRET}",
            status="content",
            output=LONG,
            value={SECRET: [SECRET]},
            verdicts=(said,),
            transport=(lost,),
            error=SECRET,
            prompt_sha256=prompt,
            **times,
        ),
    )
    steps = (
        StepRecord(id="table", step="table", status="done", output=SECRET),
        StepRecord(
            id=f"profile/{SECRET}",
            step="profile",
            item=SECRET,
            title=f"Profile of {SECRET}",
            status="accepted",
            reason=f"{SECRET} is odd",
            output=LONG,
            value=SECRET,
            needs=("table", f"profile/{SECRET}"),
        ),
    )
    events = (
        Event(sequence=0, at=START, kind="planned", body={"steps": [{"title": SECRET}]}),
        Event(
            sequence=1,
            at=START,
            kind="step.done",
            step=f"profile/{SECRET}",
            body={"quality": 0.5, "preview": SECRET},
        ),
    )
    task = Task(text=f"compare {SECRET} and Vue", context=SECRET, inputs={SECRET: SECRET})
    kept = trace(
        task.text,
        trace_id=job_id,
        steps=[ReasoningStep(step_description=f"look at {SECRET}")],
    )
    score = Score(candidate="joined", value=0.9, parts=(said,))
    return plain.model_copy(
        update={
            "job": plain.job.model_copy(update={"task": task}),
            "result": result(
                job_id, answer=LONG, steps=steps, notes=(SECRET,), error=SECRET, scores=(score,)
            ),
            "attempts": calls,
            "events": events,
            "trace": kept,
            "blobs": prompts,
        }
    )


def other_record(job_id: str, **changes: Any) -> JobRecord:
    """A job whose prompt is its own, and named by its calls."""
    prompt = f"the prompt of {job_id}"
    calls = tuple(a.model_copy(update={"prompt_sha256": sha(prompt)}) for a in attempts())
    given: dict[str, Any] = {"attempts": calls, "blobs": {sha(prompt): prompt}, **changes}
    return record(job_id, task=f"the task of {job_id}", **given)


def files_with(folder: Path, word: str) -> list[str]:
    needle = word.encode()
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and (needle in path.read_bytes() or word in path.name)
    ]


def fill(store: TraceStore) -> None:
    """A job with secrets between others, one of which was shown its trace in a prompt."""
    store.record(other_record("before"))
    store.record(secret_record())
    shown = store.retrieve("after", f"compare {SECRET} and Vue", **RETRIEVE)
    assert [e.trace.trace_id for e in shown.examples] == [JOB]
    quoting = f"an example: compare {SECRET} and Vue"
    calls = (Attempt(stage="probe", output="mine", prompt_sha256=sha(quoting)),)
    event = Event(sequence=0, at=START, kind="retrieved", body={"traces": [JOB]})
    store.record(
        other_record(
            "after",
            retrieved=shown,
            attempts=calls,
            events=(event,),
            blobs={sha(quoting): quoting, sha("shared"): "shared"},
        )
    )
    store.record(other_record("refused", trace=trace("another", trace_id=JOB)))  # says JOB's id
    store.score(JOB, 0.8, "anna", f"{SECRET} is fine")
    store.curate(MetaLearningConfig(rtl_min_quality_for_storage=0.85))


def numbers(store: TraceStore) -> list[tuple[Any, ...]]:
    return [
        *store.sql(
            "SELECT status, quality, calls, input_tokens, seconds, answer_characters, started_at"
            " FROM jobs ORDER BY journal_sequence"
        ).rows,
        *store.sql(
            "SELECT status, quality, attempts, output_characters FROM steps ORDER BY ALL"
        ).rows,
        *store.sql(
            "SELECT status, output_characters, checks_failed, transport_failures FROM attempts"
            " ORDER BY ALL"
        ).rows,
        *store.sql("SELECT score, scored_by FROM scores ORDER BY ALL").rows,
        *store.sql("SELECT kind, count(*) FROM events GROUP BY ALL ORDER BY ALL").rows,
    ]


def test_no_file_of_the_store_holds_a_byte_of_it_and_the_numbers_stay(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        store.rebuild()  # leaves a backup
        before = numbers(store)
        assert files_with(directory, SECRET)
        gone = store.forget(JOB)
        assert files_with(directory, SECRET) == [], "while it is open"
        assert numbers(store) == before
        assert (gone.name, gone.shown_to) == (forgotten_name(JOB), ("after",))
        assert store.job(JOB) is None
        found = store.job(gone.name)
        assert found is not None
        assert (found["task"], found["answer"], found["quality"]) == ("", "", 0.9)
        assert [s["step_id"] for s in found["steps"]] == ["table", "profile/2"]
        assert json.loads(json.dumps(found["attempts"][1]["verdicts"]))[0]["check"]
    assert files_with(directory, SECRET) == [], "when it is closed"


def test_a_rebuild_gives_what_is_left_row_by_row(directory: Path, dump: Dump) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        store.forget(JOB)
        store.record(other_record("later"))
        after = dump(store)
        store.rebuild()
        assert dump(store) == after
    assert files_with(directory, SECRET) == []


def test_an_old_copy_of_the_journal_with_the_tombstone_forgets_as_well(
    directory: Path, tmp_path: Path, dump: Dump
) -> None:
    """The entries are as they were before, the fact that they are forgotten stands behind them."""
    with TraceStore.open(directory) as store:
        fill(store)
        segment = next((directory / "journal").glob("*.jsonl"))
        old = segment.read_bytes()
        store.forget(JOB)
        after = dump(store)
        last = segment.read_bytes().splitlines(keepends=True)[-1]
    segment.write_bytes(old + last)
    rebuilding.rebuild(directory)
    with TraceStore.open(directory) as store:
        assert dump(store) == after


def test_a_forgotten_job_that_is_recorded_again_stays_forgotten(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        store.forget(JOB)
        assert store.record(secret_record()).duplicate
        assert files_with(directory, SECRET) == []


def test_its_trace_is_never_shown_again(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        store.forget(JOB)
        assert store.retrieve("new", f"compare {SECRET} and Vue", **RETRIEVE).examples == ()
        rows = store.sql("SELECT status, held, task_summary FROM traces WHERE job_id LIKE 'f%'")
        assert rows.rows == (("retired", "out", ""),)


def test_a_text_that_another_job_has_as_well_stays_his(directory: Path) -> None:
    both = {"blobs": {sha("same prompt"): "same prompt"}}
    call = (Attempt(stage="probe", output="x", prompt_sha256=sha("same prompt")),)
    with TraceStore.open(directory) as store:
        store.record(other_record("a", attempts=call, **both))
        store.record(other_record("b", attempts=call, **both))
        gone = store.forget("a")
        assert gone.blobs == ()
        assert store.sql("SELECT body, journal_sequence FROM blobs").rows == (("same prompt", 2),)


def test_forgetting_a_second_time_changes_nothing_and_names_the_same_texts(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        first = store.forget(JOB)
        before = dump(store)
        again = store.forget(JOB)
        assert dump(store) == before
        assert (again.name, again.blobs) == (first.name, first.blobs)


def test_a_job_that_nobody_knows_is_not_forgotten(directory: Path) -> None:
    with TraceStore.open(directory) as store, pytest.raises(NotFound, match="'nobody'"):
        store.forget("nobody")


def test_ids_that_begin_alike_are_not_mixed_up(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        for job_id in ("j1", "j10"):
            store.record(other_record(job_id))
        store.forget("j1")
        assert [job["job_id"] for job in store.jobs()] == ["j10", forgotten_name("j1")]
        store.rebuild()
        assert [job["job_id"] for job in store.jobs()] == ["j10", forgotten_name("j1")]


def test_a_store_in_memory_forgets_too(store: TraceStore) -> None:
    fill(store)
    store.forget(JOB)
    assert SECRET not in repr(store.jobs()) + repr(store.traces(active_only=False))


def test_what_was_damaged_in_the_journal_is_not_kept_aside_for_ever(directory: Path) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
    segment = next((directory / "journal").glob("*.jsonl"))
    content = bytearray(segment.read_bytes())
    content[content.index(b'"answer":"') + 10] ^= 1  # the first record
    content[content.index(SECRET.encode()) - 2] ^= 1  # and the secret one
    segment.write_bytes(content)
    with TraceStore.open(directory) as store:
        assert len(list((directory / "journal" / "damaged").iterdir())) == 2
        store.forget(JOB)
        assert files_with(directory, SECRET) == []
        assert len(list((directory / "journal" / "damaged").iterdir())) == 1, "the other's stays"
        assert len(store.jobs()) == 4


@pytest.mark.parametrize("moment", ["journal", "tables", "swap", "finish"])
def test_a_store_that_is_killed_while_it_forgets_goes_on_when_it_is_opened(
    directory: Path, moment: str, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
    child = os.fork()
    if child == 0:
        from crp_analytics import erasing, segments

        places: dict[str, tuple[Any, str]] = {
            "journal": (segments, "replace"),
            "tables": (rebuilding, "copy"),
            "swap": (rebuilding, "replace"),
            "finish": (erasing, "finish"),
        }
        module, name = places[moment]
        setattr(module, name, lambda *_: os._exit(9))
        TraceStore.open(directory).forget(JOB)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with TraceStore.open(directory) as store:
        assert files_with(directory, SECRET) == []
        after = dump(store)
        store.rebuild()
        assert dump(store) == after


# -- when something goes wrong on the way, or happens meanwhile ------------------------------------


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_two_that_were_stopped_on_the_way_are_both_finished(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full in the first one's rewrite, the second succeeds, the first is repeated."""
    with TraceStore.open(directory) as store:
        fill(store)
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.segments._finish", full)
            with pytest.raises(StoreUnavailable, match="No space"):
                store.forget(JOB)
        store.forget("before")
        assert files_with(directory, SECRET), "it is noted"
        again = store.forget(JOB)
        assert again.shown_to == ("after",)
        assert files_with(directory, SECRET) == []
        assert list((directory / "forgetting").iterdir()) == []


def test_what_failed_and_what_was_killed_is_finished_when_the_store_is_opened(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.segments._finish", full)
            with pytest.raises(StoreUnavailable, match="No space"):
                store.forget(JOB)
    child = os.fork()
    if child == 0:
        from crp_analytics import segments, tables

        tables.erasing.pending = lambda *_: []  # type: ignore[attr-defined]
        segments.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
        TraceStore.open(directory).forget("before")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(list((directory / "forgetting").iterdir())) == 2
    with TraceStore.open(directory) as store:
        assert files_with(directory, SECRET) == []
        assert files_with(directory, "the task of before") == []
        assert list((directory / "forgetting").iterdir()) == []


def test_what_was_refused_is_not_carried_out_later(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        with monkeypatch.context() as patch:
            patch.setattr("crp_analytics.journal.os.write", full)
            with pytest.raises(StoreUnavailable, match="nothing of this was kept"):
                store.forget("before")
    with TraceStore.open(directory) as store:
        assert store.job("before") is not None


def test_a_note_of_a_job_that_nobody_knows_keeps_no_store_shut(directory: Path) -> None:
    TraceStore.open(directory).close()
    (directory / "forgetting").mkdir()
    for name, said in (("a", b'{"job_id": "nobody", "names": {}}'), ("b", b"no JSON")):
        (directory / "forgetting" / f"{name}.json").write_bytes(said)
    TraceStore.open(directory).close()
    assert list((directory / "forgetting").iterdir()) == []


def test_a_store_that_can_not_be_opened_lets_go_of_its_files(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TraceStore.open(directory).close()
    with monkeypatch.context() as patch:
        patch.setattr("crp_analytics.erasing.pending", full)
        with pytest.raises(OSError, match="No space") as kept:
            TraceStore.open(directory)
    other = python(
        "import sys; from pathlib import Path; from crp_analytics.store import TraceStore;"
        " TraceStore.open(Path(sys.argv[1])).close(); print('opened')",
        str(directory),
    )
    assert other.communicate(timeout=60)[0] == "opened\n"
    assert kept.value, "with its traceback, which has the store"


def test_a_job_that_was_under_way_does_not_bring_the_texts_back(
    directory: Path, dump: Dump
) -> None:
    with TraceStore.open(directory) as store:
        fill(store)
        shown = store.retrieve("late", f"compare {SECRET} and Vue", **RETRIEVE)
        if not shown.examples:  # the curation of `fill` took it out
            shown = Retrieved(examples=(example(),))
        store.forget(JOB)
        quoting = f"an example: compare {SECRET} and Vue"
        calls = (Attempt(stage="probe", output="mine", prompt_sha256=sha(quoting)),)
        blobs = {sha(quoting): quoting, sha("mine alone"): "mine alone"}
        event = Event(sequence=0, at=START, kind="retrieved", body={"traces": [JOB]})
        late = other_record("late", retrieved=shown, attempts=calls, events=(event,), blobs=blobs)
        store.record(late)
        assert files_with(directory, SECRET) == []
        found = store.sql("SELECT body FROM blobs WHERE sha256 = " + f"'{sha('mine alone')}'")
        assert found.rows == (("mine alone",),)
        before = dump(store)
        store.forget(JOB)
        store.rebuild()
        assert dump(store) == before
    assert files_with(directory, SECRET) == []


def example() -> Example:
    return Example(trace=secret_record().trace, overlap=3, similarity=0.9, rank=1)


SAVE = """
import os, signal, sys
from pathlib import Path
from crp_analytics import index_file
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace
index_file.WORTH_SAVING = 1
store = TraceStore.open(Path(sys.argv[1]))
store.record(record("j1", trace=trace("compare xyzzyplugh and Vue", trace_id="t1")))
index_file.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
store.retrieve("j2", "compare xyzzyplugh", **RETRIEVE)
"""


def test_the_half_of_an_index_that_a_killed_owner_left_goes_too(directory: Path) -> None:
    child = python(SAVE, str(directory))
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert list(directory.glob("retrieval.index*new"))
    (directory / "retrieval.index.4242.new").write_text(SECRET)
    with TraceStore.open(directory) as store:
        store.sql("SELECT 1")  # makes a copy, and the folder for it
        (directory / "snapshots" / "copy-9.unfinished").write_text(SECRET)
        store.forget("j1")
        assert list(directory.glob("retrieval.index*")) == []
        assert list((directory / "snapshots").iterdir()) == []
