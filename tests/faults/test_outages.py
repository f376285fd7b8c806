"""The server is away while models answer: every call is made once, and every answer is used."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest

from crp.local.state import read_state
from tests.faults.conftest import ANSWER, Engine, until
from tests.support.model_server import prompt_of

pytestmark = pytest.mark.slow

AWAY = 30.0
"""Seconds: the SDK gives up to report a finished activity after about ten."""


def test_answers_that_come_while_the_server_is_away_are_not_paid_for_again(engine: Engine) -> None:
    task = "the chain whose server is away"
    asking = engine.ask(task, "late:4")
    until(asking, "second: running")
    found = read_state(engine.home).children["temporal"]
    assert found is not None
    os.kill(found.pid, signal.SIGSTOP)
    stopped = time.time()
    try:
        time.sleep(AWAY)
    finally:
        os.kill(found.pid, signal.SIGCONT)
    out, err = asking.communicate(timeout=180)
    assert asking.returncode == 0, err
    assert out.strip() == ANSWER
    asked = Counter(p for p in map(prompt_of, engine.server.requests) if task in p)
    assert len(asked) == 4
    assert set(asked.values()) == {1}
    assert time.time() - stopped >= AWAY
