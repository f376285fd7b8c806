"""A codec server: shows encrypted payloads in Temporal's web page and command line.

Temporal's protocol: POST /encode and /decode take and give `{"payloads": [...]}`, the JSON of
temporal.api.common.v1.Payloads. What lies in the blob store is fetched before it is decrypted.

Whoever may ask it can read everything, so it answers to few: on loopback only to requests that name
loopback as their host (no foreign name that was pointed here), to web pages only of the origins
that were given, and with a token only to those who send it. Touches keys and blobs; logs nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from temporalio.api.common.v1 import Payload, Payloads

from crp.codec import EncryptionCodec
from crp.converter import BlobDriver
from crp.errors import CRPError, EngineError

MOST_BYTES = 64_000_000
"""Of one request: Temporal's own messages have at most 4 MiB."""
PATIENCE = 30.0
"""Seconds for which a client may be silent in the middle of a request."""


@dataclass(frozen=True)
class Access:
    """Who may ask."""

    origins: tuple[str, ...] = ()
    """Of web pages, such as http://localhost:8233; other clients send none."""
    token: str = ""


class Refused(Exception):
    """A request that gets no answer, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        self.status = status
        super().__init__(why)


class CodecServer(ThreadingHTTPServer):
    """Serve until `shutdown`. Raises EngineError when the port is taken."""

    daemon_threads = True

    def __init__(
        self, codec: EncryptionCodec, blobs: BlobDriver, access: Access, host: str, port: int
    ) -> None:
        self.codec = codec
        self.blobs = blobs
        self.access = access
        self.loopback = is_loopback(host)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            why = error.strerror or error
            raise EngineError(f"{host} port {port} can not be listened at: {why}") from None

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def converted(self, path: str, body: bytes) -> bytes:
        """Encrypt or decrypt a request's payloads. Raises Refused."""
        work = {"/encode": self.codec.sealed, "/decode": self._opened}.get(path)
        if work is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there are /encode and /decode")
        try:
            asked = Parse(body, Payloads(), ignore_unknown_fields=True)
            done = Payloads(payloads=[work(payload) for payload in asked.payloads])
        except (ParseError, UnicodeDecodeError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "these are no payloads") from None
        except CRPError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
        return MessageToJson(done, indent=None).encode()

    def _opened(self, payload: Payload) -> Payload:
        return self.codec.opened(self.blobs.fetched(payload))


def is_loopback(host: str) -> bool:
    """Whether an address, or the name of one, can only be reached from this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "crp-codec", ""
    timeout = PATIENCE
    server: ClassVar[CodecServer]  # type: ignore[misc]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who asks for what is nobody's business."""

    def do_OPTIONS(self) -> None:
        """What a browser asks before a page may send a request."""
        self._guarded(lambda: (HTTPStatus.NO_CONTENT, b""), with_token=False)

    def do_POST(self) -> None:
        self._guarded(lambda: (HTTPStatus.OK, self.server.converted(self.path, self._body())))

    def _guarded(self, answer: Any, with_token: bool = True) -> None:
        try:
            self._check(with_token)
            status, body = answer()
        except Refused as refused:
            # The rest of its body is not read: it can not be told from the next request.
            self.close_connection = True
            status, body = refused.status, str(refused).encode()
        self.send_response(status)
        for name, value in self._headers(status).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _check(self, with_token: bool) -> None:
        if self.server.loopback and not is_loopback(_name(self.headers.get("Host", ""))):
            raise Refused(HTTPStatus.FORBIDDEN, "this server answers to localhost only")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in self.server.access.origins:
            raise Refused(
                HTTPStatus.FORBIDDEN, "this page may not ask: start with `crp codec serve --origin`"
            )
        token = self.server.access.token
        given = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if with_token and token and not hmac.compare_digest(given.encode(), token.encode()):
            raise Refused(HTTPStatus.UNAUTHORIZED, "a bearer token is needed")

    def _body(self) -> bytes:
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "say the length")
        if int(length) > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES} bytes")
        return self.rfile.read(int(length))

    def _headers(self, status: HTTPStatus) -> dict[str, str]:
        kind = "application/json" if status == HTTPStatus.OK else "text/plain; charset=utf-8"
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "Vary": "Origin"}
        if self.close_connection:
            headers["Connection"] = "close"
        origin = self.headers.get("Origin")
        if origin in self.server.access.origins:
            headers["Access-Control-Allow-Origin"] = str(origin)
            headers["Access-Control-Allow-Methods"] = "POST, OPTIONS"
            headers["Access-Control-Allow-Headers"] = "authorization, content-type, x-namespace"
            if self.headers.get("Access-Control-Request-Private-Network"):
                headers["Access-Control-Allow-Private-Network"] = "true"
        return headers


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
