"""A model behind a Python function: `dispatch_fn(prompt, context) -> (output, metadata)`.

`context` is the text of the system messages, `prompt` all the rest: that is how people who write
such a function think of it, and both sides can be handed to a chat API as they are. One user
message is given as it stands; when there are several turns each is headed by its role.

Touches what the function touches. A function that is not async runs in a thread of its own, a
daemon: it can neither hold up the event loop nor keep the process from ending. It can not be
stopped either: after a time-out or a cancellation it runs on, and its answer is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from crp.errors import CRPError, ModelRefused, ModelUnavailable
from crp.models import Completion, Message
from crp_activities.providers.base import ModelRequest, estimate_tokens, one_line, sane_count

DispatchFn = Callable[[str, str], Any]


class CallableProvider:
    """Answer by calling a function, sync or async."""

    def __init__(self, dispatch_fn: DispatchFn) -> None:
        self._fn = dispatch_fn
        self._name = getattr(dispatch_fn, "__name__", type(dispatch_fn).__name__)

    async def complete(self, request: ModelRequest) -> Completion:
        """Call the function once.

        Raises ModelUnavailable when the function raises or takes too long, ModelRefused when it
        can not be called with (prompt, context) or returns something else than (text, metadata).
        CRPErrors that the function raises are passed on, so it may raise RateLimited itself.
        """
        self._check_signature()
        prompt, context = prompt_and_context(request.messages)
        started = time.monotonic()
        result = await self._call(prompt, context, seconds=request.timeout)
        output, metadata = self._unpack(result)
        return _completion(prompt, context, output, metadata, time.monotonic() - started)

    def _check_signature(self) -> None:
        # Told apart before the call: a TypeError from inside the function is another matter.
        try:
            signature = inspect.signature(self._fn)
        except (TypeError, ValueError):
            return  # something in C that does not tell
        try:
            signature.bind("", "")
        except TypeError as error:
            raise ModelRefused(
                f"{self._name} can not be called with (prompt, context): {error}"
            ) from None

    async def _call(self, prompt: str, context: str, seconds: float) -> object:
        try:
            async with asyncio.timeout(seconds) as clock:
                return await self._run(prompt, context)
        except CRPError:
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | GeneratorExit):
                raise
            if isinstance(error, TimeoutError) and clock.expired():
                raise ModelUnavailable(
                    f"{self._name} did not answer within {seconds:g} s"
                ) from None
            raise ModelUnavailable(
                f"{self._name} raised {type(error).__name__}: {one_line(str(error))}"
            ) from error

    async def _run(self, prompt: str, context: str) -> object:
        if _is_async(self._fn):
            return await self._fn(prompt, context)
        result = await _in_thread(lambda: self._fn(prompt, context))
        return await result if isinstance(result, Awaitable) else result

    def _unpack(self, result: object) -> tuple[str, Mapping[str, Any]]:
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ModelRefused(
                f"{self._name} must return (output, metadata), it returned {_what(result)}"
            )
        output, metadata = result
        if not isinstance(output, str):
            raise ModelRefused(f"the output of {self._name} must be a str, it is {_what(output)}")
        if metadata is not None and not isinstance(metadata, Mapping):
            raise ModelRefused(
                f"the metadata of {self._name} must be a dict, it is {_what(metadata)}"
            )
        return str(output), metadata or {}


def prompt_and_context(messages: tuple[Message, ...]) -> tuple[str, str]:
    """Give messages the form that a dispatch function knows."""
    context = "\n\n".join(m.content for m in messages if m.role == "system")
    turns = [m for m in messages if m.role != "system"]
    if len(turns) == 1:
        return turns[0].content, context
    return "\n\n".join(f"{m.role.title()}: {m.content}" for m in turns), context


def _completion(
    prompt: str, context: str, output: str, metadata: Mapping[str, Any], seconds: float
) -> Completion:
    counts = (metadata.get("prompt_tokens"), metadata.get("completion_tokens"))
    known = all(sane_count(count) for count in counts)
    if not known:
        counts = (estimate_tokens(prompt) + estimate_tokens(context), estimate_tokens(output))
    cached = metadata.get("cached_tokens")
    finish = metadata.get("finish_reason")
    return Completion.model_construct(
        text=output,
        finish_reason=finish if isinstance(finish, str) else "stop",
        model=str(metadata.get("model", "")),
        prompt_tokens=counts[0],
        completion_tokens=counts[1],
        cached_tokens=cached if sane_count(cached) else 0,
        seconds=seconds,
        time_to_first_token=None,
        # Checked and made into JSON in one place for all providers: `base.clean`.
        metadata={**metadata, **({} if known else {"tokens_estimated": True})},
    )


def _what(value: object) -> str:
    return f"{type(value).__name__} {one_line(repr(value), 80)}" if value is not None else "None"


def _is_async(fn: object) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004  an object with `async def __call__`
    )


async def _in_thread(fn: Callable[[], object]) -> object:
    """Run a function in a daemon thread: the shared pool would be used up by ones that hang."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[object, BaseException | None]] = loop.create_future()

    def deliver(result: object, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((result, error))

    def run() -> None:
        result, error = None, None
        try:
            result = contextvars_run(fn)
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, result, error)

    contextvars_run = contextvars.copy_context().run
    threading.Thread(target=run, name="dispatch_fn", daemon=True).start()
    result, error = await done
    if error is not None:
        raise error
    return result
