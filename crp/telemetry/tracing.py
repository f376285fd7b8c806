"""OpenTelemetry spans: of client, workflow and activities by Temporal's plugin, of calls by us.

Spans are made when `telemetry.otlp_endpoint` is set or the standard OTEL_EXPORTER_OTLP_*ENDPOINT
variables are, and the extra `otel` is installed; a process that has loaded OpenTelemetry itself
gets the spans of model calls with its own. Otherwise nothing of OpenTelemetry is imported.

What leaves the process goes through `Discreet`: no texts, which is to say no error messages either,
since a message may quote a prompt or an answer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from crp.errors import ConfigError
from crp.models import Completion, Message, ModelProfile
from crp.telemetry import conventions as names
from crp.telemetry.place import here
from crp.telemetry.settings import TelemetrySettings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider
    from temporalio.plugin import SimplePlugin

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SERVICE = "crp"
SCOPE = "crp"
MISSING = "OpenTelemetry is not installed: install durable-crp[otel], or leave {} empty"

_texts = False
"""Whether prompts and answers are put into spans."""
_ours: tuple[ReplaySafeTracerProvider, SpanExporter] | None = None
"""What sends the spans of this process, if we made it."""


def wanted(settings: TelemetrySettings) -> bool:
    """Whether spans leave this process. Raises ConfigError when they should and can not."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    if not settings.otlp_endpoint and not any(os.environ.get(name) for name in ENDPOINTS):
        return False
    if importlib.util.find_spec("opentelemetry") and _sdk_is_there():
        return True
    if settings.otlp_endpoint:
        raise ConfigError(MISSING.format("telemetry.otlp_endpoint"))
    return False  # the variable may be meant for other programs


def plugins(settings: TelemetrySettings) -> list[SimplePlugin]:
    """Give what a client needs for spans, in a list; empty when there are to be none."""
    if not wanted(settings):
        return []
    from opentelemetry import trace
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, ReplaySafeTracerProvider

    start(settings)
    # Whoever set another provider traces by themselves: a workflow takes only this kind.
    ours = isinstance(trace.get_tracer_provider(), ReplaySafeTracerProvider)
    return [OpenTelemetryPlugin(add_temporal_spans=True)] if ours else []


def start(settings: TelemetrySettings, exporter: SpanExporter | None = None) -> None:
    """Make this process's spans leave it; does nothing when somebody has seen to that."""
    global _texts, _ours
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import create_tracer_provider

    from crp.telemetry.discreet import Discreet

    _texts = settings.texts
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    provider = create_tracer_provider(resource=_resource())
    out = Discreet(exporter or _otlp(settings))
    provider.add_span_processor(BatchSpanProcessor(out))
    trace.set_tracer_provider(provider)
    _ours = (provider, out)


def leave(seconds: float = 2.0) -> None:
    """Send what is left before the process ends; a receiver that is away gets `seconds`."""
    global _ours
    if _ours is None:
        return
    (provider, out), _ours = _ours, None
    # Its shutdown breaks off an export that waits to try again.
    enough = threading.Timer(seconds, out.shutdown)
    enough.daemon = True
    enough.start()
    provider.shutdown()
    enough.cancel()


def _resource() -> Resource:
    from opentelemetry.sdk.resources import Resource

    given = Resource.create()  # reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    if str(given.attributes.get("service.name", "unknown")).startswith("unknown"):
        return given.merge(Resource({"service.name": SERVICE}))
    return given


def _otlp(settings: TelemetrySettings) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    given = settings.otlp_endpoint
    if not given:
        return OTLPSpanExporter()
    return OTLPSpanExporter(endpoint=f"{given.rstrip('/').removesuffix('/v1/traces')}/v1/traces")


def _sdk_is_there() -> bool:
    try:
        return bool(importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False


# -- the span of a model call ---------------------------------------------------------------------


class Call:
    """The span of one call; every method does nothing when there is none."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def answered(self, completion: Completion) -> None:
        """Note what came back."""
        if self._span is None:
            return
        _set(
            self._span,
            names.answered(
                completion.model,
                completion.finish_reason,
                completion.prompt_tokens,
                completion.completion_tokens,
                completion.cached_tokens,
            ),
        )
        if _texts:
            self._span.set_attribute(names.OUTPUT_MESSAGES, names.as_output(completion))

    def failed(self, kind: str) -> None:
        """Note that no answer came, by the type of the error."""
        if self._span is None:
            return
        from opentelemetry.trace import StatusCode

        self._span.set_attribute(names.ERROR_TYPE, kind)
        self._span.set_status(StatusCode.ERROR)


@contextlib.contextmanager
def model_call(
    model: ModelProfile, messages: tuple[Message, ...], request: Mapping[str, Any]
) -> Iterator[Call]:
    """Put a span around one call of a model: a child of the activity that makes it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:  # nobody in this process traces
        yield Call(None)
        return
    attributes = {**names.asked(model), **names.server(model.base_url), **request, **_place()}
    if _texts:
        attributes[names.INPUT_MESSAGES] = names.as_input(messages)
    tracer = trace.get_tracer(SCOPE, schema_url=names.SCHEMA)
    with tracer.start_as_current_span(
        f"{names.OPERATION} {model.name or model.alias}",
        kind=trace.SpanKind.CLIENT,
        attributes={name: value for name, value in attributes.items() if value not in (None, "")},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield Call(span)


def _place() -> dict[str, Any]:
    return {f"crp.{name}": value for name, value in here().items()}


def _set(span: Span, attributes: Mapping[str, Any]) -> None:
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})
