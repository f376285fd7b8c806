"""What every provider of model answers has in common. Touches nothing.

A provider turns one `ModelRequest` into one `Completion` or raises a ModelError. It does not try
again (Temporal owns retries), does not wait for a slot and does not know the answer journal:
that is `dispatch`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from crp.models import Completion, Message

T = TypeVar("T")

MOST_TOKENS = 1_000_000_000
"""A count above this is a server's mistake, and would not fit the columns of the store."""

_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True)
class ModelRequest:
    """One question to a model."""

    messages: tuple[Message, ...]
    model: str = ""
    """The model's name at its server."""
    max_tokens: int = 512
    temperature: float = 0.0
    schema: dict[str, Any] | None = None
    """A JSON schema that the answer must fit, where the server can do that."""
    timeout: float = 600.0
    """Seconds for the whole call, without the wait for a slot."""
    repeat_penalty: float | None = None
    seed: int | None = None
    on_progress: Callable[[int], None] | None = field(default=None, compare=False, repr=False)
    """Told the number of tokens so far, for providers that stream."""
    on_text: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    """Told each piece of the answer, for providers that stream."""

    @property
    def sha256(self) -> str:
        """Everything that decides the answer, as one hash: the last part of a journal key."""
        parts = {
            "messages": [(m.role, m.content) for m in self.messages],
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "schema": self.schema,
            "repeat_penalty": self.repeat_penalty,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Provider(Protocol):
    """Something that answers. May have `async def aclose()`."""

    async def complete(self, request: ModelRequest) -> Completion:
        """Answer one request; raises ModelError types."""
        ...


def estimate_tokens(text: str) -> int:
    """Guess a token count from the length of a text: about four bytes each."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


def sane_count(value: object) -> bool:
    """Whether a token count that came from outside can be believed."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS


def whole_text(text: str) -> str:
    """Replace half surrogate pairs, which JSON allows and no encoder of ours takes."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def one_line(text: str, limit: int = 300) -> str:
    """Make a text from outside fit into an error message: one line, printable, cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def json_data(metadata: object) -> dict[str, JsonValue]:
    """Make anything that came as metadata into JSON data; what has no JSON form becomes text."""
    try:
        plain = to_jsonable_python(metadata, fallback=repr, inf_nan_mode="null")
        # By way of JSON once: keys become strings, half surrogate pairs are found.
        return _JSON.validate_json(whole_text(json.dumps(plain, ensure_ascii=False)))
    except (ValueError, TypeError, RecursionError, ValidationError) as error:
        return {"unreadable_metadata": one_line(repr(error))}


def clean(completion: Completion) -> Completion:
    """Make sure that a completion can be written down, whatever the provider put into it."""
    return completion.model_copy(
        update={
            "text": whole_text(completion.text),
            "finish_reason": one_line(completion.finish_reason, 100),
            "model": one_line(completion.model, 200),
            "metadata": json_data(completion.metadata),
        }
    )


class PerLoop(Generic[T]):
    """One object an event loop: semaphores and HTTP connections can not move between loops.

    The Python API may call `asyncio.run` more than once with the same models.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = (
            weakref.WeakKeyDictionary()
        )

    def get(self) -> T:
        """Give this loop's object, made at first use."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made[loop] = self._make()
        return self._made[loop]

    def pop(self) -> T | None:
        """Take this loop's object away, to close it."""
        return self._made.pop(asyncio.get_running_loop(), None)
