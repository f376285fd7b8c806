"""kill -9 of every part at random moments of one batch: all is done, nothing is paid for twice.

The moments and the parts come from the random numbers of KILLS_SEED. The long run:

    KILLS=200 KILLS_JOBS=50 python -m pytest -s -m slow tests/faults/test_random_kills.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from psutil import NoSuchProcess, Process

from crp.local.state import ProcessId, read_state
from tests.faults.conftest import ANSWER, Engine
from tests.support.model_server import ModelServer, prompt_of
from tests.support.replay import replay_home

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "8"))
JOBS = int(os.environ.get("KILLS_JOBS", "6"))
SEED = int(os.environ.get("KILLS_SEED", "1"))

STEPS = 8
VICTIMS = ("worker", "temporal", "store", "supervisor", "client")
ASKING = ("worker", "supervisor")
"""Whose death ends model calls: the worker is on the supervisor's leash."""
ON_THE_WAY = 0.5
"""Seconds around such a death in which an answer may have left the server and never arrived."""
STUCK = 180.0
"""Seconds without a new answer after which the batch counts as stuck."""


class Kill(NamedTuple):
    at: float
    victim: str


class ClockedServer(ModelServer):
    """Also knows when it was asked what."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[tuple[float, str]] = []

    def next_behaviour(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        self.asked.append((time.monotonic(), prompt_of(body)))
        return super().next_behaviour(body, headers)

    def asked_again(self, kills: list[Kill]) -> list[str]:
        """Prompts that were asked after an answer that had time to arrive."""
        deaths = [kill.at for kill in kills if kill.victim in ASKING]
        arrived: dict[str, float] = {}
        for at, prompt in self.answered:
            if all(abs(at - death) > ON_THE_WAY for death in deaths):
                arrived.setdefault(prompt, at)
        return [prompt for at, prompt in self.asked if at > arrived.get(prompt, at)]


class Batch:
    """`crp batch`, started again by the same command for as long as it has not ended well."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.results = engine.work / "results.jsonl"
        self.log = engine.work / "batch.log"
        self.starts = 0
        self.gave_up: list[int] = []
        """Exit codes other than 0, of clients that nobody had killed."""
        tasks = [{"id": f"t{n:03}", "task": f"the long chain {n:03}"} for n in range(JOBS)]
        (engine.work / "tasks.jsonl").write_text("".join(json.dumps(t) + "\n" for t in tasks))
        (engine.work / "templates" / "long.yaml").write_text(_template())
        self.ids = [task["id"] for task in tasks]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        where = ["--base-url", self.engine.server.base_url, "--model", "behave/late:1"]
        words = ["batch", "tasks.jsonl", "--out", str(self.results), "-t", "long", *where]
        self.starts += 1
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "crp", *words, "--capability", "1"],
                cwd=self.engine.work,
                env=self.engine.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.engine.started.append(process)
        return process

    def over(self) -> bool:
        """Whether the batch has ended well; a client that is gone is started again."""
        code = self.process.poll()
        if code is None or code == 0:
            return code == 0
        if code > 0:
            self.gave_up.append(code)
        self.process = self._start()
        return False

    def living(self) -> dict[str, ProcessId]:
        """The parts that can be killed now."""
        state = read_state(self.engine.home)
        found = {name: state.children[name] for name in VICTIMS if name in state.children}
        if state.supervisor is not None:
            found["supervisor"] = state.supervisor
        with contextlib.suppress(NoSuchProcess):
            found["client"] = ProcessId.of(self.process.pid)
        return {name: one for name, one in found.items() if one.process() is not None}

    def words(self) -> str:
        return "".join(self.log.read_text().splitlines(keepends=True)[-20:])


def _template() -> str:
    first = ['  s1: "Say thing 1 about {{ task }}"']
    more = [
        f'  s{n}: "After {{{{ s{n - 1} }}}} say thing {n} about {{{{ task }}}}"'
        for n in range(2, STEPS + 1)
    ]
    head = "format: 1\ntemplate: long\nmatch: [long]\ncomplexity: 3\nprobe: no\nsteps:\n"
    return head + "\n".join([*first, *more]) + "\n"


@pytest.fixture(scope="module")
def server() -> Iterator[ClockedServer]:
    with ClockedServer(text=ANSWER) as serving:
        yield serving


class Killer:
    """Kills as the batch goes on: the last one comes when nine tenths of the answers are there."""

    def __init__(self, batch: Batch, server: ClockedServer) -> None:
        self.batch, self.server = batch, server
        self.chance = random.Random(SEED)
        self.deck = self._shuffled()
        self.kills: list[Kill] = []

    def run(self) -> None:
        calls = JOBS * STEPS
        for number in range(KILLS):
            self._until_answered(number * calls * 9 // (10 * KILLS))
            time.sleep(self.chance.uniform(0, 3))
            assert not self.batch.over(), f"the batch was done after {number} kills"
            self._kill_one()

    def _kill_one(self) -> None:
        """Kill a part that lives; each has its turn before any has another one."""
        while (victim := self._ready()) is None:
            assert not self.batch.over()
            time.sleep(0.05)
        name, process = victim
        with contextlib.suppress(NoSuchProcess):
            process.kill()
        self.kills.append(Kill(time.monotonic(), name))
        self.deck = [other for other in self.deck if other != name] or self._shuffled()

    def _ready(self) -> tuple[str, Process] | None:
        living = self.batch.living()
        for name in self.deck:
            if name in living and (process := living[name].process()):
                return name, process
        return None

    def _shuffled(self) -> list[str]:
        return self.chance.sample(VICTIMS, len(VICTIMS))

    def _until_answered(self, count: int) -> None:
        self._wait(lambda: len({prompt for _, prompt in self.server.answered}) >= count)

    def until_over(self) -> None:
        self._wait(self.batch.over)

    def _wait(self, come: Any) -> None:
        seen, since = len(self.server.answered), time.monotonic()
        while not come():
            self.batch.over()
            if len(self.server.answered) > seen:
                seen, since = len(self.server.answered), time.monotonic()
            assert time.monotonic() - since < STUCK, f"stuck: {self.batch.words()}"
            time.sleep(0.05)


def recorded(home: Path) -> Counter[str]:
    """How often each job's record was written into the journal of the trace store."""
    lines = [x for file in (home / "traces" / "journal").glob("*.jsonl") for x in file.open()]
    facts = [json.loads(line) for line in lines]
    return Counter(
        fact["body"]["record"]["job"]["job_id"] for fact in facts if fact["kind"] == "job"
    )


def test_a_batch_outlives_kills_at_random_moments(engine: Engine, server: ClockedServer) -> None:
    batch = Batch(engine)
    killer = Killer(batch, server)
    killer.run()
    killer.until_over()
    _tell(killer)

    assert server.asked_again(killer.kills) == []
    outcomes = [json.loads(line) for line in batch.results.read_text().splitlines()]
    assert sorted(o["id"] for o in outcomes) == batch.ids
    assert {(o["status"], o["answer"]) for o in outcomes} == {("completed", ANSWER)}
    jobs = engine.sql("select job_id, count(*) as n, min(status) as status from jobs group by 1")
    assert sorted(j["job_id"] for j in jobs) == sorted(o["job_id"] for o in outcomes)
    assert {(j["n"], j["status"]) for j in jobs} == {(1, "completed")}
    assert recorded(engine.home) == Counter(o["job_id"] for o in outcomes)
    steps = engine.sql("select count(*) as n, count(distinct job_id || step_id) as d from steps")
    assert steps == [{"n": JOBS * STEPS, "d": JOBS * STEPS}]
    assert asyncio.run(replay_home(engine.home)) == JOBS


def test_the_count_finds_what_was_asked_again_unless_its_asker_had_just_died() -> None:
    with ClockedServer() as server:
        server.asked = [(0.0, "a"), (0.1, "b"), (2.0, "a")]
        server.answered = [(1.0, "a"), (1.1, "b")]
        assert server.asked_again([Kill(5.0, "worker"), Kill(1.0, "temporal")]) == ["a"]
        assert server.asked_again([Kill(1.2, "worker")]) == []


def _tell(killer: Killer) -> None:
    """Say what happened: with -s, and when a test fails."""
    asked = [prompt for _, prompt in killer.server.asked]
    answered = [prompt for _, prompt in killer.server.answered]
    print(
        f"seed {SEED}: {len(killer.kills)} kills {dict(Counter(k.victim for k in killer.kills))}, "
        f"{JOBS} jobs, {JOBS * STEPS} prompts; asked {len(asked)} times, answered {len(answered)}; "
        f"asked again after an arrived answer: {len(killer.server.asked_again(killer.kills))}; "
        f"clients {killer.batch.starts}, that gave up by themselves {killer.batch.gave_up}"
    )
