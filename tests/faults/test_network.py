"""The network between a worker and its Temporal server is cut and healed while a model answers.

The worker lives in a network namespace of its own and reaches the server over a pair of virtual
devices, of which one is taken down: packets vanish, and nobody is told. The model is beside the
worker, so its answers arrive while there is nobody to report them to.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from crp.config import load_settings
from crp.local import temporal_server
from crp.local.ports import choose_port
from crp.plugin import CRPPlugin
from crp.worker import blob_store
from tests.faults.conftest import ANSWER, Engine, until
from tests.support.model_server import ModelServer, prompt_of
from tests.support.replay import replay_server

pytestmark = pytest.mark.slow

CUT = 25.0
"""Seconds: more than a heartbeat may be late, and than the SDK tries to report what is finished."""


class Passage:
    """Passes on what arrives at a socket to a port of this machine."""

    def __init__(self, listening: socket.socket, port: int) -> None:
        self.listening, self.port = listening, port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


class Namespace:
    """A network namespace, and the cable to it."""

    def __init__(self) -> None:
        self.name = f"crp{os.getpid()}"
        self.device = f"v{os.getpid()}"
        self.address = f"10.213.{os.getpid() % 250}.1"
        _ip("netns", "add", self.name)
        _ip("link", "add", self.device, "type", "veth", "peer", "eth0", "netns", self.name)
        _ip("address", "add", f"{self.address}/24", "dev", self.device)
        _ip("link", "set", self.device, "up")
        inside = ("-n", self.name)
        _ip(*inside, "address", "add", f"{self.address[:-1]}2/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip(*inside, "link", "set", device, "up")

    def cut(self) -> None:
        _ip("link", "set", self.device, "down")

    def heal(self) -> None:
        _ip("link", "set", self.device, "up")

    def socket(self, port: int) -> socket.socket:
        """Make a socket that listens inside: it stays there, its owner does not."""
        made: list[socket.socket] = []

        def make() -> None:
            with Path(f"/run/netns/{self.name}").open() as inside:
                assert ctypes.CDLL(None).setns(inside.fileno(), 0) == 0
            made.append(socket.create_server(("127.0.0.1", port)))

        thread = threading.Thread(target=make)  # only this thread moves, and it ends
        thread.start()
        thread.join()
        return made[0]

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self.device)
        _ip("netns", "delete", self.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class RemoteEngine(Engine):
    """A Temporal server, a store's owner beside it, and a worker behind a cable."""

    def __init__(self, folder: Path, server: ModelServer, cable: Namespace) -> None:
        super().__init__(folder, server)
        self.cable = cable
        self.home.mkdir()
        (self.home / "config.toml").write_text("")
        self.port = choose_port("embedded.port", 0, 0)
        settings = load_settings(self.home)
        binary, _ = temporal_server.find_binary(settings, {})
        self.children = [self._child(list(temporal_server.command(binary, settings, self.port, 0)))]
        passage = socket.create_server((cable.address, 0))
        Passage(passage, self.port)
        model = int(server.base_url.split(":")[2].removesuffix("/v1"))
        Passage(cable.socket(model), model)
        worker = [sys.executable, "-m", "crp", "worker", "--role"]
        there = f"{cable.address}:{passage.getsockname()[1]}"
        inside = ["ip", "netns", "exec", cable.name]
        self.children += [
            self._child([*worker, "store"]),
            self._child([*inside, *worker, "work"], CRP_TEMPORAL__ADDRESS=there),
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "CRP_TEMPORAL__ADDRESS": f"127.0.0.1:{self.port}"}

    def _child(self, command: list[str], **more: str) -> subprocess.Popen[bytes]:
        with (self.work / "children.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.work,
                env={**self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def replayed(self) -> int:
        blobs = blob_store(load_settings(self.home))
        client = await Client.connect(f"127.0.0.1:{self.port}", plugins=[CRPPlugin(blobs)])
        return await replay_server(client, blobs)

    def end(self) -> None:
        for process in [*self.started, *reversed(self.children)]:
            process.kill()
            process.wait()


@pytest.fixture
def cable() -> Iterator[Namespace]:
    if sys.platform != "linux" or os.geteuid() or shutil.which("ip") is None:
        pytest.skip("a network namespace takes Linux, root and the command `ip`")
    try:
        made = Namespace()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr!r}")
    yield made
    made.remove()


@pytest.fixture
def engine(tmp_path: Path, server: ModelServer, cable: Namespace) -> Iterator[RemoteEngine]:
    made = RemoteEngine(tmp_path, server, cable)
    yield made
    made.end()


def test_a_worker_that_was_cut_off_goes_on_and_asks_nothing_twice(engine: RemoteEngine) -> None:
    task = "the chain whose worker is cut off"
    asking = engine.ask(task, "late:4")
    until(asking, "second: running")
    engine.cable.cut()
    try:
        time.sleep(CUT)
        assert _asked(engine, task).total() == 2, "the worker was not cut off"
        assert sum(task in prompt for _, prompt in engine.server.answered) == 2
    finally:
        engine.cable.heal()
    out, err = asking.communicate(timeout=180)
    assert asking.returncode == 0, err
    assert out.strip() == ANSWER
    assert len(_asked(engine, task)) == 4
    assert set(_asked(engine, task).values()) == {1}
    assert asyncio.run(engine.replayed()) == 1


def _asked(engine: Engine, task: str) -> Counter[str]:
    return Counter(p for p in map(prompt_of, engine.server.requests) if task in p)
