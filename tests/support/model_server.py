"""A hostile OpenAI-compatible server, for tests: real sockets, scripted, every call counted.

In a test:

    with ModelServer("429:3", "ok") as server:      # one behaviour a request, then `default`
        OpenAIProvider.at(server.base_url) ...
        assert server.calls == 2

As a process, so that calls survive the kill -9 of whoever makes them:

    python -m tests.support.model_server --port 0 --log calls.jsonl [--default slow:0.1] [ok ...]

prints its base URL, and appends one line to the log before it does anything else with a request;
with `--until-eof` it ends when its stdin is closed, so that it never outlives the test.
A behaviour is a name with arguments after colons; each is a function below, `behaviour_NAME`.
When the script is used up, a request whose model name is `behave/NAME:ARG` gets that behaviour.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

LLAMA_OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (9211 tokens) exceeds the available context size (4096 tokens), "
        "try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9211,
        "n_ctx": 4096,
    }
}
OPENAI_OVERFLOW = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens. However, your messages "
        "resulted in 9211 tokens. Please reduce the length of the messages.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
VLLM_OVERFLOW = {
    "object": "error",
    "message": "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum "
    "context length is 2048 tokens and your request has 1900 input tokens.",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}
OVERFLOWS = {"llama": LLAMA_OVERFLOW, "openai": OPENAI_OVERFLOW, "vllm": VLLM_OVERFLOW}


class ModelServer:
    """Serve until the `with` block ends. `requests` holds the body of each call, in order."""

    def __init__(
        self,
        *script: str,
        default: str = "ok",
        text: str = "Paris is the capital of France.",
        log: Path | None = None,
        port: int = 0,
    ) -> None:
        self.script = list(script)
        self.default = default
        self.text = text
        self.log = log
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.begun: list[float] = []
        """When each call came (time.monotonic)."""
        self.answered: list[tuple[float, str]] = []
        """When a call was answered (time.monotonic), and what it asked."""
        self.running = 0
        self.most_running = 0
        self.broken_off = threading.Event()
        """Set when a client has gone away in the middle of an answer."""
        self.go = threading.Event()
        """What calls of the behaviour `held` wait for."""
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        return len(self.requests)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def next_behaviour(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        """Count a request, write it down, and say what to do with it."""
        with self.lock:
            self.requests.append(body)
            self.begun.append(time.monotonic())
            self.headers.append(headers)
            model = str(body.get("model", ""))
            if self.script:
                behaviour = self.script.pop(0)
            elif model.startswith("behave/"):
                behaviour = model.removeprefix("behave/")
            else:
                behaviour = self.default
            if self.log is not None:
                _append(self.log, {"n": self.calls, "do": behaviour, "body": body})
            return behaviour


def prompt_of(body: dict[str, Any]) -> str:
    """The text of a request's messages."""
    return "\n".join(str(message.get("content")) for message in body.get("messages", []))


def logged_calls(log: Path) -> list[dict[str, Any]]:
    """Read the log of a server in another process: one entry a call."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


class _Behaviours(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: ModelServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_json(200, {"status": "ok"})

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        self.body: dict[str, Any] = json.loads(self.rfile.read(size))
        headers = {k.lower(): v for k, v in self.headers.items()}
        name, *arguments = self.models.next_behaviour(self.body, headers).split(":")
        with self.models.lock:
            self.models.running += 1
            self.models.most_running = max(self.models.most_running, self.models.running)
        try:
            getattr(self, f"behaviour_{name}")(*arguments)
            with self.models.lock:
                self.models.answered.append((time.monotonic(), prompt_of(self.body)))
        except (ConnectionError, TimeoutError):
            self.models.broken_off.set()
            self.close_connection = True
        finally:
            with self.models.lock:
                self.models.running -= 1

    # -- good answers -------------------------------------------------------------------------

    def behaviour_ok(self, text: str = "") -> None:
        self.answer(text or self.models.text)

    def behaviour_slow(self, seconds: str = "0.2") -> None:
        """Each piece of the answer comes after a pause."""
        self.answer(self.models.text, pause=float(seconds))

    def behaviour_late(self, seconds: str = "0.2") -> None:
        """Nothing for a while, then a whole answer."""
        self.sleep(float(seconds))
        self.answer(self.models.text)

    def behaviour_held(self) -> None:
        """Nothing until the test says `go`, then a whole answer."""
        while not self.models.go.wait(0.05):
            if self.models.stopping.is_set():
                raise ConnectionAbortedError
        self.answer(self.models.text)

    def behaviour_think(self) -> None:
        self.answer("<think>\nFrance... its capital?\n</think>\n\n" + self.models.text)

    def behaviour_whole(self) -> None:
        """A server that ignores `stream`."""
        self.send_json(200, self.completion(self.models.text))

    def behaviour_mislabelled(self) -> None:
        """A stream that says it is JSON."""
        self.start_answer("application/json")
        self.stream(self.models.text)
        self.end_answer()

    def behaviour_big(self, size: str = "3000000") -> None:
        self.answer("word " * (int(size) // 5), piece=20_000)

    def behaviour_endless(self) -> None:
        self.start_answer()
        with contextlib.suppress(ConnectionError):
            while not self.models.stopping.is_set():
                self.event({"choices": [{"delta": {"content": "and so on " * 10_000}}]})
        self.models.broken_off.set()
        self.close_connection = True

    def behaviour_control(self) -> None:
        self.answer("bell \x07, escape \x1b[31m, null \x00, line \u2028, tab \t.")

    def behaviour_surrogate(self) -> None:
        """Half a surrogate pair, which JSON allows."""
        self.answer("half \ud83d of it")

    def behaviour_null(self) -> None:
        self.send_json(200, self.completion(None))

    def behaviour_cut(self) -> None:
        self.answer(self.models.text, finish="length")

    def behaviour_usage(self, usage: str) -> None:
        """Whatever token counts, as JSON with `;` for `:`."""
        self.answer(self.models.text, usage=json.loads(usage.replace(";", ":")))

    def behaviour_picky(self, parameter: str = "response_format") -> None:
        """Refuse a parameter, answer without it."""
        if parameter in self.body:
            message = f"Unsupported parameter: '{parameter}' is not supported here."
            if parameter == "max_tokens":
                message += " Use 'max_completion_tokens' instead."
            self.send_json(400, {"error": {"message": message}})
        else:
            self.answer(self.models.text)

    def behaviour_bad_schema(self) -> None:
        """What llama.cpp says to a schema that it can not use."""
        if "response_format" in self.body:
            message = "Failed to parse: JSON schema error at #: unrecognized type nonsense"
            self.send_json(400, {"error": {"code": 400, "message": message}})
        else:
            self.answer(self.models.text)

    # -- no answers ---------------------------------------------------------------------------

    def behaviour_hang(self) -> None:
        """Take the request and never say a word."""
        self.wait_for_the_end()

    def behaviour_stall(self) -> None:
        """Begin to answer and stop in the middle."""
        self.start_answer()
        self.event({"choices": [{"delta": {"content": "Paris is"}}]})
        self.wait_for_the_end()

    def behaviour_reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def behaviour_half(self) -> None:
        """A stream that ends properly for HTTP, before the answer does."""
        self.start_answer()
        self.event({"choices": [{"delta": {"content": "Paris is"}}]})
        self.end_answer()

    def behaviour_torn(self) -> None:
        """A stream whose connection ends in the middle."""
        self.start_answer()
        self.event({"choices": [{"delta": {"content": "Paris is"}}]})
        self.close_connection = True

    def behaviour_429(self, after: str = "") -> None:
        self.send_json(429, {"error": {"message": "slow down"}}, retry_after=after)

    def behaviour_429date(self, seconds: str = "30") -> None:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + float(seconds)))
        self.send_json(429, {"error": {"message": "slow down"}}, retry_after=date)

    def behaviour_quota(self) -> None:
        error = {"message": "You exceeded your current quota.", "code": "insufficient_quota"}
        self.send_json(429, {"error": error})

    def behaviour_status(self, status: str, message: str = "no", after: str = "") -> None:
        self.send_json(int(status), {"error": {"message": message}}, retry_after=after)

    def behaviour_echo_key(self, padding: str = "0") -> None:
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        message = f"{'x' * int(padding)} Incorrect API key provided: {key}"
        self.send_json(401, {"error": {"message": message}})

    def behaviour_leak(self, how: str, times: str = "1000000") -> None:
        """Say the request's key again, so many times a model; then answer."""
        asked = sum(body.get("model") == self.body.get("model") for body in self.models.requests)
        if asked > int(times):
            self.answer(self.models.text)
            return
        header = self.headers.get("authorization", "")
        said = f"{header} {header.removeprefix('Bearer ')} {b64encode(header.encode()).decode()}"
        key = b64encode(header.removeprefix("Bearer ").encode()).decode()
        getattr(self, f"leak_{how}")(f"you sent {said} {key}, did you not?")

    def leak_status(self, said: str) -> None:
        self.send_json(500, {"error": {"message": said, "code": said, "type": said}})

    def leak_refusal(self, said: str) -> None:
        self.send_json(401, {"error": {"message": said}})

    def leak_pause(self, said: str) -> None:
        self.send_json(429, {"error": {"message": said}}, retry_after="0.1")

    def leak_page(self, said: str) -> None:
        """A 200 that is no JSON."""
        self.send_bytes(200, f"<html>{said}</html>".encode())

    def leak_json(self, said: str) -> None:
        """A 200 that is JSON, and no completion."""
        self.send_json(200, {"headers": {"authorization": said}})

    def leak_stream(self, said: str) -> None:
        self.start_answer()
        self.event({"choices": [{"delta": {"content": "Paris"}}]})
        self.event({"error": {"message": said}})
        self.end_answer()

    def leak_answer(self, said: str) -> None:
        """A good answer with the key in its text, its model's name and its usage."""
        completion = {**self.completion(said), "model": said, "system_fingerprint": said}
        completion["usage"]["note"] = said
        completion["choices"][0]["message"]["reasoning_content"] = said
        self.send_json(200, completion)

    def leak_redirect(self, said: str) -> None:
        self.send_response(307)
        self.send_header("location", f"http://127.0.0.2:9/{said.replace(' ', '+')}")
        self.send_header("content-length", "0")
        self.end_headers()

    def behaviour_overflow(self, form: str = "llama") -> None:
        self.send_json(400, OVERFLOWS[form])

    def behaviour_overflow_in_stream(self) -> None:
        self.start_answer()
        self.event(LLAMA_OVERFLOW)
        self.end_answer()

    def behaviour_error_in_stream(self) -> None:
        self.start_answer()
        self.event({"choices": [{"delta": {"content": "Paris is"}}]})
        self.event({"error": {"message": "the GPU fell off the bus"}})
        self.end_answer()

    def behaviour_redirect(self) -> None:
        self.send_response(307)
        self.send_header("location", "http://127.0.0.2:9/v1/chat/completions")
        self.send_header("content-length", "0")
        self.end_headers()

    def behaviour_body(self, body: str) -> None:
        """Any text as the body of a 200."""
        self.send_bytes(200, body.encode())

    def behaviour_not_utf8(self) -> None:
        self.start_answer()
        self.chunk(b'data: {"choices": [{"delta": {"content": "caf\xe9"}}]}\n\n')
        self.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self.chunk(b"data: [DONE]\n\n")
        self.end_answer()

    def behaviour_no_choices(self) -> None:
        self.send_json(200, {"object": "chat.completion", "choices": []})

    def behaviour_huge_body(self) -> None:
        self.send_json(200, self.completion("word " * 2_000_000))

    # -- what they are made of ------------------------------------------------------------------

    def completion(self, text: str | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {
            "model": "hostile-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": self.usage(text or ""),
        }

    def usage(self, text: str) -> dict[str, Any]:
        prompt = sum(len(str(m["content"]).split()) for m in self.body["messages"])
        return {"prompt_tokens": prompt, "completion_tokens": len(text.split())}

    def answer(
        self,
        text: str,
        pause: float = 0.0,
        piece: int = 8,
        finish: str = "stop",
        usage: object = None,
    ) -> None:
        if not self.body.get("stream"):
            self.send_json(200, self.completion(text))
            return
        self.start_answer()
        self.stream(text, pause, piece, finish, usage)
        self.end_answer()

    def stream(
        self,
        text: str,
        pause: float = 0.0,
        piece: int = 8,
        finish: str = "stop",
        usage: object = None,
    ) -> None:
        self.chunk(b": hello\n\n")
        self.event({"model": "hostile-1", "choices": [{"delta": {"role": "assistant"}}]})
        for start in range(0, len(text), piece):
            self.event({"choices": [{"delta": {"content": text[start : start + piece]}}]})
            self.sleep(pause)
        self.event({"choices": [{"delta": {}, "finish_reason": finish}]})
        self.event({"choices": [], "usage": self.usage(text) if usage is None else usage})
        self.chunk(b"data: [DONE]\n\n")

    def start_answer(self, content_type: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def event(self, data: object) -> None:
        # Raw where it can be: real servers do not escape U+2028 either.
        text = json.dumps(data, ensure_ascii=False)
        if "\ud83d" in text:
            text = json.dumps(data)
        self.chunk(b"data: " + text.encode() + b"\n\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def end_answer(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def send_json(self, status: int, data: object, retry_after: str = "") -> None:
        self.send_bytes(status, json.dumps(data).encode(), retry_after)

    def send_bytes(self, status: int, body: bytes, retry_after: str = "") -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def sleep(self, seconds: float) -> None:
        if seconds and self.models.stopping.wait(seconds):
            raise ConnectionAbortedError

    def wait_for_the_end(self) -> None:
        """Keep the connection until the client hangs up or the server stops."""
        self.connection.settimeout(0.05)
        while not self.models.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    self.models.broken_off.set()
                    break
        self.close_connection = True


def _handler(server: ModelServer) -> type[_Behaviours]:
    return type("Handler", (_Behaviours,), {"models": server})


def _append(log: Path, entry: dict[str, Any]) -> None:
    # One write to a file opened for appending: lines of several processes do not mix.
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, json.dumps(entry).encode() + b"\n")
    finally:
        os.close(descriptor)


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="a hostile OpenAI-compatible server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--default", default="ok")
    parser.add_argument("--text", default="Paris is the capital of France.")
    parser.add_argument(
        "--until-eof", action="store_true", help="end when stdin does: with whoever started it"
    )
    parser.add_argument("script", nargs="*")
    given = parser.parse_args(None if arguments is None else list(arguments))
    server = ModelServer(
        *given.script, default=given.default, text=given.text, log=given.log, port=given.port
    )
    with server:
        print(server.base_url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read() if given.until_eof else threading.Event().wait()


if __name__ == "__main__":
    main()
