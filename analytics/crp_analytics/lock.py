"""One owner per store directory.

Stored: `owner.lock` (held with the operating system's file lock for as long as the owner lives,
so a killed owner leaves nothing behind) and `owner.pid`, which only tells people who it is. They
are two files because taking the lock empties the file.
"""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from crp.errors import StoreError


class Owner:
    """Hold a store directory for this process, or say which process holds it."""

    def __init__(self, directory: Path) -> None:
        self._pid = directory / "owner.pid"
        self._lock = FileLock(directory / "owner.lock", timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise StoreError(self._taken(directory)) from None
        except OSError as error:
            raise StoreError(
                f"can not lock the trace store {directory}: {error.strerror}"
            ) from error
        self._pid.write_text(str(os.getpid()), encoding="ascii")

    def release(self) -> None:
        """Let another process own the directory."""
        self._pid.unlink(missing_ok=True)
        self._lock.release()

    def _taken(self, directory: Path) -> str:
        try:
            who = f"process {int(self._pid.read_text(encoding='ascii'))}"
        except (OSError, ValueError):
            who = "another process"
        return f"the trace store {directory} is in use by {who}: a store has one owner at a time"
