"""Providers: whatever a server or a function does, the caller gets an answer or a clear error."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from functools import partial
from typing import Any

import pytest

from crp.errors import (
    ContextOverflow,
    CRPError,
    ModelRefused,
    ModelUnavailable,
    RateLimited,
)
from crp.models import Completion, Message
from crp_activities.providers import (
    CallableProvider,
    ModelRequest,
    OpenAIProvider,
    ScriptedModel,
)
from crp_activities.providers import reading as reading_module
from crp_activities.providers.base import clean
from crp_activities.providers.http_errors import LONGEST_PAUSE, retry_after
from tests.support.model_server import ModelServer

KEY = "sk-secret-0123456789abcdef"
PARIS = "Paris is the capital of France."


def request(text: str = "What is the capital of France?", **fields: Any) -> ModelRequest:
    return ModelRequest(messages=(Message(role="user", content=text),), model="m", **fields)


async def ask(server: ModelServer, asked: ModelRequest | None = None, key: str = "") -> Completion:
    provider = OpenAIProvider.at(server.base_url, key)
    try:
        return await provider.complete(asked or request(timeout=10))
    finally:
        await provider.aclose()


async def failing(server: ModelServer, asked: ModelRequest | None = None) -> CRPError:
    with pytest.raises(CRPError) as caught:
        await ask(server, asked, KEY)
    assert "\n" not in str(caught.value)
    assert KEY[:8] not in str(caught.value)
    return caught.value


# -- good answers ------------------------------------------------------------------------------


async def test_a_streamed_answer_comes_with_its_counts_and_progress() -> None:
    seen: list[int] = []
    with ModelServer() as server:
        completion = await ask(server, request(timeout=10, on_progress=seen.append))
    assert completion.text == PARIS
    assert (completion.finish_reason, completion.model) == ("stop", "hostile-1")
    assert (completion.prompt_tokens, completion.completion_tokens) == (6, 6)
    assert completion.time_to_first_token is not None
    assert seen == [1, 2, 3, 4]
    assert "tokens_estimated" not in completion.metadata


@pytest.mark.parametrize("behaviour", ["whole", "mislabelled"])
async def test_a_server_that_does_not_stream_as_asked_is_understood(behaviour: str) -> None:
    with ModelServer(behaviour) as server:
        completion = await ask(server)
    assert (completion.text, completion.completion_tokens) == (PARIS, 6)


async def test_the_request_carries_what_was_asked_for() -> None:
    schema = {"type": "object"}
    with ModelServer() as server:
        asked = request(
            timeout=10, max_tokens=7, temperature=0.3, schema=schema, repeat_penalty=1.1, seed=4
        )
        await ask(server, asked, KEY)
    body = server.requests[0]
    assert body["max_tokens"] == 7
    assert body["temperature"] == 0.3
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert (body["repeat_penalty"], body["seed"], body["model"]) == (1.1, 4, "m")
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_no_authorization_is_sent() -> None:
    with ModelServer() as server:
        await ask(server)
    assert "authorization" not in server.headers[0]


async def test_a_parameter_that_the_server_does_not_know_is_left_out_and_remembered() -> None:
    with ModelServer(default="picky:max_tokens") as server:
        provider = OpenAIProvider.at(server.base_url)
        first = await provider.complete(request(timeout=10, max_tokens=9))
        second = await provider.complete(request(timeout=10, max_tokens=9))
        await provider.aclose()
    assert (first.text, second.text) == (PARIS, PARIS)
    assert first.metadata["left_out"] == ["max_completion_tokens"]
    assert ["max_tokens" in body for body in server.requests] == [True, False, False]
    assert server.requests[1]["max_completion_tokens"] == 9


@pytest.mark.parametrize("behaviour", ["picky:response_format", "bad_schema"])
async def test_a_refused_schema_is_left_out_for_this_request_only(behaviour: str) -> None:
    with ModelServer(default=behaviour) as server:
        provider = OpenAIProvider.at(server.base_url)
        for _ in range(2):
            await provider.complete(request(timeout=10, schema={"type": "object"}))
        await provider.aclose()
    assert ["response_format" in b for b in server.requests] == [True, False, True, False]


async def test_a_value_out_of_range_is_an_error_and_not_silently_left_out() -> None:
    with ModelServer("status:400:temperature must be between 0 and 1") as server:
        error = await failing(server)
    assert isinstance(error, ModelRefused)
    assert server.calls == 1


async def test_a_thought_at_the_beginning_is_taken_off() -> None:
    with ModelServer("think") as server:
        completion = await ask(server)
    assert completion.text == PARIS
    assert completion.metadata["thinking"] == "France... its capital?"


async def test_three_megabytes_arrive_whole() -> None:
    with ModelServer("big:3000000") as server:
        completion = await ask(server)
    assert len(completion.text) == 3_000_000


async def test_an_endless_answer_is_cut_and_the_connection_dropped() -> None:
    with ModelServer("endless") as server:
        completion = await ask(server, request(timeout=30))
        assert await asyncio.to_thread(server.broken_off.wait, 10)
    assert completion.finish_reason == "length"
    assert len(completion.text) == reading_module.MOST_BYTES


async def test_control_characters_and_strange_line_ends_survive() -> None:
    with ModelServer("control") as server:
        completion = await ask(server)
    assert completion.text == "bell \x07, escape \x1b[31m, null \x00, line \u2028, tab \t."


async def test_half_a_surrogate_pair_can_be_written_down() -> None:
    with ModelServer("surrogate") as server:
        completion = clean(await ask(server))
    assert "half" in Completion.model_validate_json(completion.model_dump_json()).text


async def test_bytes_that_are_not_utf8_are_replaced() -> None:
    with ModelServer("not_utf8") as server:
        assert (await ask(server)).text == "caf\ufffd"


async def test_null_content_is_an_empty_answer() -> None:
    with ModelServer("null") as server:
        assert (await ask(server)).text == ""


async def test_a_cut_off_answer_says_so() -> None:
    with ModelServer("cut") as server:
        assert (await ask(server)).finish_reason == "length"


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": "many", "completion_tokens": 3},
        {"prompt_tokens": None},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 0, "completion_tokens": 0},
        ["no", "usage"],
        "none at all",
    ],
)
async def test_token_counts_that_make_no_sense_are_estimated(usage: object) -> None:
    with ModelServer("usage:" + json.dumps(usage).replace(":", ";")) as server:
        completion = await ask(server)
    assert completion.metadata["tokens_estimated"] is True
    assert (completion.prompt_tokens, completion.completion_tokens) == (8, 8)


async def test_cached_tokens_are_taken_only_when_they_can_be_true() -> None:
    usage = {"prompt_tokens": 6, "completion_tokens": 6, "prompt_tokens_details": {}}
    texts = []
    for cached in (4, 7, -1):
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
        texts.append("usage:" + json.dumps(usage).replace(":", ";"))
    with ModelServer(*texts) as server:
        assert [(await ask(server)).cached_tokens for _ in texts] == [4, 0, 0]


async def test_a_provider_works_in_one_event_loop_after_another() -> None:
    async def once(provider: OpenAIProvider) -> str:
        text = (await provider.complete(request(timeout=10))).text
        await provider.aclose()
        return text

    def in_a_loop(provider: OpenAIProvider) -> str:
        return asyncio.run(once(provider))

    with ModelServer() as server:
        provider = OpenAIProvider.at(server.base_url)
        texts = [await asyncio.to_thread(in_a_loop, provider) for _ in range(2)]
    assert texts == [PARIS, PARIS]


async def test_the_address_is_asked_for_at_each_call() -> None:
    with ModelServer(text="one") as first, ModelServer(text="two") as second:
        servers = iter([first, second])
        provider = OpenAIProvider(lambda: (next(servers).base_url, ""))
        texts = [(await provider.complete(request(timeout=10))).text for _ in range(2)]
        await provider.aclose()
    assert texts == ["one", "two"]


# -- no answers --------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        provider = OpenAIProvider.at(f"http://127.0.0.1:{port}/v1")
        with pytest.raises(ModelUnavailable) as caught:
            await provider.complete(request(timeout=10))
    assert str(caught.value) == (
        f"no model server answers at http://127.0.0.1:{port}/v1: Connection refused"
    )


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("hang", "did not answer within 0.3 s"),
        ("reset", "broke the connection before it answered"),
        ("half", "broke off in the middle"),
        ("torn", "broke the connection in the middle"),
        ("status:500:oh no", "answered 500: oh no"),
        ("status:503:Loading model", "answered 503: Loading model"),
        ("error_in_stream", "the GPU fell off the bus"),
        ("no_choices", "without choices"),
        ("body:<html>busy</html>", "is not JSON"),
        ("body:", "is not JSON"),
        ("body:[1, 2]", "not an answer"),
        ("body:null", "not an answer"),
    ],
)
async def test_what_may_go_away_is_worth_another_try(behaviour: str, words: str) -> None:
    with ModelServer(behaviour) as server:
        error = await failing(server, request(timeout=0.3 if behaviour == "hang" else 10))
    assert type(error) is ModelUnavailable
    assert words in str(error)
    assert server.base_url in str(error)
    assert server.calls == 1  # trying again is Temporal's


async def test_a_server_that_falls_silent_in_its_answer_is_noticed_before_the_call_is_over() -> (
    None
):
    with ModelServer("stall") as server:
        provider = OpenAIProvider(lambda: (server.base_url, ""), silence=0.2)
        with pytest.raises(ModelUnavailable, match=r"fell silent for 0\.2 s after 8 characters"):
            await provider.complete(request(timeout=20))
        await provider.aclose()


async def test_an_answer_that_takes_too_long_is_given_up_however_lively_it_is() -> None:
    with ModelServer("slow:0.2") as server, pytest.raises(ModelUnavailable, match="was not done"):
        await ask(server, request(timeout=0.5))


async def test_a_slow_answer_is_not_silence() -> None:
    with ModelServer("slow:0.15") as server:
        provider = OpenAIProvider(lambda: (server.base_url, ""), silence=5)
        assert (await provider.complete(request(timeout=30))).text == PARIS
        await provider.aclose()


@pytest.mark.parametrize(
    ("behaviour", "least", "most"),
    [("429:7", 7, 7), ("429:1.5", 1.5, 1.5), ("429date:30", 1, 30), ("status:503:busy:9", 9, 9)],
)
async def test_the_pause_that_a_server_asks_for_is_known(
    behaviour: str, least: float, most: float
) -> None:
    with ModelServer(behaviour) as server:
        error = await failing(server)
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert least <= error.retry_after <= most


async def test_a_429_without_a_pause_is_still_one() -> None:
    with ModelServer("429") as server:
        error = await failing(server)
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("-5", 0.0),
        ("1e400", LONGEST_PAUSE),
        ("999999999", LONGEST_PAUSE),
        (formatdate(1_000_000_060, usegmt=True), 60.0),
        (formatdate(999_999_000, usegmt=True), 0.0),
    ],
)
def test_a_pause_is_read_and_bounded(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=1_000_000_000) == seconds


@pytest.mark.parametrize(
    "behaviour", ["overflow:llama", "overflow:openai", "overflow:vllm", "overflow_in_stream"]
)
async def test_a_prompt_that_is_too_long_is_told_apart(behaviour: str) -> None:
    with ModelServer(behaviour) as server:
        error = await failing(server)
    assert type(error) is ContextOverflow
    assert server.calls == 1


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("status:401:wrong key", "answered 401: wrong key"),
        ("status:404:no such model", "answered 404: no such model"),
        ("status:400:bad request", "answered 400: bad request"),
        ("quota", "You exceeded your current quota."),
        ("redirect", "redirects to http://127.0.0.2:9/"),
        ("huge_body", "more than 8 MB"),
    ],
)
async def test_what_can_never_work_is_refused(behaviour: str, words: str) -> None:
    with ModelServer(behaviour) as server:
        error = await failing(server)
    assert type(error) is ModelRefused
    assert words in str(error)
    assert server.calls == 1


@pytest.mark.parametrize("padding", [0, 200, 255, 260, 265, 290])
async def test_a_key_that_the_server_repeats_is_taken_out_even_when_the_message_is_cut(
    padding: int,
) -> None:
    with ModelServer(f"echo_key:{padding}") as server:
        error = await failing(server)
    assert isinstance(error, ModelRefused)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel-für-alles"])
async def test_a_key_that_no_header_can_carry_is_named_without_being_shown(key: str) -> None:
    with pytest.raises(ModelRefused, match="no HTTP header") as caught:
        await OpenAIProvider.at("http://127.0.0.1:9/v1", key).complete(request())
    assert key not in str(caught.value)


@pytest.mark.parametrize("base_url", ["", "localhost:8080", "ftp://a/b", "http://", "http://[::1"])
async def test_an_address_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ModelRefused, match="is not an http:// or https:// address"):
        await OpenAIProvider.at(base_url).complete(request())


async def test_a_password_in_the_address_is_not_shown() -> None:
    with ModelServer("status:404") as server:
        address = server.base_url.replace("http://", "http://me:hunter2@")
        provider = OpenAIProvider.at(address)
        with pytest.raises(ModelRefused) as caught:
            await provider.complete(request(timeout=10))
        await provider.aclose()
    assert "hunter2" not in str(caught.value)


async def test_a_cancelled_call_hangs_up() -> None:
    with ModelServer("stall") as server:
        started = asyncio.Event()
        asked = request(timeout=60, on_progress=lambda _: started.set())
        task = asyncio.create_task(ask(server, asked))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.broken_off.wait, 10)


# -- functions ---------------------------------------------------------------------------------

TURNS = (
    Message(role="system", content="Be brief."),
    Message(role="system", content="Facts."),
    Message(role="user", content="Why?"),
)


async def test_a_function_gets_the_system_texts_as_context_and_the_rest_as_prompt() -> None:
    seen: list[tuple[str, str]] = []

    def dispatch_fn(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        seen.append((prompt, context))
        return "Because.", {"prompt_tokens": 11, "completion_tokens": 2, "model": "mine", "x": {1}}

    completion = clean(await CallableProvider(dispatch_fn).complete(ModelRequest(messages=TURNS)))
    assert seen == [("Why?", "Be brief.\n\nFacts.")]
    assert (completion.text, completion.model) == ("Because.", "mine")
    assert (completion.prompt_tokens, completion.completion_tokens) == (11, 2)
    assert completion.metadata["x"] == [1]


async def test_several_turns_are_headed_by_their_roles() -> None:
    turns = (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    )
    provider = CallableProvider(lambda prompt, context: (prompt, {}))
    completion = await provider.complete(ModelRequest(messages=turns))
    assert completion.text == "User: a\n\nAssistant: b\n\nUser: c"


class _AsyncObject:
    async def __call__(self, prompt: str, context: str) -> tuple[str, None]:
        await asyncio.sleep(0)
        return "async object", None


async def _async_function(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
    await asyncio.sleep(0)
    return "async function", {}


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (_async_function, "async function"),
        (_AsyncObject(), "async object"),
        (lambda prompt, context: _async_function(prompt, context), "async function"),
    ],
)
async def test_async_functions_of_every_kind_are_awaited(function: Any, text: str) -> None:
    assert (await CallableProvider(function).complete(request())).text == text


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "it returned None"),
        ("just text", "it returned str 'just text'"),
        ((b"bytes", {}), "must be a str, it is bytes b'bytes'"),
        (("text", "meta"), "metadata of <lambda> must be a dict, it is str 'meta'"),
        (("a", {}, 1), "it returned tuple"),
        ((None, {}), "must be a str, it is None"),
    ],
)
async def test_what_a_function_must_not_return_is_named(result: Any, words: str) -> None:
    with pytest.raises(ModelRefused) as caught:
        await CallableProvider(lambda prompt, context: result).complete(request())
    assert words in str(caught.value)


async def test_an_exception_of_the_function_is_worth_another_try() -> None:
    def dispatch_fn(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        raise TypeError("inside")

    with pytest.raises(ModelUnavailable, match="dispatch_fn raised TypeError: inside"):
        await CallableProvider(dispatch_fn).complete(request())


async def test_a_function_with_the_wrong_signature_is_refused_before_it_is_called() -> None:
    with pytest.raises(ModelRefused, match=r"can not be called with \(prompt, context\)"):
        await CallableProvider(lambda prompt: ("never", {})).complete(request())  # type: ignore[misc,arg-type]


async def test_a_function_may_ask_for_a_pause_itself() -> None:
    def dispatch_fn(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        raise RateLimited("later", 3)

    with pytest.raises(RateLimited, match="later"):
        await CallableProvider(dispatch_fn).complete(request())


async def test_a_function_that_hangs_does_not_hold_up_the_event_loop() -> None:
    def dispatch_fn(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        time.sleep(2)
        return "late", {}

    with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.05 s"):
        await CallableProvider(dispatch_fn).complete(request(timeout=0.05))


def _with_metadata(metadata: object, prompt: str, context: str) -> tuple[str, object]:
    return "text", metadata


async def test_metadata_of_every_kind_can_be_written_down() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    for metadata in ({1: object(), "nan": float("nan"), "\ud800": "\ud800", "b": b"\xff"}, loop):
        provider = CallableProvider(partial(_with_metadata, metadata))
        completion = clean(await provider.complete(request()))
        assert Completion.model_validate_json(completion.model_dump_json()).text == "text"


# -- scripts -----------------------------------------------------------------------------------


async def test_a_list_is_answered_in_order_and_fails_loudly_at_its_end() -> None:
    model = ScriptedModel(["one", Completion(text="two"), ModelUnavailable("three")])
    assert (await model.complete(request())).text == "one"
    assert (await model.complete(request())).text == "two"
    with pytest.raises(ModelUnavailable, match="three"):
        await model.complete(request())
    with pytest.raises(ModelRefused, match="3 answers, and was asked once more: 'What is the"):
        await model.complete(request())
    assert model.calls == 4


async def test_a_mapping_is_answered_by_what_the_prompt_contains() -> None:
    model = ScriptedModel({"France": "Paris", "Italy": ["Rome", "Roma"]})
    assert (await model.complete(request("France?"))).text == "Paris"
    assert [(await model.complete(request("Italy?"))).text for _ in range(2)] == ["Rome", "Roma"]
    for text in ("Italy?", "Spain?"):
        with pytest.raises(ModelRefused, match="script has"):
            await model.complete(request(text))


async def test_a_function_sees_the_whole_request() -> None:
    model = ScriptedModel(lambda asked: f"at {asked.temperature}")
    assert (await model.complete(request(temperature=0.5))).text == "at 0.5"


def test_the_hash_of_a_request_knows_what_decides_the_answer_and_nothing_else() -> None:
    one = request()
    assert dataclasses.replace(one, timeout=1, on_progress=print).sha256 == one.sha256
    others: list[dict[str, Any]] = [
        {"max_tokens": 1},
        {"temperature": 1.0},
        {"schema": {}},
        {"model": "n"},
        {"seed": 1},
    ]
    assert len({dataclasses.replace(one, **o).sha256 for o in others} | {one.sha256}) == 6


async def _bytes(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_stream_may_be_split_anywhere_and_end_its_lines_as_it_likes() -> None:
    event = 'data: {"choices": [{"delta": {"content": "é"}, "finish_reason": "stop"}]}\r\n\r\n'
    whole = event.encode()
    for at in range(len(whole)):
        answer = reading_module.Answer("here")
        await reading_module.read_stream(_bytes(whole[:at], whole[at:]), answer)
        assert answer.completion("").text == "é"


async def test_a_line_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MOST_BYTES", 1000)
    with pytest.raises(ModelUnavailable, match="a line of more than"):
        await reading_module.read_stream(_bytes(*[b"x" * 100] * 20), reading_module.Answer("here"))


@pytest.mark.parametrize(
    ("text", "cut", "rest", "thought"),
    [
        ("<think>a</think> b", False, "b", "a"),
        ("  <think>a</think>b", False, "b", "a"),
        ("<think></think>b", False, "b", ""),
        ("<think>a never ends", True, "", "a never ends"),
        ("<think>a never ends", False, "<think>a never ends", ""),
        ("b <think>a</think>", False, "b <think>a</think>", ""),
    ],
)
def test_thoughts_are_split_off_at_the_beginning_only(
    text: str, cut: bool, rest: str, thought: str
) -> None:
    assert reading_module.without_thoughts(text, cut=cut) == (rest, thought)
