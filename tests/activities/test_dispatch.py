"""Dispatch: one answer is paid for once, whoever asks again and whoever was killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from crp.config import ModelSettings, Settings
from crp.errors import ConfigError, EngineError, ModelRefused, ModelUnavailable, RateLimited
from crp.failures import from_failure
from crp.models import Completion, Message, ModelProfile
from crp_activities import dispatch as dispatch_module
from crp_activities.answers import AnswerJournal, AnswerKey
from crp_activities.dispatch import Dispatched, Models, dispatch
from crp_activities.failures import FailureInterceptor
from crp_activities.providers import ModelRequest, OpenAIProvider, ScriptedModel
from crp_activities.providers.keys import key_for
from tests.support.model_server import ModelServer, logged_calls

ROOT = Path(__file__).parent.parent.parent
PATHS = os.pathsep.join(str(ROOT / name) for name in (".", "activities", "analytics", "workflows"))
REQUEST = ModelRequest(messages=(Message(role="user", content="The capital?"),), timeout=30)


def key(number: int = 1, job: str = "job") -> AnswerKey:
    return AnswerJournal.key(job, "execute", "table", None, number, REQUEST.sha256)


@pytest.fixture
def answers(tmp_path: Path) -> AnswerJournal:
    return AnswerJournal(tmp_path / "answers")


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    return lambda **models: Settings(home=tmp_path, models=models)


def over_http(server: ModelServer, **fields: Any) -> ModelProfile:
    return ModelProfile(base_url=server.base_url, name="m", **fields)


# -- once ----------------------------------------------------------------------------------------


async def test_the_same_question_is_paid_for_once(answers: AnswerJournal) -> None:
    model = ScriptedModel(["Paris"])
    models, profile = Models.of({"default": model}), ModelProfile()
    first = await dispatch(models, answers, profile, REQUEST, key())
    again = await dispatch(models, AnswerJournal(answers.directory), profile, REQUEST, key())
    assert (first.completion.text, first.replayed, first.failures) == ("Paris", False, ())
    assert again == first._replace(replayed=True)
    assert model.calls == 1


async def test_another_attempt_is_another_question(answers: AnswerJournal) -> None:
    model = ScriptedModel(["one", "two"])
    models = Models.of({"default": model})
    texts = [
        (await dispatch(models, answers, ModelProfile(), REQUEST, key(n))).completion.text
        for n in (1, 2)
    ]
    assert texts == ["one", "two"]


async def test_failures_are_journaled_and_handed_over_with_the_answer(
    answers: AnswerJournal,
) -> None:
    with ModelServer("status:500:oh", "429:2", "ok") as server:
        models = Models()
        caught = []
        for _ in range(2):
            with pytest.raises((ModelUnavailable, RateLimited)) as error:
                await dispatch(models, answers, over_http(server), REQUEST, key())
            caught.append(error.value)
        result = await dispatch(models, answers, over_http(server), REQUEST, key())
        await models.aclose()
    assert [failure.kind for failure in result.failures] == ["ModelUnavailable", "RateLimited"]
    assert result.failures[1].retry_after == 2
    assert "answered 500: oh" in result.failures[0].message
    assert caught[1].transport == result.failures
    assert not result.replayed


async def test_whatever_a_provider_gives_can_be_stored(answers: AnswerJournal) -> None:
    hostile = Completion.model_construct(
        text="half \ud83d", finish_reason="a\nb" * 100, metadata={"x": object(), "n": {1: b"\xff"}}
    )
    models = Models.of({"default": ScriptedModel([hostile])})
    first = await dispatch(models, answers, ModelProfile(), REQUEST, key())
    again = await dispatch(models, answers, ModelProfile(), REQUEST, key())
    assert again.completion == first.completion
    assert "\n" not in first.completion.finish_reason


CHILD = """
import asyncio, sys
from pathlib import Path
from crp.models import ModelProfile
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models, dispatch
from tests.activities.test_dispatch import REQUEST, key

async def main(base_url, directory):
    profile = ModelProfile(base_url=base_url, name="m")
    for number in range(1, 10**6):
        await dispatch(Models(), AnswerJournal(Path(directory)), profile, REQUEST, key(number))
        print(number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def test_after_kill_9_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    log, directory = tmp_path / "calls.jsonl", tmp_path / "answers"
    env = {**os.environ, "PYTHONPATH": PATHS}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.model_server", "--until-eof", "--log", str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        worker = subprocess.Popen(
            [sys.executable, "-c", CHILD, base_url, str(directory)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=env,
        )
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(3)]
        worker.send_signal(signal.SIGKILL)
        lines += list(worker.stdout)
        worker.wait()
        worker.stdout.close()
        done = len([line for line in lines if line.endswith("\n")])
        asked = len(logged_calls(log))
        assert done >= 3

        journal, profile = AnswerJournal(directory), ModelProfile(base_url=base_url, name="m")

        async def again() -> list[bool]:
            return [
                (await dispatch(Models(), journal, profile, REQUEST, key(number))).replayed
                for number in range(1, done + 1)
            ]

        replayed = asyncio.run(again())
    finally:
        server.kill()
        server.communicate()
    assert all(replayed)
    assert len(logged_calls(log)) == asked
    assert asked <= done + 1  # at most the one that was under way


# -- slots and waiting -----------------------------------------------------------------------------


class Gate:
    """A provider whose answers wait for the test, and that counts how many are under way."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0
        self.most = 0

    async def complete(self, request: ModelRequest) -> Completion:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        return Completion(text="through")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(0.01)


async def test_no_more_calls_are_under_way_than_the_profile_allows(answers: AnswerJournal) -> None:
    gate = Gate()
    models, profile = Models.of({"default": gate}), ModelProfile(concurrency=3)
    tasks = [
        asyncio.create_task(dispatch(models, answers, profile, REQUEST, key(n))) for n in range(10)
    ]
    await until(lambda: gate.running == 3 and models.wait("default") > 0)
    assert models.wait("another") == 0
    gate.go.set()
    results = await asyncio.gather(*tasks)
    assert {result.completion.text for result in results} == {"through"}
    assert gate.most == 3


async def test_a_cancelled_waiter_leaves_no_slot_behind_and_no_wait(answers: AnswerJournal) -> None:
    gate = Gate()
    models, profile = Models.of({"default": gate}), ModelProfile(concurrency=1)
    first = asyncio.create_task(dispatch(models, answers, profile, REQUEST, key(1)))
    await until(lambda: gate.running == 1)
    second = asyncio.create_task(dispatch(models, answers, profile, REQUEST, key(2)))
    await until(lambda: models.wait() > 0.05)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.go.set()
    await first
    third = await dispatch(models, answers, profile, REQUEST, key(3))
    assert third.completion.text == "through"


async def test_the_slots_of_the_settings_win_over_those_of_a_job(
    answers: AnswerJournal, settings: Callable[..., Settings]
) -> None:
    with ModelServer(default="late:0.1") as server:
        own = ModelSettings(base_url=server.base_url + "/", concurrency=2)
        models = Models(settings(default=own))
        profile = over_http(server, concurrency=50)
        await asyncio.gather(
            *(dispatch(models, answers, profile, REQUEST, key(n)) for n in range(6))
        )
        await models.aclose()
    assert server.most_running == 2


def test_models_work_in_one_event_loop_after_another(tmp_path: Path) -> None:
    with ModelServer() as server:
        models, profile = Models(), over_http(server, concurrency=1)
        journal = AnswerJournal(tmp_path)

        async def several(start: int) -> list[Dispatched]:
            results = await asyncio.gather(
                *(dispatch(models, journal, profile, REQUEST, key(start + n)) for n in range(3))
            )
            await models.aclose()
            return results

        asyncio.run(several(0))
        asyncio.run(several(10))
    assert server.calls == 6


# -- heartbeats and cancellation -------------------------------------------------------------------


async def test_heartbeats_tell_the_progress_while_the_model_writes(
    answers: AnswerJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch_module, "HEARTBEAT_SECONDS", 0.02)
    beats: list[dict[str, Any]] = []
    with ModelServer("slow:0.2") as server:
        models = Models()
        await dispatch(models, answers, over_http(server), REQUEST, key(), beats.append)
        await models.aclose()
    tokens = [beat["tokens"] for beat in beats]
    assert tokens[0] < tokens[-1]
    assert tokens == sorted(tokens)
    assert tokens[-1] >= 3
    seen = len(beats)
    await asyncio.sleep(0.1)
    assert len(beats) == seen  # it ends with the call


async def test_an_answer_that_comes_at_once_needs_no_heartbeat(answers: AnswerJournal) -> None:
    """Each is a write of the server: of a hundred quick calls, a hundred."""
    beats: list[dict[str, Any]] = []
    with ModelServer("ok") as server:
        models = Models()
        await dispatch(models, answers, over_http(server), REQUEST, key(), beats.append)
        await models.aclose()
    assert beats == []


async def test_a_heartbeat_that_can_not_be_sent_does_not_cost_the_answer(
    answers: AnswerJournal,
) -> None:
    def broken(_: dict[str, Any]) -> None:
        raise RuntimeError("no activity")

    models = Models.of({"default": ScriptedModel(["Paris"])})
    result = await dispatch(models, answers, ModelProfile(), REQUEST, key(), broken)
    assert result.completion.text == "Paris"


async def test_a_caller_that_gives_up_hangs_up(answers: AnswerJournal) -> None:
    with ModelServer("stall") as server:
        models = Models()
        task = asyncio.create_task(dispatch(models, answers, over_http(server), REQUEST, key()))
        await until(lambda: server.calls == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.broken_off.wait, 10)
        await models.aclose()


# -- which model, which key ------------------------------------------------------------------------


async def test_json_schemas_are_sent_only_to_models_that_can(answers: AnswerJournal) -> None:
    asked = ModelRequest(messages=REQUEST.messages, schema={"type": "object"})
    with ModelServer() as server:
        models = Models()
        for number, structured in enumerate((True, False)):
            profile = over_http(server, structured=structured)
            await dispatch(models, answers, profile, asked, key(number))
        await models.aclose()
    assert ["response_format" in body for body in server.requests] == [True, False]


async def test_the_embedded_server_is_found_where_it_is_at_the_moment(
    answers: AnswerJournal,
) -> None:
    profile = ModelProfile(provider="embedded", name="smollm")
    with ModelServer(text="before") as before, ModelServer(text="after") as after:
        now = [before]
        models = Models(embedded=lambda: (now[0].base_url, "the-key"))
        first = await dispatch(models, answers, profile, REQUEST, key(1))
        now[0] = after
        second = await dispatch(models, answers, profile, REQUEST, key(2))
        await models.aclose()
    assert (first.completion.text, second.completion.text) == ("before", "after")
    assert after.headers[0]["authorization"] == "Bearer the-key"


@pytest.mark.parametrize(
    ("profile", "error", "words"),
    [
        (ModelProfile(provider="embedded"), EngineError, "no embedded model runs here"),
        (ModelProfile(provider="openai"), ConfigError, "has no base_url"),
        (ModelProfile(provider="callable"), ConfigError, "only the process that holds it"),
    ],
)
def test_a_model_that_is_not_here_is_named(
    profile: ModelProfile, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Models().provider(profile)


def test_a_ready_provider_answers_for_its_alias_and_the_default_for_all_others() -> None:
    one, other = ScriptedModel([]), ScriptedModel([])
    models = Models.of({"default": one, "big": other})
    assert models.provider(ModelProfile(alias="big")) is other
    assert models.provider(ModelProfile(alias="unknown")) is one


OPENAI = "https://api.openai.com/v1"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.setenv("MY_KEY", " of-mine\n")
    monkeypatch.delenv("NOT_THERE", raising=False)
    file = tmp_path / "key"
    file.write_text("of-file\n")
    return file


@pytest.mark.parametrize(
    ("alias", "base_url", "expected"),
    [
        ("default", "http://one/v1", "of-mine"),
        ("job-alias", "HTTP://ONE/v1/", "of-mine"),
        ("default", "http://two/v1", "of-file"),
        ("default", "http://evil/v1", ""),
        ("default", "http://one/v1/../evil", ""),
        ("default", "http://one:81/v1", ""),
        ("default", "http://me@one/v1", ""),
        ("default", "https://one/v1", ""),
        ("default", OPENAI, "of-openai"),
        ("default", "http://api.openai.com/v1", ""),
        ("default", "https://api.openai.com.evil/v1", ""),
        ("default", "https://api.openai.com@evil/v1", ""),
        ("default", "http://[::1", ""),
        ("default", "", ""),
    ],
)
def test_a_key_goes_only_to_the_server_that_it_was_set_for(
    secrets: Path, settings: Callable[..., Settings], alias: str, base_url: str, expected: str
) -> None:
    known = settings(
        default=ModelSettings(base_url="http://one/v1", api_key_env="MY_KEY"),
        other=ModelSettings(base_url="http://two/v1", api_key_file=str(secrets)),
        unset=ModelSettings(),
    )
    assert key_for(ModelProfile(alias=alias, base_url=base_url), known) == expected


def test_two_aliases_at_one_server_keep_their_own_keys(
    secrets: Path, settings: Callable[..., Settings]
) -> None:
    known = settings(
        one=ModelSettings(base_url="http://s/v1", api_key_env="MY_KEY"),
        two=ModelSettings(base_url="http://s/v1", api_key_file=str(secrets)),
    )
    keys = [key_for(ModelProfile(alias=a, base_url="http://s/v1"), known) for a in ("one", "two")]
    assert keys == ["of-mine", "of-file"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"api_key_env": "NOT_THERE"}, "the environment variable 'NOT_THERE' is not set"),
        ({"api_key_file": "/not/there"}, "can not read '/not/there': No such file"),
    ],
)
async def test_a_key_that_is_not_where_the_settings_say_is_a_clear_error(
    settings: Callable[..., Settings], answers: AnswerJournal, field: dict[str, Any], words: str
) -> None:
    known = settings(default=ModelSettings(base_url="http://127.0.0.1:9/v1", **field))
    profile = ModelProfile(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match=words):
        await dispatch(Models(known), answers, profile, REQUEST, key())


# -- in Temporal -----------------------------------------------------------------------------------


@workflow.defn(sandboxed=False)
class Asks:
    @workflow.run
    async def run(self, job: str) -> str:
        answer: str = await workflow.execute_activity(
            "ask",
            job,
            result_type=str,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=2),
            cancellation_type=workflow.ActivityCancellationType[
                "TRY_CANCEL" if job == "ends-at-once" else "WAIT_CANCELLATION_COMPLETED"
            ],
        )
        return answer


@pytest.fixture
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    beside = str(Path(sys.executable).parent)
    path = shutil.which("temporal", path=beside) or shutil.which("temporal")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=path) as environment:
        yield environment


def asking(models: Models, answers: AnswerJournal, profile: ModelProfile) -> Callable[..., Any]:
    @activity.defn(name="ask")
    async def ask(job: str) -> str:
        result = await dispatch(models, answers, profile, REQUEST, key(job=job), activity.heartbeat)
        return f"{result.completion.text} {result.replayed}"

    return ask


def worker(temporal: WorkflowEnvironment, *activities: Any, **options: Any) -> Worker:
    return Worker(
        temporal.client,
        task_queue="q",
        workflows=[Asks],
        activities=activities,
        interceptors=[FailureInterceptor()],
        max_heartbeat_throttle_interval=timedelta(seconds=0.5),
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize("job", ["waits-for-the-activity", "ends-at-once"])
async def test_cancelling_a_job_hangs_up_on_its_model(
    job: str,
    temporal: WorkflowEnvironment,
    answers: AnswerJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch_module, "HEARTBEAT_SECONDS", 0.2)
    models = Models()
    with ModelServer("stall") as server:
        async with worker(temporal, asking(models, answers, over_http(server))):
            handle = await temporal.client.start_workflow(
                Asks.run, job, id=str(uuid.uuid4()), task_queue="q"
            )
            await until(lambda: server.calls == 1)
            await handle.cancel()
            with pytest.raises(WorkflowFailureError):
                await handle.result()
            assert await asyncio.to_thread(server.broken_off.wait, 10)
    assert server.calls == 1
    await models.aclose()


@pytest.mark.slow
async def test_an_answer_that_comes_after_the_worker_was_told_to_stop_is_kept(
    temporal: WorkflowEnvironment, answers: AnswerJournal
) -> None:
    gate = Gate()
    models = Models.of({"default": gate})
    asks = asking(models, answers, ModelProfile())
    handle = await temporal.client.start_workflow(
        Asks.run, "stopped", id=str(uuid.uuid4()), task_queue="q"
    )
    async with worker(temporal, asks):
        await until(lambda: gate.running == 1)
    # The worker is gone, its activity was cancelled; the call is still under way.
    assert gate.running == 1
    gate.go.set()
    await answers.drain(grace=10)
    async with worker(temporal, asks):
        assert await handle.result() == "through True"
    assert gate.most == 1


@pytest.mark.slow
async def test_a_retry_honours_the_pause_and_a_refusal_is_not_tried_again(
    temporal: WorkflowEnvironment, answers: AnswerJournal
) -> None:
    models = Models()
    with ModelServer("429:0.1", "status:401:wrong key") as server:
        async with worker(temporal, asking(models, answers, over_http(server))):
            with pytest.raises(WorkflowFailureError) as caught:
                await temporal.client.execute_workflow(
                    Asks.run, "refused", id=str(uuid.uuid4()), task_queue="q"
                )
    error = from_failure(caught.value)
    assert isinstance(error, ModelRefused)
    assert "answered 401: wrong key" in str(error)
    assert [failure.kind for failure in error.transport] == ["RateLimited", "ModelRefused"]
    assert server.calls == 2
    await models.aclose()


def test_a_provider_is_made_once_for_each_server() -> None:
    models = Models()
    one = ModelProfile(base_url="http://one/v1")
    assert models.provider(one) is models.provider(one.model_copy())
    assert models.provider(one) is not models.provider(ModelProfile(base_url="http://two/v1"))
    assert isinstance(models.provider(one), OpenAIProvider)
