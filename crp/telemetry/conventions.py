"""OpenTelemetry's names for a model call: the one place where ours are mapped to them.

The span of a call has them as attributes; the columns of the trace store are the same names with
dots as underscores. Pure data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from crp.models import Completion, Message, ModelProfile

VERSION = "1.41.0"
"""Of the GenAI semantic conventions."""
SCHEMA = f"https://opentelemetry.io/schemas/{VERSION}"

OPERATION = "chat"
"""`gen_ai.operation.name` of every call."""

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"


def asked(model: ModelProfile) -> dict[str, Any]:
    """Say which model is asked."""
    return {
        OPERATION_NAME: OPERATION,
        PROVIDER_NAME: model.provider,
        REQUEST_MODEL: model.name,
    }


def answered(
    response_model: str,
    finish_reason: str,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int,
) -> dict[str, Any]:
    """Say what came back."""
    return {
        RESPONSE_MODEL: response_model or None,
        FINISH_REASONS: [finish_reason] if finish_reason else [],
        INPUT_TOKENS: input_tokens,
        OUTPUT_TOKENS: output_tokens,
        CACHED_TOKENS: cached_tokens,
    }


def server(base_url: str) -> dict[str, Any]:
    """Say where a model is, as far as its profile knows."""
    place = urlsplit(base_url)
    try:
        port = place.port
    except ValueError:
        port = None
    return {SERVER_ADDRESS: place.hostname, SERVER_PORT: port}


def as_input(messages: Sequence[Message]) -> str:
    """Give a prompt in the form of the convention: JSON."""
    return _json([{"role": m.role, "parts": [_text(m.content)]} for m in messages])


def as_output(completion: Completion) -> str:
    """Give an answer in the form of the convention: JSON."""
    said = {"role": "assistant", "parts": [_text(completion.text)]}
    return _json([{**said, "finish_reason": completion.finish_reason}])


def _text(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False)
