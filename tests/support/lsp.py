"""A language server in a process of its own, spoken to over stdio as an editor does it.

`Editor` opens texts, changes them, and asks for what stands at a place. In the texts of a test `‸`
marks where the cursor is.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

CURSOR = "‸"
PATIENCE = 60.0
"""Seconds after which a server that says nothing is taken for dead."""

Json = dict[str, Any]
Place = tuple[int, int]
"""Line and column, from 0, as the protocol counts."""


def marked(text: str) -> tuple[str, Place]:
    """Take the cursor out of a text, and say where it was."""
    before, _, after = text.partition(CURSOR)
    return before + after, (before.count("\n"), len(before) - before.rfind("\n") - 1)


class Editor:
    """A client of one language server."""

    def __init__(self, command: Sequence[str], root: Path, *, settings: Json | None = None) -> None:
        self.root = root
        self._process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._inbox: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._last_id = 0
        self._versions: dict[str, int] = {}
        self._diagnostics: dict[str, list[Json]] = {}
        threading.Thread(target=self._listen, daemon=True).start()
        self.answer = self.request("initialize", self._greeting())
        self.notify("initialized", {})
        if settings is not None:
            self.notify("workspace/didChangeConfiguration", {"settings": settings})

    def close(self) -> None:
        """End the server as an editor does, or by force when it does not listen."""
        try:
            self.request("shutdown", None)
            self.notify("exit", None)
            self._process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()

    # -- what an editor does ----------------------------------------------------------------

    def open(self, name: str, text: str) -> list[Json]:
        """Show a text, or a newer state of it, and wait for its diagnostics."""
        uri = self.uri(name)
        version = self._versions[uri] = self._versions.get(uri, 0) + 1
        self._diagnostics.pop(uri, None)
        if version == 1:
            document = {"uri": uri, "languageId": "yaml", "version": version, "text": text}
            self.notify("textDocument/didOpen", {"textDocument": document})
        else:
            document = {"uri": uri, "version": version}
            changes = [{"text": text}]
            self.notify(
                "textDocument/didChange", {"textDocument": document, "contentChanges": changes}
            )
        while uri not in self._diagnostics:
            self._handle(self._next())
        return self._diagnostics[uri]

    def diagnostics(self, name: str) -> list[Json]:
        """Give what was said last of a text."""
        return self._diagnostics[self.uri(name)]

    def completions(self, name: str, text: str) -> dict[str, Json]:
        """Give what is offered at the cursor, by label."""
        found = self.at("completion", name, text)
        items = found["items"] if isinstance(found, Mapping) else found or []
        return {item["label"]: item for item in items}

    def hover(self, name: str, text: str) -> str:
        """Give what is shown over the cursor; empty for nothing."""
        found = self.at("hover", name, text)
        contents = found["contents"] if found else ""
        return contents["value"] if isinstance(contents, Mapping) else str(contents)

    def at(self, what: str, name: str, text: str, **more: Any) -> Any:
        """Show a text and ask about the place of its cursor."""
        clean, (line, column) = marked(text)
        self.open(name, clean)
        place = {"textDocument": {"uri": self.uri(name)}}
        position = {"position": {"line": line, "character": column}}
        return self.request(f"textDocument/{what}", {**place, **position, **more})

    def uri(self, name: str) -> str:
        return (self.root / name).as_uri()

    # -- the protocol -----------------------------------------------------------------------

    def request(self, method: str, params: Any) -> Any:
        """Ask, and handle what comes before the answer."""
        self._last_id += 1
        wanted = self._last_id
        self._send({"id": wanted, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == wanted and "method" not in message:
                assert "error" not in message, message["error"]
                return message.get("result")
            self._handle(message)

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _greeting(self) -> Json:
        document = {
            "synchronization": {},
            "completion": {"completionItem": {"snippetSupport": True}},
            "hover": {"contentFormat": ["markdown", "plaintext"]},
            "rename": {"prepareSupport": True},
            "publishDiagnostics": {"relatedInformation": True},
        }
        root = self.root.as_uri()
        return {
            "processId": None,
            "rootUri": root,
            "workspaceFolders": [{"uri": root, "name": "root"}],
            "capabilities": {"textDocument": document, "workspace": {}},
        }

    def _handle(self, message: Json) -> None:
        if message.get("method") == "textDocument/publishDiagnostics":
            found = message["params"]
            self._diagnostics[found["uri"]] = found["diagnostics"]
        elif "id" in message and "method" in message:
            self._send({"id": message["id"], "result": None})

    def _send(self, message: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stdin = self._process.stdin
        assert stdin
        stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        stdin.flush()

    def _next(self) -> Json:
        try:
            message = self._inbox.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("the language server says nothing") from None
        assert message is not None, "the language server has ended"
        return message

    def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout
        while (message := _read(stdout)) is not None:
            self._inbox.put(message)
        self._inbox.put(None)


def _read(pipe: BinaryIO | Any) -> Json | None:
    """Read one message; None at the end."""
    size = 0
    while line := pipe.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    return json.loads(pipe.read(size)) if size else None
