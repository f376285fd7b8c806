"""Watch a model's calls and answers: one span and one count each. Free when nobody watches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from crp.models import Attempt, Completion, Message, ModelProfile
from crp.telemetry import metrics, tracing
from crp.telemetry.conventions import REQUEST_MAX_TOKENS, REQUEST_TEMPERATURE


class Seen:
    """A call under way; `answer` is set by whoever makes it."""

    def __init__(self) -> None:
        self.answer: Completion | None = None


@contextlib.contextmanager
def call(
    model: ModelProfile, messages: tuple[Message, ...], max_tokens: int, temperature: float
) -> Iterator[Seen]:
    """Watch one call of a model, from when it has a slot until its answer or its failure."""
    request: Mapping[str, Any] = {
        REQUEST_MAX_TOKENS: max_tokens,
        REQUEST_TEMPERATURE: temperature,
    }
    seen, started, outcome = Seen(), time.monotonic(), "ok"
    with tracing.model_call(model, messages, request) as span:
        try:
            yield seen
        except BaseException as error:
            outcome = type(error).__name__
            span.failed(outcome)
            raise
        finally:
            if seen.answer is not None:
                span.answered(seen.answer)
            if (meters := metrics.meters()) is not None:
                seconds = time.monotonic() - started
                meters.call(model.name or model.alias, outcome, seconds, seen.answer)


def attempted(model: ModelProfile, attempt: Attempt) -> None:
    """Count one judged answer, wherever it came from."""
    if (meters := metrics.meters()) is not None:
        meters.attempt(model.name or model.alias, attempt)
