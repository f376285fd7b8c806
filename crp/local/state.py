"""What is known about the engine of a home: `engine.json`, the lock and the clients' marks.

Stored: `<home>/engine.json` (mode 0600, it holds the model server's key), replaced as a whole and
written by the supervisor alone; `<home>/clients/<pid>`, written by each client for itself. A
process is identified by its pid *and* the time it was created, because pids are used again. What
must stay true: whoever holds `<home>/engine.lock` is the only one who writes `engine.json`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crp.config import ModelSettings

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]

CLOCK_SLACK = 2.0
"""Seconds by which two readings of one process's start may differ (clocks are set by little)."""


class ProcessId(BaseModel):
    """One process, for sure: the pid and when it was created.

    On Linux that is in seconds since the boot, which is named: the kernel counts backwards from
    today's clock when it is asked for a time of day, so that would move when the clock is set.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    create_time: float
    boot: str = ""

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Identify a process. Raises psutil.NoSuchProcess."""
        return cls(pid=pid, create_time=_created(pid), boot=_boot())

    def process(self) -> psutil.Process | None:
        """The process, or None when it is gone, a zombie, or another one has its pid."""
        try:
            process = psutil.Process(self.pid)
            near = abs(_created(self.pid) - self.create_time) < CLOCK_SLACK
            same = near and self.boot == _boot()
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def _created(pid: int) -> float:
    """When a process was created. Raises psutil.NoSuchProcess."""
    if not sys.platform.startswith("linux"):
        return psutil.Process(pid).create_time()
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    # The name, in brackets, may hold anything; what follows it has a fixed order.
    return int(stat.rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


@cache
def _boot() -> str:
    """Name the boot of this machine; empty where the time of a creation is one of day."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Running:
    """An engine that can be used, and where."""

    address: str
    """Of the Temporal server, `host:port`."""
    namespace: str
    ui_url: str
    """Empty when the UI is off."""
    model_url: str
    """With `/v1`; empty when no model of the settings is the embedded one."""
    model_key: str = field(repr=False)
    """The bearer token of the model server. Not for logs."""
    pid: int
    """Of the supervisor."""
    phase: Phase
    stage: str
    """What is being started, for people."""
    foreground: bool
    """Started by `crp up`: it does not end by itself."""
    started_at: datetime
    started: bool
    """This call of `ensure` started it."""


class EngineState(BaseModel):
    """The contents of engine.json. Ports and the key are kept from one start to the next."""

    model_config = ConfigDict(extra="ignore")

    phase: Phase = "stopped"
    stage: str = ""
    error: str = ""
    """The one line that says why the engine failed."""
    supervisor: ProcessId | None = None
    children: dict[str, ProcessId] = Field(default_factory=dict)
    restarts: dict[str, int] = Field(default_factory=dict)
    started_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    foreground: bool = False
    namespace: str = "default"
    port: int = 0
    ui_port: int = 0
    ui: bool = False
    model_port: int = 0
    model_name: str = ""
    """Empty: no embedded model is served."""
    model_key: str = ""
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    """The models that the worker knows, by alias."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of Temporal's binaries."""
    release: str = ""
    """The release of our code that the engine was started with; empty: it did not say."""
    key_ids: tuple[str, ...] = ()
    """Of the keys that the worker can decrypt with; not the keys."""

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this is still there."""
        return self.supervisor is not None and self.supervisor.process() is not None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def running(self, started: bool = False) -> Running:
        """The engine as its clients see it."""
        return Running(
            address=self.address,
            namespace=self.namespace,
            ui_url=f"http://127.0.0.1:{self.ui_port}" if self.ui else "",
            model_url=f"http://127.0.0.1:{self.model_port}/v1" if self.model_name else "",
            model_key=self.model_key if self.model_name else "",
            pid=self.supervisor.pid if self.supervisor else 0,
            phase=self.phase,
            stage=self.stage,
            foreground=self.foreground,
            started_at=self.started_at,
            started=started,
        )


def state_file(home: Path) -> Path:
    return home / "engine.json"


def lock_file(home: Path) -> Path:
    return home / "engine.lock"


def log_file(home: Path, name: str) -> Path:
    return home / "logs" / f"{name}.log"


def read_state(home: Path) -> EngineState:
    """Read engine.json; a missing or unreadable one is an engine that never ran."""
    try:
        return EngineState.model_validate_json(state_file(home).read_bytes())
    except (OSError, ValidationError):
        return EngineState()


def write_state(home: Path, state: EngineState) -> None:
    """Replace engine.json as a whole, readable by its owner only. Raises OSError."""
    # mkstemp gives mode 0600 from the first byte on.
    handle, name = tempfile.mkstemp(dir=home, prefix=".engine-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=2))
        os.replace(name, state_file(home))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def mark_client(home: Path) -> None:
    """Say that this process uses the engine, until it ends or calls `unmark_client`."""
    me = ProcessId.of(os.getpid())
    folder = home / "clients"
    folder.mkdir(exist_ok=True)
    (folder / str(me.pid)).write_text(me.model_dump_json())


def unmark_client(home: Path) -> None:
    (home / "clients" / str(os.getpid())).unlink(missing_ok=True)


def live_clients(home: Path) -> int:
    """Count the processes that use the engine; marks of dead ones are removed."""
    count = 0
    for mark in (home / "clients").glob("*"):
        try:
            alive = ProcessId.model_validate_json(mark.read_bytes()).process() is not None
        except (OSError, ValidationError):
            alive = False
        count += alive
        if not alive:
            mark.unlink(missing_ok=True)
    return count
