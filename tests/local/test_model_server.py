"""The real model server with the real model."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from crp.local import model_server, stop
from crp.local.state import read_state

pytestmark = pytest.mark.slow


@pytest.fixture
async def engine(make, start, model_cache):
    settings = make(models={}, cache=model_cache)
    running = await start(settings)
    return settings, running


def client(running, key=None):
    headers = {"Authorization": f"Bearer {running.model_key if key is None else key}"}
    return httpx.AsyncClient(base_url=running.model_url, headers=headers, timeout=120)


def ask(text, **options):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **options}


async def test_the_served_model_answers_with_the_key_and_survives_kill_9(engine, start, until):
    settings, running = engine
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Lena", "Vue"]}},
        "required": ["name"],
    }
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with client(running, key="wrong") as stranger:
        assert (await stranger.post("/chat/completions", json=ask("Hi"))).status_code == 401
        assert (await stranger.get("/models")).status_code == 401
    async with client(running) as http:
        four = await asyncio.gather(
            *(http.post("/chat/completions", json=ask(f"Say {n}.")) for n in range(4))
        )
        assert all(r.json()["choices"][0]["message"]["content"] for r in four)
        body = ask("A name.", max_tokens=40, response_format=shape)
        answer = (await http.post("/chat/completions", json=body)).json()
        assert '"name"' in answer["choices"][0]["message"]["content"]
        assert answer["model"] == "smollm2-135m-instruct"
        long = await http.post("/chat/completions", json=ask("word " * 5000))
        assert long.status_code == 400
        assert long.json()["error"]["type"] == "exceed_context_size_error"
        slots = (await http.get(running.model_url.removesuffix("/v1") + "/slots")).json()
        assert [slot["n_ctx"] for slot in slots] == [4096] * 4
        cross = await http.get("/models", headers={"Origin": "http://evil.example"})
        assert cross.headers.get("access-control-allow-origin", "") not in (
            "*",
            "http://evil.example",
        )
    os.kill(read_state(settings.home).children["model"].pid, signal.SIGKILL)
    await until(lambda: read_state(settings.home).restarts["model"] == 1)

    async def up():
        try:
            return await model_server.healthy(read_state(settings.home).model_port)
        except OSError:
            return False

    async with asyncio.timeout(60):
        while not await up():  # noqa: ASYNC110 - what it waits for is another process
            await asyncio.sleep(0.1)
    async with client(running) as http:
        assert (await http.post("/chat/completions", json=ask("Hi"))).status_code == 200
    assert await stop(settings)


def serve(*arguments: str, key: str = "k") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crp.local.model_server", "--name", "m", *arguments],
        env={**os.environ, "CRP_MODEL_KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_taken_port_is_noticed_before_the_model_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve("--model", str(tmp_path / "never read"), "--port", str(port))
        line = model_server.explain(done.stdout, tmp_path, port)
    assert done.returncode == 1
    assert "CRP_EMBEDDED__MODEL_PORT" in line


def test_a_file_that_is_no_model_is_named(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"not a model" * 100)
    done = serve("--model", str(file))
    assert done.returncode == 1
    assert str(file) in model_server.explain(done.stdout + done.stderr, file, 0)


def test_without_a_key_nothing_is_served(tmp_path):
    done = serve("--model", str(tmp_path / "m.gguf"), key="")
    assert done.returncode == 2
    assert "CRP_MODEL_KEY" in done.stdout


async def test_a_model_that_is_elsewhere_is_not_served_here(make, start):
    running = await start(make())
    assert running.model_url == ""
    assert running.model_key == ""
