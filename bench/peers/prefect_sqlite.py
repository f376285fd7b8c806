"""Prefect with its own server and SQLite: each step is a task whose result is kept on disk."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from common import STEPS, arguments, measure, note, servers


def main() -> None:
    given = arguments("prefect")
    port = _free_port()
    _settle(given.folder, port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    with (given.folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--no-ui"], stdout=log, stderr=log
        )
    servers.append(server.pid)
    try:
        _wait(f"http://127.0.0.1:{port}/api/health")
        _measure(given)
    finally:
        server.terminate()
        server.wait(30)


def _measure(given) -> None:  # type: ignore[no-untyped-def]
    from prefect import flow, task

    @task(persist_result=True)
    async def step(job: int, number: int, before: str) -> str:
        return note(job, number)

    @flow(persist_result=True)
    async def sequence(job: int) -> list[str]:
        answers: list[str] = []
        for number in range(1, STEPS + 1):
            answers.append(await step(job, number, answers[-1] if answers else ""))
        return answers

    @flow(persist_result=True)
    async def parallel(job: int) -> list[str]:
        return list(await asyncio.gather(*(step(job, n, "") for n in range(1, STEPS + 1))))

    chosen = parallel if given.shape == "parallel" else sequence

    async def job(number: int) -> None:
        assert len(await chosen(number)) == STEPS

    asyncio.run(measure(given, job, warm=1))


def _settle(folder: Path, port: int) -> None:
    os.environ |= {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLIENT_METRICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _wait(url: str, within: float = 90.0) -> None:
    over = time.monotonic() + within
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if time.monotonic() > over:
                sys.exit("the server of Prefect did not start")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
