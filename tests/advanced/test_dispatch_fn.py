"""Whatever a dispatch function does, a job ends with a result that says what happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crp.errors import ModelUnavailable, RateLimited
from tests.advanced.dispatching import CALM, CHAIN, Recorder, engine
from tests.workflows.jobs import ADVICE, TASK

Answer = tuple[str, dict[str, Any]]


def test_a_function_may_be_async() -> None:
    recorder = Recorder()

    async def dispatch(prompt: str, context: str) -> Answer:
        await asyncio.sleep(0)
        return recorder(prompt, context)

    with engine(dispatch) as made:
        assert made.solve(CHAIN).answer == ADVICE


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "None"),
        ("just a text", "output, metadata"),
        ((b"bytes", {}), "must be a str"),
        ((None, {}), "must be a str"),
        (("text", "no dict"), "must be a dict"),
        (("a", {}, "b"), "output, metadata"),
    ],
)
def test_what_is_no_answer_fails_the_job_with_the_reason(returned: Any, said: str) -> None:
    with engine(lambda prompt, context: returned) as made:
        result = made.solve(CALM)
        assert made.store.jobs()[0]["status"] == "failed"
    assert (result.status, result.answer) == ("failed", "")
    assert said in result.error


def test_a_function_that_can_not_be_called_so_is_told_apart_from_one_that_fails() -> None:
    with engine(lambda: ("x", {})) as made:
        assert "can not be called with (prompt, context)" in made.solve(CALM).error


def test_a_function_that_raises_fails_the_job_with_its_words() -> None:
    def broken(prompt: str, context: str) -> Answer:
        raise KeyError("no such model")

    with engine(broken) as made:
        result = made.solve(CALM)
    assert result.status == "failed"
    assert "KeyError" in result.error
    assert "no such model" in result.error


@pytest.mark.parametrize(
    "text", ["", " \n ", "\x00\x1b[31m\x07", "\ud800", "x" * 1_000_000, "word " * 200_000]
)
def test_a_useless_text_never_breaks_a_job(text: str) -> None:
    with engine(lambda prompt, context: (text, {})) as made:
        result = made.orchestrated_reasoning(TASK)
        assert made.store.jobs()[0]["status"] == result.job.status
    assert result.job.status in ("completed", "incomplete", "failed")
    assert result.job.error or result.job.notes
    assert not result.job.stored
    result.model_dump_json()


def test_metadata_that_is_no_json_does_no_harm() -> None:
    with engine(lambda prompt, context: (ADVICE, {"raw": object(), 5: {1, 2}})) as made:
        assert made.solve(CALM).answer == ADVICE


def test_tokens_that_the_function_counts_are_used() -> None:
    counted = {"prompt_tokens": 1000, "completion_tokens": 10}
    with engine(lambda prompt, context: (ADVICE, counted)) as made:
        usage = made.solve(CALM).usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 1000, 10)


@pytest.mark.parametrize("error", [ModelUnavailable("gone"), RateLimited("slow", 0.001)])
def test_a_call_that_did_not_answer_is_tried_again(error: Exception) -> None:
    calls = 0

    def flaky(prompt: str, context: str) -> Answer:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise error
        return ADVICE, {}

    with engine(flaky, more={"pauses": (0.001, 0.001)}) as made:
        result = made.solve(CALM)
        failed = made.store.sql("SELECT sum(transport_failures) FROM attempts").rows
    assert (result.answer, result.usage.calls, calls) == (ADVICE, 1, 3)
    assert [list(row) for row in failed] == [[2]]


def test_a_pause_that_is_too_long_fails_the_call_instead_of_hanging() -> None:
    calls = 0

    def limited(prompt: str, context: str) -> Answer:
        nonlocal calls
        calls += 1
        raise RateLimited("come back tomorrow", 86_400)

    with engine(limited, more={"pauses": (0.001,)}) as made:
        result = made.solve(CALM)
    assert (result.status, calls) == ("failed", 1)
    assert "tomorrow" in result.error
