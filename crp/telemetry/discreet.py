"""What of a span may leave the process: no error messages, and no spans of questions.

Temporal's spans carry the messages and tracebacks of failures, which may quote a prompt or an
answer; their types stay. Whoever watches a job asks it several times a second, which says nothing.
Needs the extra `otel`: only `crp.telemetry.tracing` imports it, when spans are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

QUESTIONS = ("QueryWorkflow:", "HandleQuery:")
TEXTS = ("exception.message", "exception.stacktrace")


class Discreet(SpanExporter):
    """An exporter that hands on what may be seen."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        shown = [discreet(span) for span in spans if not span.name.startswith(QUESTIONS)]
        return self._exporter.export(shown) if shown else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def discreet(span: ReadableSpan) -> ReadableSpan:
    """Give a span without the messages of its errors."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_without_texts(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_texts(event: Event) -> Event:
    kept = {k: v for k, v in (event.attributes or {}).items() if k not in TEXTS}
    return Event(event.name, kept, event.timestamp)
