"""What the engine needs of the machine before it starts: a place to write and room.

Each check raises EngineError with one line that names the setting and the way out. `passed_on`
hands the settings of this process to a child through the environment.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from crp.config import Settings
from crp.errors import EngineError

FULL = 500_000
"""Free bytes below which a failure is the disk's."""

LOG_LIMIT = 5_000_000
"""Bytes after which a log is set aside at the next start."""


def prepare_home(settings: Settings) -> None:
    """Make the home's folders and check that there is room. Raises EngineError."""
    home = settings.home
    try:
        for folder in (home, home / "logs", home / "clients"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_room(settings)
        probe = home / f".writable-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise EngineError(not_writable(home, error)) from None


def check_room(settings: Settings) -> None:
    """Refuse a disk with less than `embedded.min_free_mb` megabytes. Raises EngineError."""
    free = shutil.disk_usage(settings.home).free // 1_000_000
    if free < settings.embedded.min_free_mb:
        raise EngineError(disk_full(settings.home, f"{free} MB free"))


def is_full(home: Path) -> bool:
    """Whether the disk has no room at all: then not even the reason of a failure is in a log."""
    try:
        return shutil.disk_usage(home).free < FULL
    except OSError:
        return False


def disk_full(home: Path, found: str) -> str:
    return (
        f"the disk of {home} is full ({found}): make room, or take another place with --home "
        "(the limit is the setting embedded.min_free_mb)"
    )


def not_writable(home: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"the home directory {home} can not be used ({reason}): set CRP_HOME or --home"


def rotate_log(log: Path) -> None:
    """Set a large log aside; one older one is kept."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        os.replace(log, log.with_suffix(".log.1"))


def passed_on(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Give the environment in which `load_settings()` reads exactly these settings.

    A child runs in another directory, so it would not see the `crp.toml` of this one, nor what
    was given as arguments.
    """
    fields = settings.model_dump(mode="json", exclude={"home"})
    names = {f"CRP_{field.upper()}": field for field in fields}
    kept = {k: v for k, v in environment.items() if k.upper().split("__")[0] not in names}
    values = {name: fields[field] for name, field in names.items()}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    return {**kept, **texts, "CRP_HOME": str(settings.home)}
