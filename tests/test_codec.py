"""Encryption at rest: nothing readable in Temporal, keys that change, a server that shows it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from crp.blobs import BlobStore
from crp.cli.app import app
from crp.cli.asking import request_of
from crp.codec import KEY_ID, EncryptionCodec, is_encrypted
from crp.codec_server import Access, CodecServer
from crp.config import Settings, load_settings
from crp.converter import BlobDriver, data_converter
from crp.encryption import Keyring, add_key, keyring, new_key, parsed
from crp.errors import NON_RETRYABLE, ConfigError, KeyMissing, StoreError, UsageError
from crp.local.engine import lacks
from crp.local.roster import known_models
from crp.local.state import EngineState
from crp.models import Task
from crp.plugin import CRPPlugin
from crp.sealing import LARGE

SECRET = "the merger of Zorb and Blib"
OLD, NEW = new_key(), new_key()


def ring(*keys: str) -> Keyring:
    return parsed("\n".join(keys), "a test")


def sealed(text: str, *keys: str, job_id: str = "") -> Payload:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=text.encode())
    return EncryptionCodec(ring(*keys), job_id).sealed(payload)


def key_file(path: Path, *keys: str, mode: int = 0o600) -> Path:
    path.write_text("".join(f"{key}\n" for key in keys))
    path.chmod(mode)
    return path


def settings_with(tmp_path: Path, **encryption: Any) -> Settings:
    return load_settings(tmp_path / "home", encryption=encryption)


# -- payloads -------------------------------------------------------------------------------------


def test_a_payload_is_unreadable_but_for_the_id_of_its_key() -> None:
    payload = sealed(SECRET, OLD)
    raw = payload.SerializeToString()
    assert SECRET.encode() not in raw
    assert b"json/plain" not in raw
    assert payload.metadata[KEY_ID].decode() == ring(OLD).ids[0]
    assert base64.b64decode(OLD) not in raw
    assert EncryptionCodec(ring(OLD)).opened(payload).data == SECRET.encode()


def test_the_first_key_encrypts_and_all_of_them_decrypt() -> None:
    both = EncryptionCodec(ring(NEW, OLD))
    before, after = sealed(SECRET, OLD), sealed(SECRET, NEW, OLD)
    assert after.metadata[KEY_ID].decode() == ring(NEW).ids[0]
    assert both.opened(before) == both.opened(after)


def test_a_missing_key_is_named_with_the_way_out_and_is_no_reason_to_fail() -> None:
    for keys in (ring(NEW), Keyring()):
        with pytest.raises(KeyMissing) as caught:
            EncryptionCodec(keys).opened(sealed(SECRET, OLD))
        assert ring(OLD).ids[0] in str(caught.value)
        assert "encryption.keys_file" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "KeyMissing" not in NON_RETRYABLE


def test_what_was_written_before_there_was_a_key_is_still_read() -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    assert EncryptionCodec(ring(NEW)).opened(plain) == plain


@pytest.mark.parametrize("place", [0, 12, 20, -1])
def test_a_changed_bit_is_noticed(place: int) -> None:
    payload = sealed(SECRET, OLD)
    data = bytearray(payload.data)
    data[place] ^= 1
    payload.data = bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        EncryptionCodec(ring(OLD)).opened(payload)


def test_a_payload_of_another_key_can_not_be_passed_off_under_this_one() -> None:
    payload = sealed(SECRET, OLD)
    payload.metadata[KEY_ID] = ring(NEW).ids[0].encode()
    with pytest.raises(StoreError):
        EncryptionCodec(ring(NEW, OLD)).opened(payload)


@pytest.mark.parametrize("size", [0, 5])
def test_small_payloads_that_are_equal_do_not_look_equal(size: int) -> None:
    assert sealed("y" * size, OLD).data != sealed("y" * size, OLD).data


def test_large_payloads_that_are_equal_look_equal_within_a_job_only() -> None:
    text = "y" * LARGE
    assert sealed(text, OLD, job_id="a") == sealed(text, OLD, job_id="a")
    assert sealed(text, OLD, job_id="a").data != sealed(text, OLD, job_id="b").data
    assert sealed(text, OLD, job_id="a").data != sealed(text, NEW, job_id="a").data


async def test_blobs_of_payloads_are_encrypted_and_lie_there_once_for_a_job(
    tmp_path: Path,
) -> None:
    converter = data_converter(BlobStore(tmp_path), keys=ring(OLD))
    of_job = converter.with_context(WorkflowSerializationContext("default", "job-1"))
    big = SECRET * 1000
    payloads = await of_job.encode([big, "small", big])
    assert await of_job.decode(payloads, [str, str, str]) == [big, "small", big]
    assert await converter.decode(payloads[:1], [str]) == [big]
    blobs = [p for p in tmp_path.rglob("*") if p.is_file() and len(p.name) == 64]
    assert len(blobs) == 1
    assert SECRET.encode() not in blobs[0].read_bytes()


async def test_without_keys_nothing_is_encrypted_and_what_is_says_so() -> None:
    bare = data_converter(None)
    [plain] = await bare.encode([SECRET])
    assert not is_encrypted(plain)
    with pytest.raises(KeyMissing, match="there is no key here"):
        await bare.decode(await data_converter(None, keys=ring(OLD)).encode([SECRET]))


async def test_a_megabyte_comes_back_whole() -> None:
    converter = data_converter(None, keys=ring(OLD))
    big = "ä" * 1_000_000
    assert await converter.decode(await converter.encode([big]), [str]) == [big]


def test_keys_beside_a_codec_of_the_users_own_are_refused() -> None:
    class Own(EncryptionCodec.__base__):  # type: ignore[misc, name-defined]
        async def encode(self, payloads: Any) -> Any: ...
        async def decode(self, payloads: Any) -> Any: ...

    import dataclasses

    theirs = dataclasses.replace(data_converter(None), payload_codec=Own())
    with pytest.raises(ConfigError, match="codec of its own"):
        CRPPlugin(keys=ring(OLD)).configure_client({"data_converter": theirs})  # type: ignore[typeddict-item]
    config = CRPPlugin().configure_client({"data_converter": theirs})  # type: ignore[typeddict-item]
    assert config["data_converter"].payload_codec is theirs.payload_codec


# -- where keys come from -------------------------------------------------------------------------


def test_keys_come_from_a_file_with_comments(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", "# of November", NEW, "", OLD)
    assert keyring(settings_with(tmp_path, keys_file=str(path))).ids == ring(NEW, OLD).ids


def test_keys_come_from_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEYS", f"{NEW},{OLD}")
    assert keyring(settings_with(tmp_path, keys_env="MY_KEYS")).ids == ring(NEW, OLD).ids


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "keys", OLD, mode=mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        keyring(settings_with(tmp_path, keys_file=str(path)))


@pytest.mark.parametrize(
    "content",
    ["", "# nothing", "hunter2", OLD[:-4], OLD + OLD, "é" * 44],
    ids=["empty", "comment", "short", "cut", "twice", "letters"],
)
def test_what_is_no_key_is_one_line_that_does_not_show_it(tmp_path: Path, content: str) -> None:
    path = key_file(tmp_path / "keys", content)
    with pytest.raises(ConfigError) as caught:
        keyring(settings_with(tmp_path, keys_file=str(path)))
    message = str(caught.value)
    assert "crp codec new-key" in message
    assert "\n" not in message
    assert not content or content not in message


def test_a_variable_or_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_KEYS is not set"):
        keyring(settings_with(tmp_path, keys_env="NO_SUCH_KEYS"))
    with pytest.raises(ConfigError, match=r"keys\.txt can not be read"):
        keyring(settings_with(tmp_path, keys_file=str(tmp_path / "keys.txt")))
    with pytest.raises(ConfigError, match="give one of"):
        settings_with(tmp_path, keys_file="a", keys_env="B")


def test_a_key_where_the_name_of_a_variable_belongs_is_not_shown(tmp_path: Path) -> None:
    for setting in ({"encryption": {"keys_env": OLD}}, {"temporal": {"api_key_env": "sk-1 2"}}):
        with pytest.raises(ConfigError, match="not the name of an environment variable") as caught:
            load_settings(tmp_path / "home", **setting)
        assert OLD not in str(caught.value)
        assert "sk-1" not in str(caught.value)


def test_a_relative_file_is_found_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file(tmp_path / "keys", OLD)
    monkeypatch.chdir(tmp_path)
    settings = settings_with(tmp_path, keys_file="keys")
    monkeypatch.chdir("/")
    assert keyring(settings).ids == ring(OLD).ids


def test_a_key_never_shows_itself() -> None:
    keys = ring(OLD)
    for text in (repr(keys), repr(keys.first), str(vars(keys))):
        assert OLD not in text


def test_a_new_key_encrypts_and_one_on_standby_does_not(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = add_key(path)
    standby = add_key(path, standby=True)
    newest = add_key(path)
    assert keyring(settings_with(tmp_path, keys_file=str(path))).ids == (newest, first, standby)
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["keys"]


def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path: Path) -> None:
    path = key_file(tmp_path / "notes", "buy milk")
    with pytest.raises(ConfigError, match="not a key"):
        add_key(path)
    assert path.read_text() == "buy milk\n"


def test_an_engine_that_lacks_our_first_key_is_told_so_and_not_used(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", NEW, OLD)
    settings = settings_with(tmp_path, keys_file=str(path))
    state = EngineState(models=known_models(settings), model_name="a model")
    new, old = ring(NEW, OLD).ids
    assert lacks(state, settings) == f"the encryption key {new}"
    assert lacks(state.model_copy(update={"key_ids": (old,)}), settings) != ""
    assert lacks(state.model_copy(update={"key_ids": (old, new)}), settings) == ""


def test_an_id_has_no_word_of_the_task_where_there_is_a_key(tmp_path: Path) -> None:
    def job_id(settings: Settings) -> str:
        return request_of(settings, Task(text=SECRET), settings.profiles()).job().job_id

    assert "merger" in job_id(load_settings(tmp_path / "home"))
    discreet = job_id(settings_with(tmp_path, keys_env="ANY"))
    assert not any(word in discreet for word in ("merger", "zorb", "blib"))


# -- the codec server -----------------------------------------------------------------------------

PAGE = "http://localhost:8233"


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def server(blobs: BlobStore, request: pytest.FixtureRequest) -> Iterator[CodecServer]:
    access = getattr(request, "param", Access(origins=(PAGE,)))
    made = CodecServer(EncryptionCodec(ring(NEW, OLD)), BlobDriver(blobs), access, "127.0.0.1", 0)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def ask(
    server: CodecServer, path: str, body: Any = None, method: str = "POST", **headers: str
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    data = body if isinstance(body, bytes) else json.dumps(body or {"payloads": []}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, data, {"Content-Type": "application/json", **named})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text, {k.lower(): v for k, v in response.getheaders()}


def as_json(payload: Payload) -> dict[str, Any]:
    metadata = {k: base64.b64encode(v).decode() for k, v in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


def test_what_it_encodes_it_decodes(server: CodecServer) -> None:
    plain = as_json(Payload(metadata={"encoding": b"json/plain"}, data=SECRET.encode()))
    status, text, _ = ask(server, "/encode", {"payloads": [plain]})
    assert status == 200
    assert base64.b64encode(SECRET.encode()).decode() not in text
    status, text, _ = ask(server, "/decode", json.loads(text))
    assert (status, json.loads(text)) == (200, {"payloads": [plain]})


async def test_it_fetches_what_lies_in_the_blob_store(
    server: CodecServer, blobs: BlobStore
) -> None:
    [reference] = await data_converter(blobs, keys=ring(OLD)).encode([SECRET * 1000])
    status, text, _ = await asyncio.to_thread(
        ask, server, "/decode", {"payloads": [as_json(reference)]}
    )
    assert status == 200
    assert base64.b64decode(json.loads(text)["payloads"][0]["data"]).decode().count(SECRET) == 1000


def test_a_key_that_it_does_not_have_is_named(server: CodecServer) -> None:
    payload = sealed(SECRET, new_key())
    status, text, _ = ask(server, "/decode", {"payloads": [as_json(payload)]})
    assert status == 400
    assert payload.metadata[KEY_ID].decode() in text


def test_only_the_given_page_may_ask(server: CodecServer) -> None:
    for method in ("OPTIONS", "POST"):
        status, _, headers = ask(server, "/decode", method=method, Origin=PAGE)
        assert status in (200, 204)
        assert headers["access-control-allow-origin"] == PAGE
        status, _, headers = ask(server, "/decode", method=method, Origin="http://evil.example")
        assert status == 403
        assert "access-control-allow-origin" not in headers


def test_a_foreign_name_that_was_pointed_at_this_machine_gets_nothing(server: CodecServer) -> None:
    assert ask(server, "/decode", Host="evil.example")[0] == 403
    assert ask(server, "/decode", Host="localhost:8081")[0] == 200
    assert ask(server, "/decode", Host="[::1]:8081")[0] == 200


@pytest.mark.parametrize("server", [Access(token="open sesame")], indirect=True)
def test_with_a_token_only_who_has_it_gets_an_answer(server: CodecServer) -> None:
    assert ask(server, "/decode")[0] == 401
    assert ask(server, "/decode", Authorization="Bearer wrong")[0] == 401
    assert ask(server, "/decode", Authorization="Bearer open sesame")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        ("/", {}, {}, 404),
        ("/decode", b"not json", {}, 400),
        ("/decode", b"\xff\xfe", {}, 400),
        ("/decode", b'{"payloads": 3}', {}, 400),
        ("/decode", b"[" * 100_000, {}, 400),
        ("/decode", {}, {"Content_Type": "text/plain"}, 415),
        ("/decode", b"", {"Content_Length": "99999999999"}, 413),
        ("/decode", b"", {"Content_Length": "x"}, 411),
    ],
)
def test_nonsense_is_refused(
    server: CodecServer, path: str, body: Any, headers: dict[str, str], expected: int
) -> None:
    assert ask(server, path, body, **headers)[0] == expected
    assert ask(server, "/decode")[0] == 200


# -- the commands ---------------------------------------------------------------------------------


def crp(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CRP_")}
    return subprocess.run(
        [sys.executable, "-m", "crp", *words],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_status_tells_ids_and_never_keys(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", NEW, OLD)
    given = {"CRP_HOME": str(tmp_path), "CRP_ENCRYPTION__KEYS_FILE": str(path)}
    for words in ((), ("--json",)):
        done = crp("codec", "status", *words, **given)
        assert all(id in done.stdout for id in ring(NEW, OLD).ids)
        assert OLD not in done.stdout + done.stderr
        assert NEW not in done.stdout + done.stderr
    assert "off" in crp("codec", "status", CRP_HOME=str(tmp_path)).stdout


@pytest.mark.parametrize(
    "words",
    [("codec", "status"), ("codec", "serve"), ("run", "Compare tea and coffee"), ("up",)],
    ids=" ".join,
)
def test_no_command_goes_on_without_the_key_that_the_settings_name(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = crp(*words, CRP_HOME=str(tmp_path), CRP_ENCRYPTION__KEYS_ENV="NO_SUCH_KEYS")
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.count("\n") == 1
    assert "NO_SUCH_KEYS is not set" in done.stderr


def test_a_worker_refuses_to_start_without_the_key(tmp_path: Path) -> None:
    given = {"CRP_TEMPORAL__ADDRESS": "127.0.0.1:9", "CRP_ENCRYPTION__KEYS_ENV": "NO_SUCH_KEYS"}
    done = crp("worker", CRP_HOME=str(tmp_path), **given)
    assert done.returncode == ConfigError.exit_code
    assert "NO_SUCH_KEYS is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_beyond_this_machine_the_codec_server_wants_a_token(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", OLD)
    given = {"CRP_HOME": str(tmp_path), "CRP_ENCRYPTION__KEYS_FILE": str(path)}
    done = crp("codec", "serve", "--host", "0.0.0.0", "--port", "0", **given)
    assert done.returncode == UsageError.exit_code
    assert "--token-env" in done.stderr


# -- with a real server ---------------------------------------------------------------------------


@activity.defn
async def shout(text: str) -> str:
    if text.startswith("fail"):
        raise ApplicationError(f"{SECRET} failed", SECRET, non_retryable=True)
    return text.upper()


@workflow.defn(sandboxed=False)
class Shouting:
    @workflow.run
    async def run(self, text: str) -> str:
        return await workflow.execute_activity(
            shout, text, start_to_close_timeout=timedelta(seconds=20), summary=SECRET
        )


def binary() -> str:
    here = str(Path(sys.executable).parent)
    return shutil.which("temporal", path=here) or shutil.which("temporal") or "temporal"


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The address of a real server, and the file of its database."""
    database = tmp_path / "temporal.db"
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary(), dev_server_database_filename=str(database)
    ) as environment:
        yield environment.client.service_client.config.target_host, database


async def client_with(address: str, blobs: BlobStore, *keys: str) -> Client:
    plugin = CRPPlugin(blobs, keys=ring(*keys) if keys else None)
    return await Client.connect(address, plugins=[plugin])


def worker(client: Client) -> Worker:
    return Worker(client, task_queue="q", workflows=[Shouting], activities=[shout])


def shown(history: str) -> list[str]:
    """The payloads of a history as JSON, each as text."""
    found = re.findall(r'"data": "([^"]*)"', history)
    assert found
    return [base64.b64decode(data).decode("utf-8", "replace") for data in found]


async def started(client: Client, text: str, name: str) -> Any:
    return await client.start_workflow(
        Shouting.run,
        text,
        id=name,
        task_queue="q",
        memo={"task": text},
        static_summary=text,
        run_timeout=timedelta(seconds=60),
    )


@pytest.mark.slow
async def test_neither_history_nor_database_has_a_word_of_a_job(
    temporal: tuple[str, Path], blobs: BlobStore
) -> None:
    address, database = temporal
    client = await client_with(address, blobs, OLD)
    long = f"{SECRET} {'x' * 10_000}"
    async with worker(client):
        for number, text in enumerate((SECRET, long)):
            handle = await started(client, text, f"good-{number}")
            assert await handle.result() == text.upper()
            described = await handle.describe()
            assert await described.memo_value("task") == text
            if len(text) < 400:
                assert await described.static_summary() == text
        handle = await started(client, f"fail {SECRET}", "bad")
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert f"{SECRET} failed" in str(caught.value.cause.cause)  # type: ignore[attr-defined]
    files = [p for p in database.parent.rglob("*") if p.is_file()]
    assert len(files) > 2
    for file in files:
        data = file.read_bytes()
        for word in (SECRET.encode(), SECRET.upper().encode(), base64.b64encode(SECRET.encode())):
            assert word not in data, file


@pytest.mark.slow
async def test_a_worker_without_the_key_loses_nothing_and_one_with_it_finishes_the_job(
    temporal: tuple[str, Path], blobs: BlobStore, caplog: pytest.LogCaptureFixture
) -> None:
    address, _ = temporal
    client = await client_with(address, blobs, OLD)
    handle = await started(client, SECRET, "waits")
    async with worker(await client_with(address, blobs, NEW)):
        async with asyncio.timeout(30):
            while ring(OLD).ids[0] not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert (await handle.describe()).close_time is None
    async with worker(await client_with(address, blobs, OLD, NEW)):
        assert await handle.result() == SECRET.upper()


@pytest.mark.slow
async def test_temporals_own_command_line_shows_it_through_the_codec_server(
    temporal: tuple[str, Path], blobs: BlobStore, server: CodecServer
) -> None:
    address, _ = temporal
    client = await client_with(address, blobs, OLD)
    long = f"{SECRET} {'x' * 10_000}"
    async with worker(client):
        await (await started(client, long, "shown")).result()
    show = [binary(), "workflow", "show", "-w", "shown", "--address", address, "--output", "json"]
    codec = ["--codec-endpoint", server.url]
    dark, light = [
        await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        for command in (show, [*show, *codec])
    ]
    assert dark.returncode == light.returncode == 0, light.stderr
    assert not any(SECRET in text for text in shown(dark.stdout))
    assert any(SECRET in text for text in shown(light.stdout))
    assert any(SECRET.upper() in text for text in shown(light.stdout))


def test_the_commands_are_there() -> None:
    assert "codec" in {group.name for group in app.registered_groups}
