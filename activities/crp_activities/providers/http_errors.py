"""What an answer that is not 200 means, for the caller's next move. Pure.

The rule: worth another try (ModelUnavailable, RateLimited with the pause that was asked for), a
shorter prompt (ContextOverflow), or a person (ModelRefused). The texts of context overflow are
those of llama.cpp, OpenAI, vLLM, TGI, Mistral and Ollama; none of them has a status of its own.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from crp.errors import ContextOverflow, ModelError, ModelRefused, ModelUnavailable, RateLimited
from crp_activities.providers.base import one_line

LONGEST_PAUSE = 3600.0
"""Seconds: a server that asks for more is not believed, the job would stand still for ever."""

_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded|maximum context length|maximum model length"
    r"|(exceed|larger|longer|too (long|large)).{0,60}context|context.{0,40}exceed"
    r"|prompt (is )?too long|input token count|`inputs` tokens \+ `max_new_tokens` must be",
    re.IGNORECASE | re.DOTALL,
)
_OVERFLOW_STATUS = (400, 413, 422, 500)
_RETRYABLE_4XX = (408, 409, 425, 429)


def error_for(status: int, headers: Mapping[str, str], body: str, where: str) -> ModelError:
    """Make the error for a status; `where` is the server's address as a person knows it."""
    code, text = _server_says(body)
    message = f"{where} answered {status}: {text}" if text else f"{where} answered {status}"
    if status in _OVERFLOW_STATUS and is_overflow(f"{code} {body}"):
        return ContextOverflow(message)
    if status == 429 and code == "insufficient_quota":
        return ModelRefused(message)  # no pause helps against an empty account
    if status >= 500 or status in _RETRYABLE_4XX:
        pause = retry_after(headers.get("retry-after"))
        if status == 429 or pause is not None:
            return RateLimited(message, pause)
        return ModelUnavailable(message)
    if 300 <= status < 400:
        target = one_line(headers.get("location", "another address"))
        return ModelRefused(f"{message}: it redirects to {target}; set that as base_url")
    return ModelRefused(message)


def error_in_stream(error: object, where: str) -> ModelError:
    """Make the error for an `error` object that came in the middle of an answer."""
    body = json.dumps({"error": error})
    status = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(status, int) and 400 <= status < 600:
        return error_for(status, {}, body, where)
    _, text = _server_says(body)
    if is_overflow(body):
        return ContextOverflow(f"{where} broke off: {text}")
    return ModelUnavailable(f"{where} broke off: {text or 'an error without a message'}")


def is_overflow(text: str) -> bool:
    """Whether an error text says that the prompt is longer than the model's window."""
    return bool(_OVERFLOW.search(text[:20_000]))


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from now.

    None when there is none or it makes no sense; never negative, never above LONGEST_PAUSE.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = moment - (time.time() if now is None else now)
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def _server_says(body: str) -> tuple[str, str]:
    """Find code and message in an error body, of whatever form."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "", one_line(body)
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return "", one_line(str(error))
    code = error.get("code") or error.get("type") or ""
    for name in ("message", "detail", "error"):
        if error.get(name):
            return str(code), one_line(str(error[name]))
    return str(code), one_line(body)
