"""A receiver of OTLP/HTTP for tests: writes what a collector's file exporter would, one JSON line
a request, and gives the spans flat.

    with Collector(tmp_path / "spans.jsonl") as collector:
        ...  # OTLP to collector.url
        collector.spans
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")


@dataclass
class Span:
    """One span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    error: bool
    service: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)


class Collector:
    """Serve on a free port of loopback until the block ends."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.paths: set[str] = set()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"collector": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def text(self) -> str:
        """Everything that arrived."""
        return self.file.read_text("utf-8") if self.file.exists() else ""

    @property
    def spans(self) -> list[Span]:
        with self.lock:
            return [span for line in self.text.splitlines() for span in _spans(json.loads(line))]

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        data = _with_hex_ids(MessageToDict(request))
        with self.lock, self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data) + "\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.collector.paths.add(self.path)
        self.collector.take(body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()


def _with_hex_ids(data: Any) -> Any:
    if isinstance(data, list):
        return [_with_hex_ids(item) for item in data]
    if isinstance(data, dict):
        return {k: _hex(v) if k in IDS else _with_hex_ids(v) for k, v in data.items()}
    return data


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()


def _spans(data: dict[str, Any]) -> list[Span]:
    found = []
    for resource in data.get("resourceSpans", []):
        service = _plain(resource["resource"].get("attributes", [])).get("service.name", "")
        for scope in resource["scopeSpans"]:
            found += [_span(span, service) for span in scope["spans"]]
    return found


def _span(span: dict[str, Any], service: str) -> Span:
    return Span(
        name=span["name"],
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        kind=span.get("kind", ""),
        error=span.get("status", {}).get("code") == "STATUS_CODE_ERROR",
        service=service,
        attributes=_plain(span.get("attributes", [])),
        events=span.get("events", []),
    )


def _plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {a["key"]: _value(a["value"]) for a in attributes}


def _value(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items() or ((("none", None)),)
    if kind == "intValue":
        return int(inner)
    if kind == "arrayValue":
        return [_value(item) for item in inner.get("values", [])]
    return inner
