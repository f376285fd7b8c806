"""The parts of a batch that need no engine: ids, what is left to do, results, spending, summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from crp.batching.remaining import Remaining
from crp.batching.results import Outcome, read_results, writing
from crp.batching.spending import Limits, Spending
from crp.batching.summary import Tally
from crp.batching.task import Batch, BatchTask, Terms
from crp.config import ModelSettings, load_settings
from crp.errors import UsageError
from crp.models import Budget, Library, Usage

TASK = BatchTask("t1", "Where is Lyon?")


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    models = {"big": ModelSettings(base_url="http://127.0.0.1:9/v1", name="b")}
    return Batch.of("towns", load_settings(tmp_path, models=models), Library())


def outcome(batch: Batch, task: BatchTask = TASK, **changes: Any) -> Outcome:
    made = {"id": task.id, "job_id": batch.job_id(task), "status": "completed"}
    return Outcome(**{**made, "digest": batch.digest(task), **changes})


# -- ids ------------------------------------------------------------------------------------------


def test_the_same_task_has_the_same_job_id_and_any_change_another(batch: Batch) -> None:
    first = batch.job_id(TASK)
    assert first == batch.job_id(replace(TASK, place="elsewhere:9"))
    assert first.startswith("towns-t1-")
    others = [
        replace(TASK, text="Where is Paris?"),
        replace(TASK, context="facts"),
        replace(TASK, context_sha256="other"),
        replace(TASK, template="direct-question"),
        replace(TASK, model="big"),
        replace(TASK, inputs={"a": "b"}),
        replace(TASK, id="t2"),
    ]
    assert len({first, *map(batch.job_id, others)}) == len(others) + 1


def test_an_edited_template_does_not_start_a_batch_anew(batch: Batch) -> None:
    edited = replace(batch, library=Library(scaffolds="edited"))
    assert edited.job_id(TASK) == batch.job_id(TASK)


def test_each_job_gets_the_terms_of_its_batch_and_they_do_not_start_it_anew(batch: Batch) -> None:
    bounded = replace(batch, terms=Terms(Budget(calls=3), priority=5))
    asked = bounded.request(TASK)
    assert (asked.budget.calls, asked.priority, asked.fairness_key) == (3, 5, "towns")
    assert bounded.job_id(TASK) == batch.job_id(TASK)
    shared = replace(batch, terms=Terms(fairness_key="ann"))
    assert shared.request(TASK).fairness_key == "ann"


def test_a_long_name_is_cut_to_what_temporal_takes_as_a_key(batch: Batch) -> None:
    key = replace(batch, name="ü" * 60).request(TASK).fairness_key
    assert key == "ü" * 32


def test_the_ids_of_many_tasks_with_the_same_words_differ(batch: Batch) -> None:
    made = {batch.job_id(BatchTask(f"the same words for {n}", "Ask")) for n in range(20_000)}
    assert len(made) == 20_000


# -- what is left ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "left", "left_when_retrying"),
    [
        ({}, False, False),
        ({"status": "incomplete"}, False, False),
        ({"status": "failed"}, False, True),
        ({"status": "cancelled"}, False, True),
        ({"status": "failed", "job_id": ""}, True, True),
        ({"digest": "of another text"}, True, True),
    ],
)
def test_a_task_is_done_when_a_line_says_so(
    batch: Batch, changes: dict[str, Any], left: bool, left_when_retrying: bool
) -> None:
    known = {TASK.id: outcome(batch, **changes)}
    assert bool(Remaining(batch, known).of([TASK])) == left
    assert bool(Remaining(batch, known, retry_failed=True).of([TASK])) == left_when_retrying


def test_a_task_that_is_tried_again_gets_the_next_number(batch: Batch) -> None:
    first = batch.job_id(TASK)
    ids = [Remaining(batch).job_id(TASK)]
    for _ in range(3):
        known = {TASK.id: outcome(batch, status="failed", job_id=ids[-1])}
        ids.append(Remaining(batch, known, retry_failed=True).job_id(TASK))
    assert ids == [first, f"{first}-2", f"{first}-3", f"{first}-4"]


# -- results --------------------------------------------------------------------------------------


def test_what_is_written_is_known_to_the_next_run_and_the_last_line_counts(
    batch: Batch, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    with writing(path) as results:
        results.write(outcome(batch, status="failed", usage=Usage(calls=3)))
        results.write(outcome(batch, answer="Lyon \u2028\x1b[31m ü \u202e", usage=Usage(calls=1)))
    text = path.read_text("utf-8")
    assert len(text.splitlines()) == 2  # also for readers that take U+2028 for the end of a line
    assert "ü" in text
    assert "\x1b" not in text
    with writing(path) as results:
        assert results.before.known[TASK.id].status == "completed"
        assert (results.before.used.calls, results.before.jobs) == (4, 2)
    assert list(tmp_path.iterdir()) == [path]


def test_half_a_line_of_a_killed_run_is_taken_away(batch: Batch, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with writing(path) as results:
        results.write(outcome(batch))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "t2", "job_')
    with writing(path) as results:
        assert list(results.before.known) == ["t1"]
        results.write(outcome(batch, BatchTask("t2", "x")))
    assert list(read_results(path).known) == ["t1", "t2"]


def test_a_file_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"id": "a", "task": "mine"}\n')
    with pytest.raises(UsageError, match=r"tasks\.jsonl:1 is not a line"), writing(path):
        pass
    assert path.read_text() == '{"id": "a", "task": "mine"}\n'


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with writing(path), pytest.raises(UsageError, match="another `crp batch`"), writing(path):
        pass
    with writing(path):  # when the first has ended
        pass


def test_a_line_with_an_impossible_status_is_refused() -> None:
    with pytest.raises(ValidationError):
        Outcome(id="a", status="perhaps")  # type: ignore[arg-type]


# -- spending -------------------------------------------------------------------------------------


def test_with_a_limit_the_first_job_runs_alone() -> None:
    spending = Spending(Limits(calls=100))
    assert not spending.refusal(0)
    assert spending.refusal(1)
    assert not Spending().refusal(1000)


def test_jobs_start_while_the_mean_of_a_job_leaves_room() -> None:
    spending = Spending(Limits(calls=20))
    spending.add(Usage(calls=4))
    started = 0
    while not spending.refusal(started):
        started += 1
    assert started == 4  # 4 used, 4 x 4 under way
    for _ in range(started):
        spending.add(Usage(calls=4))
    assert "limit of 20 calls is reached" in spending.refusal(0)


@pytest.mark.parametrize("name", ["calls", "tokens", "cost"])
def test_nothing_starts_that_would_go_over_the_limit(name: str) -> None:
    spending = Spending(Limits(**{name: 10}))
    spending.add(Usage(calls=6, prompt_tokens=6, cost=6))
    assert "another one would go over it" in spending.refusal(0)


def test_no_job_starts_when_the_time_is_over() -> None:
    now = [0.0]
    spending = Spending(Limits(seconds=5), clock=lambda: now[0])
    assert not spending.refusal(40)
    now[0] = 5.0
    assert "seconds" in spending.refusal(0)


# -- the summary ----------------------------------------------------------------------------------


def test_the_same_failure_of_many_tasks_is_one_reason() -> None:
    tally = Tally()
    for n in range(5):
        error = f"the model at 127.0.0.1:{9000 + n} says 401 to job-{n} after {n}.5 s"
        tally.add(Outcome(id=str(n), job_id=f"job-{n}", status="failed", error=error))
    tally.add(Outcome(id="x", job_id="j", status="failed", error="the model says 500"))
    tally.add(Outcome(id="y", job_id="k", status="cancelled", error="whatever"))
    made = tally.summary(10)
    assert list(made.reasons.values()) == [5, 1, 1]
    assert "401" in next(iter(made.reasons))
    assert made.reasons["cancelled"] == 1
    assert (made.failed, made.cancelled, made.not_started) == (6, 1, 3)


def test_quality_is_the_median_of_what_was_answered() -> None:
    tally = Tally()
    for quality in (0.2, 0.9, 1.0):
        tally.add(Outcome(id="a", status="completed", quality=quality, usage=Usage(calls=2)))
    tally.add(Outcome(id="b", status="failed", quality=0.0))
    made = tally.summary(4)
    assert made.median_quality == 0.9
    assert made.usage.calls == 6
    assert tally.summary(4).done == 3
