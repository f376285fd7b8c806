"""What people may ask of a job that is under way, on a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from crp.errors import CRPError, JobFailed
from crp.failures import from_failure
from crp.forking import Changes, First, forked
from crp.models import Approval, Budget, MetaLearningConfig, Origin, Standing
from crp.templates import pinned
from tests.workflows.jobs import ADVICE, GARDEN, GOOD, LEAVES, ROOTS, TASK
from tests.workflows.live import TEMPORAL, Live, live

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TEMPORAL is None, reason="no temporal binary in this environment"),
]

NO_EXAMPLES = MetaLearningConfig(rtl_enabled=False)
PLAIN = GARDEN.replace("complexity: 3\n", "complexity: 3\nprobe: no\n")


def answer(prompt: str) -> str:
    return next(text for words, text in GOOD.items() if words in prompt)


class Gate:
    """A model that answers when the test lets it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = asyncio.Event()

    async def __call__(self, prompt: str) -> str:
        self.asked.set()
        await self.open.wait()
        return answer(prompt)


async def refused(handle: Any, update: str, *args: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(update, args=list(args))
    error: CRPError = from_failure(caught.value)
    return str(error)


async def both_asked(there: Live) -> None:
    """Roots and leaves are asked side by side."""
    for _ in range(500):
        if len(there.model.prompts) == 2:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the second step is not asked")


async def until(there: Live, handle: Any, kind: str, times: int = 1) -> None:
    for _ in range(200):
        told = [e["kind"] for e in await handle.query("events", 0)]
        if told.count(kind) >= times:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no event {kind}")


# -- pause ---------------------------------------------------------------------------------------


async def test_a_paused_job_finishes_what_runs_and_starts_nothing_until_it_is_resumed(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with live(tmp_path, gate) as there:
        handle = await there.start(TASK, PLAIN)
        await gate.asked.wait()
        await both_asked(there)
        await handle.execute_update("pause", "Ann")
        assert "paused already, by Ann" in await refused(handle, "pause", "Ben")
        gate.open.set()
        await until(there, handle, "step.done", times=2)
        await asyncio.sleep(0.5)
        standing = Standing.model_validate(await handle.query("standing"))
        assert (standing.paused_by, standing.under_way) == ("Ann", 0)
        assert len(there.model.prompts) == 2
        await handle.execute_update("resume", "Ben")
        result = await there.durable.wait(handle)
    assert result.answer == ADVICE
    assert len(there.model.prompts) == 3


async def test_to_resume_what_is_not_paused_is_refused_and_leaves_no_history(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with live(tmp_path, gate) as there:
        handle = await there.start(TASK, PLAIN)
        await gate.asked.wait()
        assert await refused(handle, "resume", "Ann") == "the job is not paused"
        assert "no plan of the job waits" in await refused(handle, "approve", Approval(by="Ann"))
        gate.open.set()
        await there.durable.wait(handle)
        history = await handle.fetch_history()
    assert not [e for e in history.events if "UPDATE" in str(e.event_type)]
    kinds = {e.WhichOneof("attributes") for e in history.events}
    assert not {kind for kind in kinds if kind and "update" in kind}


async def test_a_paused_job_can_be_cancelled_and_keeps_what_is_there(tmp_path: Path) -> None:
    gate = Gate()
    async with live(tmp_path, gate) as there:
        handle = await there.start(TASK, PLAIN)
        await gate.asked.wait()
        await handle.execute_update("pause", "Ann")
        gate.open.set()
        await until(there, handle, "step.done")
        await handle.cancel()
        with pytest.raises(JobFailed, match="was cancelled"):
            await there.durable.wait(handle)
        kept = there.store.job("job")
    assert kept is not None
    assert kept["status"] == "cancelled"


# -- approval ------------------------------------------------------------------------------------


async def test_nothing_of_a_plan_runs_before_a_person_has_approved_it(tmp_path: Path) -> None:
    async with live(tmp_path, answer) as there:
        handle = await there.start(TASK, PLAIN, approve=True)
        await until(there, handle, "approval.awaited")
        assert there.model.prompts == []
        standing = Standing.model_validate(await handle.query("standing"))
        assert standing.awaits_approval is not None
        assert [s.id for s in standing.awaits_approval.steps] == ["roots", "leaves", "advice"]
        why = await refused(handle, "approve", Approval(by="Ann", drop=("twigs",)))
        assert why == "the plan has no step twigs: there are advice, leaves, roots"
        await handle.execute_update("approve", Approval(by="Ann"))
        result = await there.durable.wait(handle)
    assert result.answer == ADVICE


async def test_a_person_may_change_the_plan_that_she_approves(tmp_path: Path) -> None:
    """`approve: yes` in the template; a broken template first, then a good one."""
    asks = PLAIN.replace("probe: no", "probe: no\napprove: yes")
    changed = asks.replace("Describe the LEAVES.", "Describe the BUDS.")
    async with live(tmp_path, lambda p: "The leaf." if "BUDS" in p else answer(p)) as there:
        handle = await there.start(TASK, asks)
        await until(there, handle, "approval.awaited")
        broken = pinned(asks)[0].model_copy(update={"text": "format: 1\ntemplate: garden\n"})
        await handle.execute_update("approve", Approval(by="Ann", template=broken))
        await until(there, handle, "approval.awaited", times=2)
        await handle.execute_update("approve", Approval(by="Ann", template=pinned(changed)[0]))
        result = await there.durable.wait(handle)
        template = there.store.job("job")
    assert any("BUDS" in prompt for prompt in there.model.prompts)
    assert not any("LEAVES" in prompt for prompt in there.model.prompts)
    assert any("is not possible" in note for note in result.notes)
    assert template is not None
    assert result.template_sha256 == pinned(changed)[0].sha256


async def test_a_change_that_is_not_possible_leaves_the_plan_as_it_was_and_unapproved(
    tmp_path: Path,
) -> None:
    """The new template wants a list that nobody gave; and it would not ask for approval."""
    asks = PLAIN.replace("probe: no", "probe: no\napprove: yes")
    buds = "extract:\n  buds: {from: context, must_appear: yes}\nsteps:\n"
    wants = PLAIN.replace("steps:\n", buds).replace("the LEAVES.", "the LEAVES of {{ buds }}.")
    async with live(tmp_path, answer) as there:
        handle = await there.start(TASK, asks)
        await until(there, handle, "approval.awaited")
        await handle.execute_update("approve", Approval(by="Ann", template=pinned(wants)[0]))
        await until(there, handle, "approval.awaited", times=2)
        assert there.model.prompts == []
        await handle.execute_update("approve", Approval(by="Ann"))
        result = await there.durable.wait(handle)
    assert any("is not possible" in note for note in result.notes)
    assert result.template_sha256 == pinned(asks)[0].sha256
    assert result.answer == ADVICE


async def test_a_step_that_a_person_took_out_is_not_asked(tmp_path: Path) -> None:
    optional = PLAIN.replace("{{ leaves }}", "{{ leaves | default('none') }}")
    async with live(tmp_path, answer) as there:
        handle = await there.start(TASK, optional, approve=True)
        await until(there, handle, "approval.awaited")
        await handle.execute_update("approve", Approval(by="Ann", drop=("leaves",)))
        result = await there.durable.wait(handle)
    assert not any("LEAVES" in prompt for prompt in there.model.prompts)
    leaves = next(s for s in result.steps if s.id == "leaves")
    assert (leaves.status, leaves.reason) == ("unneeded", "taken out by Ann")
    assert result.status == "completed"


# -- budgets -------------------------------------------------------------------------------------


async def test_a_budget_of_calls_is_never_passed_and_the_best_so_far_is_the_answer(
    tmp_path: Path,
) -> None:
    async with live(tmp_path, answer) as there:
        handle = await there.start(TASK, PLAIN, budget=Budget(calls=2))
        result = await there.durable.wait(handle)
    assert len(there.model.prompts) == 2
    assert result.status == "incomplete"
    assert "the budget of 2 calls is used up: this is the best answer so far" in result.notes
    assert ROOTS in result.answer or LEAVES in result.answer


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(tokens=20), "the budget of 20 tokens"),
        (Budget(cost=0.00001), "the budget of 1e-05 of money"),
        (Budget(seconds=5), "the budget of 5 seconds"),
    ],
)
async def test_every_budget_stops_a_job_cleanly(tmp_path: Path, budget: Budget, said: str) -> None:
    async def slow(prompt: str) -> str:
        await asyncio.sleep(budget.seconds or 0)
        return answer(prompt)

    async with live(tmp_path, slow) as there:
        priced = there.profile.model_copy(update={"input_price": 1.0})
        handle = await there.start(TASK, PLAIN, budget=budget, models={"default": priced})
        result = await there.durable.wait(handle)
    assert len(there.model.prompts) == 2
    assert any(note.startswith(said) for note in result.notes)
    assert result.status == "incomplete"


# -- fork ----------------------------------------------------------------------------------------


async def test_a_fork_asks_only_the_step_it_begins_with_and_what_depends_on_it(
    tmp_path: Path,
) -> None:
    async with live(tmp_path, answer) as there:
        first = await there.durable.wait(await there.start(TASK, PLAIN))
        assert len(there.model.prompts) == 3
        origin = Origin(job_id="job", step="leaves")
        again = await there.durable.wait(
            await there.start(TASK, PLAIN, job_id="fork", origin=origin, config=NO_EXAMPLES)
        )
        asked = there.model.prompts[3:]
    words = ("Describe the LEAVES", "Give the ADVICE")
    assert [[word for word in words if word in prompt] for prompt in asked] == [[w] for w in words]
    assert again.answer == first.answer
    assert again.usage.calls == 2


async def test_a_fork_with_another_template_gives_earlier_answers_again(tmp_path: Path) -> None:
    """Also a fork of a fork, and although the prompts of the earlier steps have changed."""
    changed = PLAIN.replace("Give the ADVICE.", "Give the ADVICE in one line.")
    changed = changed.replace("Describe the ROOTS.", "Describe the ROOTS well.")
    async with live(tmp_path, answer) as there:
        await there.durable.wait(await there.start(TASK, PLAIN))
        origin = Origin(job_id="job", step="advice")
        second = await there.durable.wait(
            await there.start(TASK, changed, job_id="second", origin=origin)
        )
        assert len(there.model.prompts) == 4
        assert "in one line" in there.model.prompts[-1]
        third = await there.durable.wait(
            await there.start(TASK, changed, job_id="third", origin=Origin(job_id="second"))
        )
        assert len(there.model.prompts) == 4
    assert (second.usage.calls, third.usage.calls) == (1, 0)
    assert third.answer == ADVICE


async def test_a_fork_with_a_stronger_model_asks_its_step_of_that_model(tmp_path: Path) -> None:
    """By its capability the gate would answer the whole task in one go, with the old answer."""
    async with live(tmp_path, answer) as there:
        job = there.job(TASK, config=NO_EXAMPLES)
        garden = there.library(GARDEN)
        first = await there.durable.wait(await there.durable.submit(job, garden))
        before = len(there.model.prompts)
        big = there.profile.model_copy(update={"capability": 3, "name": "big"})
        request = forked(
            First(job, garden, first),
            Changes(models={"default": big}),
            Origin(job_id="job", step="advice"),
        )
        handle = await there.durable.submit(
            request.job("fork").model_copy(update={"store_queue": job.store_queue}),
            request.library,
        )
        result = await there.durable.wait(handle)
        (asked,) = there.model.prompts[before:]
    assert "Give the ADVICE" in asked
    assert (first.chosen, result.chosen, result.answer) == ("joined", "joined", ADVICE)


async def test_a_fork_of_a_step_that_is_not_there_fails_with_its_name(tmp_path: Path) -> None:
    async with live(tmp_path, answer) as there:
        await there.durable.wait(await there.start(TASK, PLAIN))
        origin = Origin(job_id="job", step="twigs")
        result = await there.durable.wait(
            await there.start(TASK, PLAIN, job_id="fork", origin=origin)
        )
    assert result.status == "failed"
    assert "a fork can not begin with 'twigs'" in result.error
