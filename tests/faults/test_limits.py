"""What a model is given to do: no more than its limits over all workers, in a fair order."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from crp.client import handle
from tests.support.fleet import ONE_CALL, Fleet, fleet
from tests.support.model_server import ModelServer, prompt_of

pytestmark = pytest.mark.slow

STARTED = EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED


async def callers(workers: Fleet, jobs: list[str]) -> set[str]:
    """The workers that ran activities of these jobs."""
    found = set()
    for job in jobs:
        async for event in handle(workers.engine, job).fetch_history_events():
            if event.event_type == STARTED:
                found.add(event.activity_task_started_event_attributes.identity)
    return found


async def test_two_workers_together_keep_to_the_calls_at_once_of_a_model(tmp_path: Path) -> None:
    with ModelServer(default="late:0.3") as server:
        async with fleet(tmp_path, server, concurrency=2) as workers:
            await workers.work("all")
            await workers.work()
            jobs = [await workers.ask(f"call number {n}") for n in range(24)]
            for job in jobs:
                assert (await workers.result(job)).status == "completed"
            assert len(await callers(workers, jobs)) == 2
    assert server.calls == 24
    assert server.most_running == 2


async def test_slots_of_a_killed_worker_are_free_again(tmp_path: Path) -> None:
    with ModelServer(default="held") as server:
        async with fleet(tmp_path, server, concurrency=1) as workers:
            await workers.work("store")
            first = await workers.work()
            jobs = [await workers.ask(f"call number {n}") for n in range(3)]
            await workers.until(lambda queue: server.calls == 1)
            await workers.work()
            await workers.end(first, signal.SIGKILL)
            server.go.set()
            for job in jobs:
                assert (await workers.result(job)).status == "completed"


async def test_two_workers_together_keep_to_the_calls_a_minute_of_a_model(tmp_path: Path) -> None:
    calls, a_second = 40, 5
    with ModelServer() as server:
        async with fleet(
            tmp_path, server, concurrency=8, requests_per_minute=60 * a_second
        ) as workers:
            await workers.work("all")
            await workers.work()
            jobs = [await workers.ask(f"call number {n}") for n in range(calls)]
            for job in jobs:
                assert (await workers.result(job)).status == "completed"
            assert len(await callers(workers, jobs)) == 2
    assert server.calls == calls
    # After a pause as many as in a second may come at once; a call may be late, and none early.
    at_once = 2 * a_second
    for first in range(calls):
        for last in range(first + at_once, calls):
            seconds = server.begun[last] - server.begun[first]
            assert seconds >= (last - first - at_once) / a_second


async def test_a_call_comes_no_sooner_than_the_model_server_asked_for(tmp_path: Path) -> None:
    with ModelServer("429:4", "status:503:busy:3") as server:
        async with fleet(tmp_path, server) as workers:
            await workers.work("all")
            result = await workers.result(await workers.ask("call the server that is busy"))
    assert result.status == "completed"
    first, second, third = server.begun
    assert second - first >= 4
    assert third - second >= 3


async def in_line(workers: Fleet, jobs: int) -> None:
    """Wait until all but the call under way stand in the model's queue."""
    await workers.until(lambda queue: queue.waiting >= jobs - 1)


async def order_of(workers: Fleet, server: ModelServer, jobs: list[str]) -> list[str]:
    """Let the model answer; give whose call came when: the word before the first number."""
    server.go.set()
    for job in jobs:
        await workers.result(job)
    return [prompt.split("call of ")[1][0] for prompt in map(prompt_of, server.requests)]


@pytest.mark.parametrize("fair", [True, False], ids=["fair", "in the order of coming"])
async def test_the_calls_of_a_second_user_do_not_wait_for_all_of_the_first(
    fair: bool, tmp_path: Path
) -> None:
    with ModelServer(default="held") as server:
        async with fleet(tmp_path, server, concurrency=1) as workers:
            await workers.work("all")
            keys = {"A": "anna", "B": "ben"} if fair else {"A": "", "B": ""}
            jobs = [await workers.ask(f"call of A {n}", fairness_key=keys["A"]) for n in range(55)]
            await in_line(workers, 55)
            jobs += [await workers.ask(f"call of B {n}", fairness_key=keys["B"]) for n in range(5)]
            await in_line(workers, 60)
            order = await order_of(workers, server, jobs)
    assert sorted(order) == ["A"] * 55 + ["B"] * 5
    if fair:  # in turns; one call was under way, and a worker may have taken the next one
        assert order[:14].count("B") == 5
    else:
        assert order[-5:] == ["B"] * 5


async def test_urgent_calls_overtake_those_that_have_time(tmp_path: Path) -> None:
    with ModelServer(default="held") as server:
        async with fleet(tmp_path, server, concurrency=1) as workers:
            await workers.work("all")
            jobs = [await workers.ask(f"call of L {n}", priority=5) for n in range(20)]
            await in_line(workers, 20)
            jobs += [await workers.ask(f"call of N {n}") for n in range(3)]
            jobs += [await workers.ask(f"call of U {n}", priority=1) for n in range(3)]
            await in_line(workers, 26)
            order = await order_of(workers, server, jobs)
    first = order.index("U")
    assert first <= 2
    assert order[first : first + 6] == ["U"] * 3 + ["N"] * 3


STEP_OF_LARGER = """\
format: 1
template: larger
match: [call]
complexity: 3
probe: no
steps:
  only:
    prompt: "Say a word about {{ task }}"
    model: larger
"""


@pytest.mark.parametrize(
    ("template", "options"),
    [(ONE_CALL, {"model": "larger", "pressure": None}), (STEP_OF_LARGER, {"orc": "on"})],
    ids=["the job's model", "the model of a step"],
)
async def test_a_model_that_no_worker_calls_is_named_and_waited_for(
    template: str, options: dict[str, Any], tmp_path: Path
) -> None:
    with ModelServer() as server:
        async with fleet(tmp_path, server) as workers:
            await workers.work("all")
            models = workers.given["models"]
            workers.given["models"] = {**models, "larger": models["default"]}
            job = await workers.ask("call", template, **options)
            missing = r"no worker has asked for calls of the model 'larger' lately"
            await workers.told(missing, "jobs", "watch", job)
            assert server.calls == 0
            await workers.work()
            assert (await workers.result(job)).status == "completed"
