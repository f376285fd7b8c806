"""Read the answer of an OpenAI-compatible server, streamed or whole, trusting nothing in it.

Pure but for the bytes it is given. What comes is bounded (a text, a line, a body), what is
missing or has the wrong type is an error with a name or a documented default.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from crp.errors import ModelRefused, ModelUnavailable
from crp.models import Completion
from crp_activities.providers.base import estimate_tokens, one_line, sane_count
from crp_activities.providers.http_errors import error_in_stream

MOST_BYTES = 8 * 1024 * 1024
"""Of the text of an answer, of one line of a stream, and of a body that is not streamed."""


class Cut(Exception):
    """The answer grew over MOST_BYTES; what is there is kept."""


@dataclass
class Answer:
    """An answer as it grows."""

    where: str
    """The server's address, for messages."""
    on_progress: Callable[[int], None] | None = None
    on_text: Callable[[str], None] | None = None
    started: float = field(default_factory=time.monotonic)
    first: float | None = None
    finish: str = ""
    model: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    choices: bool = False
    pieces: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    size: int = 0

    def take(self, data: object) -> None:
        """Add one chunk of a stream, or a whole answer.

        Raises what `error_in_stream` makes of an error, ModelUnavailable for another shape, Cut.
        """
        if not isinstance(data, dict):
            raise ModelUnavailable(f"{self.where} sent {one_line(repr(data), 80)}, not an answer")
        if data.get("error"):
            raise error_in_stream(data["error"], self.where)
        self.model = str(data.get("model") or self.model)
        self.usage = _dict(data.get("usage")) or self.usage
        self.timings = _dict(data.get("timings")) or self.timings
        choices = data.get("choices")
        if isinstance(choices, list) and choices:
            self._take_choice(_dict(choices[0]))

    def _take_choice(self, choice: dict[str, Any]) -> None:
        self.choices = True
        self.finish = str(choice.get("finish_reason") or self.finish)
        part = _dict(choice.get("delta")) or _dict(choice.get("message"))
        if part.get("refusal"):
            self.metadata["refusal"] = str(part["refusal"])
        thought = part.get("reasoning_content") or part.get("reasoning")
        self._add(self.thoughts, thought)
        # `text` is what servers of the older completions form send.
        self._add(self.pieces, part.get("content") or choice.get("text"))

    def _add(self, to: list[str], content: object) -> None:
        text = _text(content)
        if not text:
            return
        if self.first is None:
            self.first = time.monotonic() - self.started
        to.append(text)
        self.size += len(text)
        if self.size > MOST_BYTES:
            to[-1] = text[: len(text) - (self.size - MOST_BYTES)]
            raise Cut
        if self.on_progress is not None:
            self.on_progress(len(self.pieces) + len(self.thoughts))
        if self.on_text is not None and to is self.pieces:
            self.on_text(text)

    def completion(self, prompt: str) -> Completion:
        """Give the finished answer; raises ModelUnavailable when there was no choice in it."""
        if not self.choices:
            raise ModelUnavailable(f"{self.where} sent an answer without choices")
        finish = self.finish or "stop"
        text, thought = without_thoughts("".join(self.pieces), cut=finish == "length")
        thoughts = "".join(self.thoughts) + thought
        metadata = {**self.metadata, **({"thinking": thoughts} if thoughts else {})}
        tokens = self._tokens()
        if tokens is None:
            metadata["tokens_estimated"] = True
            tokens = (estimate_tokens(prompt), estimate_tokens(thoughts + text))
        return Completion.model_construct(
            text=text,
            finish_reason=finish,
            model=self.model,
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            cached_tokens=self._cached(tokens[0]),
            seconds=time.monotonic() - self.started,
            time_to_first_token=self.first,
            metadata=metadata,
        )

    def _tokens(self) -> tuple[int, int] | None:
        counts = (self.usage.get("prompt_tokens"), self.usage.get("completion_tokens"))
        if not all(sane_count(count) for count in counts):
            return None
        # Nothing used for an answer that has text: a server that does not count.
        return None if counts == (0, 0) and self.size else counts  # type: ignore[return-value]

    def _cached(self, most: int) -> int:
        details = _dict(self.usage.get("prompt_tokens_details"))
        for value in (details.get("cached_tokens"), self.timings.get("cache_n")):
            if isinstance(value, int) and sane_count(value) and value <= most:
                return value
        return 0


async def read_stream(chunks: AsyncIterator[bytes], answer: Answer) -> None:
    """Read server-sent events to their end.

    Raises ModelUnavailable when the stream ends before the answer does: half an answer is none.
    """
    ended = False
    try:
        async for line in _lines(chunks, answer.where):
            payload = _payload(line)
            if payload == "[DONE]":
                ended = True
                break
            if payload:
                answer.take(parse(payload, answer.where))
    except Cut:
        answer.finish, ended = "length", True
    if not (ended or answer.finish):
        raise ModelUnavailable(
            f"{answer.where} broke off in the middle of its answer, after {answer.size} characters"
        )


async def read_body(chunks: AsyncIterator[bytes], where: str) -> bytes:
    """Read a whole body; raises ModelRefused above MOST_BYTES, as half a JSON is worth nothing."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MOST_BYTES:
            raise ModelRefused(f"{where} answered with more than {MOST_BYTES // 2**20} MB")
    return bytes(body)


def parse(text: str, where: str) -> object:
    """Parse JSON; raises ModelUnavailable, because a proxy's error page goes away."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        shown = one_line(text, 80)
        raise ModelUnavailable(f"{where} sent {shown!r}, which is not JSON") from None


def without_thoughts(text: str, *, cut: bool) -> tuple[str, str]:
    """Split `<think>...</think>` off the beginning; give (text, thought).

    A thought that was cut off by the token limit is all thought, and leaves no text.
    """
    opening, closing = "<think>", "</think>"
    body = text.lstrip()
    if not body.startswith(opening):
        return text, ""
    thought, closed, rest = body[len(opening) :].partition(closing)
    if not closed and not cut:
        return text, ""
    return rest.lstrip(), thought.strip()


async def _lines(chunks: AsyncIterator[bytes], where: str) -> AsyncIterator[bytes]:
    # Not httpx's aiter_lines: that splits at every Unicode line end, and a U+2028 inside a JSON
    # string is one.
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if b"\n" in chunk:
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                yield line
        if len(rest) > MOST_BYTES:
            raise ModelUnavailable(f"{where} sent a line of more than {MOST_BYTES // 2**20} MB")
    if rest:
        yield bytes(rest)


def _payload(line: bytes) -> str:
    """Give what a line of server-sent events carries; comments and other fields carry nothing."""
    # What is not UTF-8 is replaced: a token may end in the middle of a character.
    text = line.decode("utf-8", "replace").strip()
    if text.startswith("data:"):
        return text[5:].strip()
    # llama.cpp used to send its errors under a name of their own.
    return '{"error":' + text[6:] + "}" if text.startswith("error:") else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts: [{"type": "text", "text": ...}]
        return "".join(_text(_dict(part).get("text")) for part in content)
    return ""
