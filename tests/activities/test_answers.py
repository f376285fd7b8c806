"""The answer journal: what is in it is whole, and a question that is under way is asked once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crp.errors import ModelUnavailable, StoreUnavailable
from crp.models import Completion, TransportFailure
from crp_activities.answers import AnswerJournal, AnswerKey

ROOT = Path(__file__).parent.parent.parent
PATHS = os.pathsep.join(str(ROOT / name) for name in (".", "activities", "analytics", "workflows"))


def key(job: str = "job", **fields: object) -> AnswerKey:
    return AnswerJournal.key(job, "execute", "table", None, 1, "abc")._replace(**fields)  # type: ignore[arg-type]


def failure(message: str = "no") -> TransportFailure:
    return TransportFailure(at=datetime.now(UTC), kind="ModelUnavailable", message=message)


def answer_file(directory: Path) -> Path:
    [path] = directory.rglob("*.json")
    return path


def calling(calls: list[str], text: str = "answer") -> Callable[[], Awaitable[Completion]]:
    async def call() -> Completion:
        calls.append(text)
        await asyncio.sleep(0)
        return Completion(text=text)

    return call


def test_an_answer_comes_back_and_others_do_not(tmp_path: Path) -> None:
    completion = Completion(text="é \x00 " * 10, metadata={"a": [1, None]}, seconds=1.5)
    AnswerJournal(tmp_path / "new").put(key(), completion)
    journal = AnswerJournal(tmp_path / "new")
    assert journal.get(key()) == completion
    others = (
        {"job_id": "x"},
        {"stage": "probe"},
        {"step": "x"},
        {"item": "Vue"},
        {"item": ""},
        {"attempt": 2},
        {"prompt_sha": "d"},
    )
    for other in others:
        assert journal.get(key(**other)) is None


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    one = AnswerKey("job", "a", "b c", None, 1, "")
    assert one.digest != AnswerKey("job", "a b", "c", None, 1, "").digest


@pytest.mark.parametrize("length", [0, 10, 64, 65, 70, -1])
def test_a_torn_answer_counts_as_not_there(tmp_path: Path, length: int) -> None:
    journal = AnswerJournal(tmp_path)
    journal.put(key(), Completion(text="whole"))
    path = answer_file(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert journal.get(key()) is None


def test_a_flipped_byte_counts_as_not_there(tmp_path: Path) -> None:
    journal = AnswerJournal(tmp_path)
    journal.put(key(), Completion(text="whole"))
    path = answer_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"whole", b"whale"))
    assert journal.get(key()) is None


def test_failures_are_kept_in_order_and_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    journal = AnswerJournal(tmp_path)
    assert journal.failures(key()) == ()
    journal.add_failure(key(), failure("one"))
    journal.add_failure(key(), failure("two"))
    [path] = tmp_path.rglob("*.failures")
    path.write_bytes(path.read_bytes()[:-5])
    AnswerJournal(tmp_path).add_failure(key(), failure("three"))
    assert [f.message for f in journal.failures(key())] == ["one", "three"]
    assert journal.failures(key(attempt=2)) == ()


def test_a_job_is_forgotten_as_a_whole(tmp_path: Path) -> None:
    journal = AnswerJournal(tmp_path)
    for job in ("a", "b"):
        journal.put(key(job), Completion(text=job))
        journal.add_failure(key(job), failure())
    journal.forget("a")
    journal.forget("never there")
    assert journal.get(key("a")) is None
    assert journal.failures(key("a")) == ()
    assert journal.get(key("b")) == Completion(text="b")


def test_old_jobs_are_pruned(tmp_path: Path) -> None:
    journal = AnswerJournal(tmp_path)
    for job in ("old", "new"):
        journal.put(key(job), Completion(text=job))
    directory = next(p.parent for p in tmp_path.rglob("*.json") if p.stem == key("old").digest)
    os.utime(directory, (time.time() - 40 * 86400,) * 2)
    assert journal.prune(days=30) == 1
    assert (journal.get(key("old")), journal.get(key("new"))) == (None, Completion(text="new"))


def test_after_a_kill_in_the_middle_of_puts_every_returned_answer_is_there(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from crp.models import Completion\n"
        "from crp_activities.answers import AnswerJournal\n"
        "journal = AnswerJournal(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    key = journal.key('job', 'execute', 'step', None, number, 'sha')\n"
        "    journal.put(key, Completion(text=str(number) * 50_000))\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PATHS},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    process.send_signal(signal.SIGKILL)
    lines += list(process.stdout)
    process.wait()
    process.stdout.close()
    numbers = [int(line) for line in lines if line.endswith("\n")]
    assert len(numbers) >= 5
    journal = AnswerJournal(tmp_path)
    for number in numbers:
        answer = journal.get(journal.key("job", "execute", "step", None, number, "sha"))
        assert answer is not None
        assert answer.text == str(number) * 50_000
    # The one that was under way is there whole or not at all.
    under_way = journal.get(journal.key("job", "execute", "step", None, numbers[-1] + 1, "sha"))
    assert under_way is None or under_way.text == str(numbers[-1] + 1) * 50_000


async def test_a_stored_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    calls: list[str] = []
    first = await AnswerJournal(tmp_path).once(key(), calling(calls))
    second = await AnswerJournal(tmp_path).once(key(), calling(calls))
    assert (first.replayed, second.replayed) == (False, True)
    assert first.completion == second.completion
    assert len(calls) == 1


async def test_a_second_asker_waits_for_the_call_that_is_under_way(tmp_path: Path) -> None:
    calls: list[str] = []
    journal = AnswerJournal(tmp_path)
    answers = await asyncio.gather(*(journal.once(key(), calling(calls)) for _ in range(5)))
    assert len(calls) == 1
    assert [answer.replayed for answer in answers] == [False, True, True, True, True]


async def test_a_failed_call_fails_all_who_wait_and_is_asked_anew_by_the_next(
    tmp_path: Path,
) -> None:
    journal = AnswerJournal(tmp_path)
    calls: list[str] = []

    async def down() -> Completion:
        await asyncio.sleep(0.01)
        raise ModelUnavailable("down")

    results = await asyncio.gather(
        *(journal.once(key(), down) for _ in range(2)), return_exceptions=True
    )
    assert [str(result) for result in results] == ["down", "down"]
    assert not (await journal.once(key(), calling(calls))).replayed


class Slow:
    """A call that waits until it is let go."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.stopped = False

    async def __call__(self) -> Completion:
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped = True
            raise
        return Completion(text="late")


async def given_up() -> bool:
    return True


async def kept() -> bool:
    return False


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_gives_up_stops_the_call(tmp_path: Path) -> None:
    journal, slow = AnswerJournal(tmp_path), Slow()
    task: asyncio.Task[object] = asyncio.create_task(journal.once(key(), slow, given_up))
    await slow.started.wait()
    await cancelled(task)
    assert slow.stopped
    assert journal.get(key()) is None


async def test_who_gives_up_does_not_stop_a_call_that_another_waits_for(tmp_path: Path) -> None:
    journal, slow = AnswerJournal(tmp_path), Slow()
    task: asyncio.Task[object] = asyncio.create_task(journal.once(key(), slow, given_up))
    other = asyncio.create_task(journal.once(key(), slow, given_up))
    await slow.started.wait()
    await cancelled(task)
    slow.go.set()
    assert (await other).completion.text == "late"


async def test_a_call_whose_asker_was_taken_away_still_stores_its_answer(tmp_path: Path) -> None:
    journal, slow = AnswerJournal(tmp_path), Slow()
    task: asyncio.Task[object] = asyncio.create_task(journal.once(key(), slow, kept))
    await slow.started.wait()
    await cancelled(task)
    again = asyncio.create_task(journal.once(key(), slow, kept))
    slow.go.set()
    answer = await again
    assert (answer.completion.text, answer.replayed) == ("late", True)
    assert journal.get(key()) == Completion(text="late")


async def test_the_end_of_a_worker_waits_for_answers_and_stops_what_does_not_come(
    tmp_path: Path,
) -> None:
    journal, quick, never = AnswerJournal(tmp_path), Slow(), Slow()
    for name, slow in (("quick", quick), ("never", never)):
        task: asyncio.Task[object] = asyncio.create_task(journal.once(key(name), slow, kept))
        await slow.started.wait()
        await cancelled(task)
    quick.go.set()
    await journal.drain(grace=0.3)
    assert journal.get(key("quick")) == Completion(text="late")
    assert never.stopped
    await journal.drain(grace=10)  # nothing is under way: no wait


async def test_a_full_disk_does_not_cost_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = AnswerJournal(tmp_path)
    calls: list[str] = []

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr("crp_activities.answers.write_durably", full)
        assert not (await journal.once(key(), calling(calls))).replayed
        assert "No space left on device" in caplog.text
        assert (await journal.once(key(), calling(calls))).replayed
        with pytest.raises(StoreUnavailable, match="No space left"):
            journal.put(key("other"), Completion(text=""))
    assert (await journal.once(key(), calling(calls))).replayed
    assert len(calls) == 1
    assert AnswerJournal(tmp_path).get(key()) == Completion(text="answer")  # saved in the end


def test_a_journal_that_can_not_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="can not be used"):
        AnswerJournal(tmp_path / "file" / "answers")
