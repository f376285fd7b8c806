"""A model behind an OpenAI-compatible server: llama.cpp, vLLM, Ollama, OpenAI and their like.

Touches the network: one POST to `{base_url}/chat/completions`, over connections that are kept.
Nothing is tried again here, Temporal does that; the one exception is a parameter that the server
does not know, which is left out at once (the server refused before any work was done).

Answers are streamed so that progress is known and a server that hangs is noticed. Redirects are
not followed: the key would go along.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from crp.errors import ModelError, ModelRefused, ModelUnavailable
from crp.models import Completion
from crp_activities.providers import redaction
from crp_activities.providers.base import ModelRequest, PerLoop, one_line, whole_text
from crp_activities.providers.http_errors import error_for, is_overflow
from crp_activities.providers.reading import Answer, parse, read_body, read_stream

CONNECT_SECONDS = 10.0
_UNKNOWN = re.compile(
    r"unsupported|not support|unknown|unrecogni|unexpected|not permitted|not allowed", re.IGNORECASE
)

_SCHEMA = re.compile(r"response_format|json.?schema|grammar|structured output", re.IGNORECASE)
"""llama.cpp names the schema or the grammar made from it, not the parameter."""

SILENCE_SECONDS = 120.0
"""Longest pause inside an answer; before its first word only the call's own limit counts, since
reading a long prompt takes a small machine minutes."""


class Endpoint(NamedTuple):
    """Where to send a request. Asked for at each call: a restarted server has another port."""

    base_url: str
    """Up to and without `/chat/completions`."""
    key: str = ""


class OpenAIProvider:
    """Answer by asking an OpenAI-compatible server."""

    def __init__(
        self, endpoint: Callable[[], tuple[str, str]], silence: float = SILENCE_SECONDS
    ) -> None:
        self._endpoint = endpoint
        self._silence = silence
        self._clients = PerLoop(_Clients)
        self._unknown: dict[str, set[str]] = {}

    @classmethod
    def at(cls, base_url: str, key: str = "") -> OpenAIProvider:
        """Make a provider for a fixed address."""
        return cls(lambda: Endpoint(base_url, key))

    async def complete(self, request: ModelRequest) -> Completion:
        """Ask once.

        Raises ModelUnavailable (time-out, connection, 5xx, half an answer), RateLimited,
        ContextOverflow or ModelRefused, each with one line that names the server. The key is in
        none of them, and not in the answer.
        """
        endpoint = _checked(Endpoint(*self._endpoint()))
        try:
            completion = await self._complete(request, endpoint)
        except ModelError as error:
            error.args = (redaction.from_error(str(error), endpoint.key), *error.args[1:])
            raise error from None
        return redaction.from_answer(completion, endpoint.key)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        clients = self._clients.pop()
        if clients is not None:
            await clients.aclose()

    async def _complete(self, request: ModelRequest, endpoint: Endpoint) -> Completion:
        unknown = self._unknown.setdefault(request.model, set())
        left_out = sorted(unknown)
        while True:
            body = _body(request)
            for name in left_out:
                body = LEAVE_OUT[name](body)
            try:
                completion = await self._ask(request, endpoint, body)
            except _Refused as refused:
                complaint = refused.names(body)
                if complaint is None:
                    raise refused.error from None
                left_out.append(complaint)
                continue
            # Not response_format: it may have been this one schema.
            unknown.update(name for name in left_out if name != "response_format")
            return _noting(completion, left_out)

    async def _ask(
        self, request: ModelRequest, endpoint: Endpoint, body: dict[str, Any]
    ) -> Completion:
        where = _shown(endpoint.base_url)
        answer = Answer(where, request.on_progress, request.on_text)
        clock = asyncio.timeout(request.timeout)
        try:
            async with clock, self._post(endpoint, body) as response:
                await self._read(response, answer, clock)
        except TimeoutError:
            raise ModelUnavailable(_silent(answer, request.timeout, self._silence)) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
            raise ModelRefused(f"{where} can not be asked: {one_line(str(error))}") from None
        except (httpx.HTTPError, OSError) as error:
            raise ModelUnavailable(_broken(where, answer, error)) from None
        return answer.completion("\n".join(m.content for m in request.messages))

    def _post(self, endpoint: Endpoint, body: dict[str, Any]) -> Any:
        # Escaped JSON: servers that choke on half a surrogate pair or on raw UTF-8 never see it.
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if endpoint.key:
            headers["authorization"] = f"Bearer {endpoint.key}"
        url = endpoint.base_url.rstrip("/") + "/chat/completions"
        client = self._clients.get().of(url)
        return client.stream("POST", url, content=json.dumps(body).encode(), headers=headers)

    async def _read(self, response: httpx.Response, answer: Answer, clock: asyncio.Timeout) -> None:
        chunks = _watched(response.aiter_bytes(), answer, clock, self._silence)
        if not response.is_success:
            text = (await read_body(chunks, answer.where)).decode("utf-8", "replace")
            raise _Refused(response, text, answer.where)
        if "text/event-stream" in response.headers.get("content-type", ""):
            await read_stream(chunks, answer)
            return
        await _read_whole(await read_body(chunks, answer.where), answer)


async def _read_whole(body: bytes, answer: Answer) -> None:
    """Read an answer that was not declared a stream: one JSON, or a stream after all."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith(("data:", ":")):
        await read_stream(_once(body), answer)
        return
    answer.take(parse(text, answer.where))


class _Refused(Exception):
    """A status other than 200, before it is known whether asking differently helps."""

    def __init__(self, response: httpx.Response, text: str, where: str) -> None:
        self.status = response.status_code
        self.text = text
        self.error = error_for(self.status, response.headers, text, where)

    def names(self, body: dict[str, Any]) -> str | None:
        """Give the parameter that the server complains about, if it can be left out."""
        if self.status not in (400, 422) or is_overflow(self.text):
            return None
        if "response_format" in body and _SCHEMA.search(self.text):
            return "response_format"
        # A value that is out of range must not vanish: only what the server does not know at all.
        if not _UNKNOWN.search(self.text):
            return None
        return next((n for n in LEAVE_OUT if n in self.text and LEAVE_OUT[n](body) != body), None)


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {k: v for k, v in body.items() if k != name}


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Newer OpenAI models know `max_tokens` only by its new name."""
    if "max_tokens" not in body:
        return body
    return {**_without("max_tokens")(body), "max_completion_tokens": body["max_tokens"]}


LEAVE_OUT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "response_format": _without("response_format"),
    "stream_options": _without("stream_options"),
    "max_completion_tokens": _renamed,
    "repeat_penalty": _without("repeat_penalty"),
    "seed": _without("seed"),
    "temperature": _without("temperature"),
}
"""What to do when a server names one of these in a refusal, and how the request looks then."""


class _Clients:
    """The HTTP clients of one event loop: loopback must not go through the user's proxy."""

    def __init__(self) -> None:
        self._made: dict[bool, httpx.AsyncClient] = {}

    def of(self, url: str) -> httpx.AsyncClient:
        host = urlsplit(url).hostname or ""
        proxied = host != "localhost" and host != "::1" and not host.startswith("127.")
        if proxied not in self._made:
            self._made[proxied] = httpx.AsyncClient(
                # Reading is watched by `_watched`: httpx's limit knows no first word.
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
                follow_redirects=False,
                trust_env=proxied,
            )
        return self._made[proxied]

    async def aclose(self) -> None:
        for client in self._made.values():
            await client.aclose()


def _body(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": whole_text(request.model),
        "messages": [{"role": m.role, "content": whole_text(m.content)} for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.schema is not None:
        schema = {"name": "answer", "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.repeat_penalty is not None:
        body["repeat_penalty"] = request.repeat_penalty
    if request.seed is not None:
        body["seed"] = request.seed
    return body


async def _watched(
    chunks: AsyncIterator[bytes], answer: Answer, clock: asyncio.Timeout, silence: float
) -> AsyncIterator[bytes]:
    """Give chunks on; once the answer has begun, the server may be silent only for so long."""
    end = clock.when() or float("inf")
    async for chunk in chunks:
        yield chunk
        if answer.first is not None:
            clock.reschedule(min(end, asyncio.get_running_loop().time() + silence))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _silent(answer: Answer, timeout: float, silence: float) -> str:
    if answer.first is None:
        return f"{answer.where} did not answer within {timeout:g} s"
    if time.monotonic() >= answer.started + timeout:
        return f"{answer.where} was not done after {timeout:g} s, {answer.size} characters"
    return f"{answer.where} fell silent for {silence:g} s after {answer.size} characters"


def _broken(where: str, answer: Answer, error: Exception) -> str:
    """Say what happened to the connection; httpx hides the reason in the chain of causes."""
    if isinstance(error, httpx.ConnectTimeout):
        return f"no model server answers at {where}: no connection within {CONNECT_SECONDS:g} s"
    text = one_line(_reason(error) or str(error)) or type(error).__name__
    if isinstance(error, httpx.ConnectError):
        return f"no model server answers at {where}: {text}"
    when = "in the middle of its answer" if answer.first is not None else "before it answered"
    return f"{where} broke the connection {when}: {text}"


def _reason(error: BaseException | None) -> str:
    """Find the operating system's word for it; asyncio and httpx have less clear ones."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            # Names that can not be resolved have numbers of their own, below 0.
            return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
        error = error.__cause__ or error.__context__
    return ""


def _shown(base_url: str) -> str:
    """The address without a user name or password in it."""
    return one_line(base_url.rpartition("@")[2] if "@" in base_url else base_url, 200)


def _checked(endpoint: Endpoint) -> Endpoint:
    try:
        parts = urlsplit(endpoint.base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ModelRefused(f"{_shown(endpoint.base_url)!r} is not an http:// or https:// address")
    # httpx would name the whole header, key included, in its error.
    key = endpoint.key.strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise ModelRefused(
            f"the key for {_shown(endpoint.base_url)} has characters that no HTTP header can carry"
        )
    return Endpoint(endpoint.base_url, key)


def _noting(completion: Completion, left_out: list[str]) -> Completion:
    """Let the trace say what the server did not take."""
    if not left_out:
        return completion
    metadata = {**completion.metadata, "left_out": sorted(left_out)}
    return completion.model_copy(update={"metadata": metadata})
