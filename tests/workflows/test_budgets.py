"""What a job may cost, and that its limits hold where many things happen at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crp.errors import JobFailed, ModelUnavailable
from crp.models import Budget, Origin
from crp_workflows.ledger import Ledger
from tests.workflows.live import TEMPORAL, live
from tests.workflows.test_long_histories import LONG, runs_of

on_a_server = [
    pytest.mark.slow,
    pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary in this environment"),
]
SHORT = "limit.historyCount.suggestContinueAsNew="


def things(count: int) -> str:
    return " ".join(f"The thing is {n}." for n in range(count))


def last_word(prompt: str) -> str:
    return prompt.split()[-1]


class TestOnAServer:
    pytestmark = on_a_server

    async def test_samples_do_not_pass_the_budget_of_calls(self, tmp_path: Path) -> None:
        many = LONG.replace("about {{ item }}\n", "about {{ item }}\n    samples: 5\n")
        async with live(tmp_path, last_word) as there:
            handle = await there.start(
                "A long task", many, context=things(3), budget=Budget(calls=2)
            )
            result = await there.durable.wait(handle)
            assert len(there.model.prompts) == 2
        assert result.status == "incomplete"

    async def test_a_fork_asks_as_much_as_its_budget_lets_it_and_is_given_the_rest(
        self, tmp_path: Path
    ) -> None:
        """The first job answered three of twenty; the fork has three calls of its own."""
        async with live(tmp_path, last_word, slots=2) as there:
            said = {"context": things(20), "budget": Budget(calls=3)}
            await there.durable.wait(await there.start("A long task", LONG, **said))
            fork = {**said, "job_id": "fork", "origin": Origin(job_id="job")}
            result = await there.durable.wait(await there.start("A long task", LONG, **fork))
            assert (len(there.model.prompts), there.model.twice) == (6, [])
        assert result.usage.calls == 3
        assert sum(step.status == "done" for step in result.steps) == 6
        assert result.status == "incomplete"

    async def test_time_that_ends_with_a_history_costs_no_answer(self, tmp_path: Path) -> None:
        """The next history tells again what the last one knew, after the time was over."""

        async def slow(prompt: str) -> str:
            await asyncio.sleep(0.3)
            return last_word(prompt)

        async with live(tmp_path, slow, f"{SHORT}60") as there:
            said = {"context": things(150), "budget": Budget(seconds=3)}
            result = await there.durable.wait(await there.start("A long task", LONG, **said))
            answered = len(there.model.prompts)
            assert await runs_of(there.server.client, "job") >= 2
        assert result.status == "incomplete"
        assert result.usage.calls == answered
        assert sum(s.status == "done" and s.step == "say" for s in result.steps) == answered

    async def test_a_model_that_is_away_does_not_keep_a_job_past_its_time(
        self, tmp_path: Path
    ) -> None:
        """Temporal would try its call again for an hour."""

        async def away(prompt: str) -> str:
            if prompt.endswith("0."):
                return "0."
            raise ModelUnavailable("nobody there")

        async with live(tmp_path, away) as there:
            said = {"context": things(3), "budget": Budget(seconds=2)}
            result = await there.durable.wait(await there.start("A long task", LONG, **said))
        assert result.status == "incomplete"
        assert any("budget of 2 seconds" in note for note in result.notes)
        assert "0." in result.answer

    async def test_a_budget_that_ends_early_leaves_a_job_of_thousands_in_one_piece(
        self, tmp_path: Path
    ) -> None:
        """4,000 steps are skipped, and told again by the replay at the end of this test."""
        async with live(tmp_path, last_word) as there:
            said = {"context": things(4000), "budget": Budget(calls=5)}
            handle = await there.start("A long task", LONG, **said)
            result = await there.durable.wait(handle)
        assert result.status == "incomplete"
        (note,) = [note for note in result.notes if note.startswith("incomplete")]
        assert "3996 of 4001 steps" in note
        assert len(note) < 500

    async def test_a_job_is_cancelled_while_its_history_ends(self, tmp_path: Path) -> None:
        """The gate is shut then until all calls have ended; what is left must get through."""
        hangs, drains, asked = asyncio.Event(), asyncio.Event(), 0

        async def some(prompt: str) -> str:
            nonlocal asked
            asked += 1
            if asked == 8:
                drains.set()
            if asked > 4:
                await hangs.wait()
            return last_word(prompt)

        async with live(tmp_path, some, f"{SHORT}40", slots=4) as there:
            handle = await there.start("A long task", LONG, context=things(12))
            await drains.wait()
            await handle.cancel()
            with pytest.raises(JobFailed, match="cancelled"):
                await there.durable.wait(handle)
            assert there.store.job("job") is not None
            hangs.set()


# -- the clock ----------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def at(self, hours: float) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)


def test_hours_in_which_two_things_wait_for_a_person_are_counted_once() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    ledger.say("approval.awaited")
    clock.at(1)
    ledger.say("job.paused", by="Ann")
    clock.at(3)
    ledger.say("approved", by="Ann")
    clock.at(10)
    assert ledger.stood() == 10 * 3600
    ledger.say("job.resumed", by="Ann")
    clock.at(12)
    assert ledger.stood() == 10 * 3600


def test_a_second_pause_by_the_same_person_is_told_in_a_later_history_too() -> None:
    clock = Clock()
    first = Ledger(clock)
    first.say("job.paused", by="Ann")
    clock.at(1)
    first.say("job.resumed", by="Ann")
    later = Ledger(clock)
    later.go_on_from(first.events)
    later.say("job.paused", by="Ann")
    clock.at(3)
    later.say("job.resumed", by="Ann")
    assert [event.kind for event in later.events] == ["job.paused", "job.resumed"] * 2
    assert later.stood() == 3 * 3600
