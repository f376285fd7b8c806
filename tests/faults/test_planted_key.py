"""A planted key is nowhere: not in a history, a log, a trace, an error or on the screen.

Model servers that say the key again in every way that they have, on a real engine; then every file
of its home is read, every history, and everything that the command line said.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from crp.cli.asking import request_of
from crp.client import JOBS, connect, connect_to, handle, submit
from crp.config import load_settings
from crp.encryption import new_key
from crp.failures import from_failure
from crp.local import status
from crp.models import Task
from tests.cli.conftest import Cli
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.slow

BY_ENV = "sk-planted/in+the=environment-0123456789"
BY_FILE = "sk-planted/in+a=file-9876543210"
LEAKS = ("status", "refusal", "pause", "page", "json", "stream", "answer", "redirect")
FOR_EVER = ("refusal", "redirect", "answer")
"""What is not tried again; the others leak twice and then answer."""
SECRET = "the merger of Zorb and Blib"


def traces_of(secret: bytes) -> list[bytes]:
    """How a secret may be written: as it is, in hex, in base64 wherever it begins."""
    found = [secret, secret.hex().encode()]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret)
        # The first and the last characters depend on what stands beside it.
        found.append(encoded[4 if offset else 0 : -4])
    assert all(len(form) > 12 for form in found)
    return [*found, *(text.translate(bytes.maketrans(b"+/", b"-_")) for text in found[2:])]


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def places(folder: Path, *secrets: bytes) -> list[str]:
    """The files that hold one of the secrets in any form."""
    wanted = [form for secret in secrets for form in traces_of(secret)]
    return [str(path) for path, data in files(folder) if any(form in data for form in wanted)]


class Home(Cli):
    """An engine whose environment is given, and everything that it ever said."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder)
        self.given = environment
        self.said = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.given}

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be a client of this engine."""
        for name, value in {**self.given, "CRP_HOME": str(self.home)}.items():
            monkeypatch.setenv(name, value)

    def tell(self, *words: str) -> str:
        done = self.run(*words, within=120)
        self.said += done.stdout + done.stderr
        return done.stdout

    async def solve(self, aliases: list[str], task: str) -> None:
        """Run a job with each model, and keep what a client is told of its end."""
        settings = load_settings(self.home)
        engine = await connect(settings)
        ids = []
        for alias in aliases:
            profiles = {**settings.profiles(), "default": settings.profiles()[alias]}
            wanted = Task(text=f"{task} {alias}", orc="off")
            ids.append(await submit(engine, request_of(settings, wanted, profiles)))
        ends = [handle(engine, job_id).result() for job_id in ids]
        for end in await asyncio.gather(*ends, return_exceptions=True):
            failed = isinstance(end, BaseException)
            self.said += str(from_failure(end)) if failed else end.model_dump_json()  # type: ignore[union-attr, arg-type]

    def look_around(self) -> None:
        """Everything that shows a job."""
        rows = json.loads(self.tell("jobs", "list", "--json"))
        for table in ("jobs", "attempts", "events", "steps"):
            assert self.tell("sql", f"select * from {table}", "--json")
        for row in rows[:2]:
            assert self.tell("jobs", "show", row["job_id"])
        assert self.tell("model", "list")


def models(server: ModelServer, key_file: Path) -> dict[str, str]:
    """Settings with an alias for each way to leak, by a key in a variable and by one in a file."""
    found: dict[str, Any] = {}
    for how in ("ok", *LEAKS):
        times = "" if how in FOR_EVER else ":2"
        name = "behave/ok" if how == "ok" else f"behave/leak:{how}{times}"
        model = {"base_url": server.base_url, "capability": 1}
        found[f"env-{how}"] = {**model, "name": name, "api_key_env": "PLANTED"}
        found[f"file-{how}"] = {**model, "name": f"{name}", "api_key_file": str(key_file)}
    found["default"] = found["env-ok"]
    return {"CRP_MODELS": json.dumps(found), "PLANTED": BY_ENV}


async def histories(home: Path) -> tuple[str, int]:
    """All events of all jobs, their payloads decoded, and how many jobs there are."""
    settings = load_settings(home)
    running = status(settings)
    assert running is not None
    client = await connect_to(settings, running.address)
    texts, count = [], 0
    async for execution in client.list_workflows(JOBS):
        count += 1
        async for event in client.get_workflow_handle(execution.id).fetch_history_events():
            texts.append(json.dumps(MessageToDict(event)))
        texts.append(str(await execution.memo()))
    return "\n".join(texts), count


async def test_a_models_key_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(f"{BY_FILE}\n")
    with ModelServer() as server:
        home = Home(tmp_path / "engine", **models(server, key_file))
        home.take_over(monkeypatch)
        try:
            aliases = [f"{source}-{how}" for source in ("env", "file") for how in ("ok", *LEAKS)]
            await home.solve(aliases, "Say something of")
            for alias in ("env-ok", "file-refusal"):
                home.tell("run", "Say it here", "--model", alias, "--orc", "off")
            home.look_around()
            sent = {headers.get("authorization") for headers in server.headers}
            told, count = await histories(home.home)
        finally:
            home.end()
    assert sent == {f"Bearer {BY_ENV}", f"Bearer {BY_FILE}"}
    assert count == len(aliases) + 2
    assert "did you not?" in home.said  # what the servers said did come through
    forms = [form.decode() for key in (BY_ENV, BY_FILE) for form in traces_of(key.encode())]
    assert [form for form in forms if form in told] == []
    assert [form for form in forms if form in home.said] == []
    assert places(home.home, BY_ENV.encode(), BY_FILE.encode()) == []
    assert places(tmp_path, BY_FILE.encode()) == [str(key_file)]  # it would have been found


async def test_an_encryption_key_is_nowhere_and_temporal_has_no_word_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    secret = base64.b64decode(key)
    given = {"PLANTED_KEYS": key, "CRP_ENCRYPTION__KEYS_ENV": "PLANTED_KEYS"}
    (tmp_path / "key").write_text(BY_FILE)
    with ModelServer(text=f"Nothing is known of {SECRET}.") as server:
        home = Home(tmp_path / "engine", **models(server, tmp_path / "key"), **given)
        home.take_over(monkeypatch)
        try:
            await home.solve(["env-ok", "env-refusal"], f"Tell me of {SECRET} by")
            assert SECRET in home.said
            home.look_around()
            home.tell("codec", "status", "--json")
            told, count = await histories(home.home)
        finally:
            home.end()
    assert count == 2
    assert places(home.home, secret, key.encode()) == []
    assert not [f for f in traces_of(secret) if f.decode("latin-1") in told + home.said]
    database = [data for path, data in files(home.home) if path.name.startswith("temporal.db")]
    assert database
    words = [SECRET.encode(), b"merger", *traces_of(SECRET.encode())]
    assert not [word for word in words if any(word in data for data in database)]
    logs = [path for path, _ in files(home.home / "logs")]
    assert logs
    assert not [path for path in logs if SECRET.encode() in path.read_bytes()]
