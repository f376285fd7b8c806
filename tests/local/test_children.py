"""How one child is kept: started again, given up, ended."""

import asyncio
import os
import signal
import sys

import pytest

from crp.errors import EngineError
from crp.local.children import QUICK_DEATHS, Child, Keeper


@pytest.fixture
def keeper(tmp_path):
    def make(source: str, **options) -> Keeper:
        child = Child("child", (sys.executable, "-c", source), **options)
        return Keeper(child, tmp_path / "child.log", dict(os.environ), lambda: None)

    return make


async def test_a_child_that_ignores_the_request_to_end_is_killed(keeper, until, tmp_path):
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(600)"
    )
    kept = keeper(stubborn, stop_within=0.2)
    task = asyncio.create_task(kept.keep())
    await until(lambda: "deaf" in kept.last_words() if kept.pid else False)
    await kept.stop()
    await task
    assert kept.pid is None
    assert kept.process.returncode == -signal.SIGKILL


async def test_a_child_that_ends_by_itself_is_started_again(keeper, until):
    kept = keeper("import time; time.sleep(600)")
    task = asyncio.create_task(kept.keep())
    first = await until(lambda: kept.pid)
    os.kill(first, signal.SIGKILL)
    await until(lambda: kept.pid not in (None, first))
    assert kept.starts == 2
    await kept.stop()
    await task


async def test_a_child_that_always_dies_at_once_is_given_up_with_its_last_words(
    keeper, tmp_path, monkeypatch
):
    monkeypatch.setattr("crp.local.children.BACK_OFF", (0.0, 0.0, 0.0))
    kept = keeper("import sys; print('one'); sys.exit('the last words')")
    with pytest.raises(EngineError, match=r"child ended .*exit code 1\): the last words") as caught:
        await kept.keep()
    assert str(tmp_path / "child.log") in str(caught.value)
    assert kept.starts == QUICK_DEATHS


async def test_a_death_that_is_understood_is_not_tried_again(keeper):
    kept = keeper("print('disk is full')", explain=lambda log: "full" if "disk" in log else None)
    with pytest.raises(EngineError, match=r"^full$"):
        await kept.keep()
    assert kept.starts == 1


async def test_only_what_the_last_start_wrote_counts_as_last_words(keeper, tmp_path):
    (tmp_path / "child.log").write_text("disk is full, a week ago\n")
    kept = keeper("print('hello')", explain=lambda log: log.strip())
    with pytest.raises(EngineError, match=r"^hello$"):
        await kept.keep()


async def test_a_child_that_is_never_ready_is_given_up(keeper):
    async def never() -> bool:
        return False

    kept = keeper("import time; print('busy'); time.sleep(600)", ready=never, ready_within=0.3)
    with pytest.raises(EngineError, match=r"child was not ready after 0\.3 s"):
        await kept.keep()
    await kept.stop()
    assert kept.pid is None


async def test_a_stop_during_the_pause_before_a_new_start_does_not_start_it(keeper, until):
    kept = keeper("import sys; sys.exit(1)")
    task = asyncio.create_task(kept.keep())
    await until(lambda: kept.starts == 1 and kept.process and kept.process.returncode is not None)
    await kept.stop()
    await task
    assert kept.pid is None
