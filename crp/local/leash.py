"""Children that do not outlive their parent, whatever happens to it.

`leashed` puts this file in front of a command line: on Linux the kernel then kills the child when
its parent dies, kill -9 included, and it costs 15 ms. Elsewhere Python children call
`follow_parent`, and what is still left is ended at the next start (see `supervisor.py`).

This file is also run as a script, isolated and without site-packages: standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def leashed(argv: Sequence[str]) -> list[str]:
    """Give the command line that runs `argv` as a child of this process and no longer."""
    if not sys.platform.startswith("linux"):
        return list(argv)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def follow_parent(every: float = 1.0) -> None:
    """End this process when its parent dies; looks every `every` seconds. POSIX only."""
    if sys.platform == "win32":
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(1)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def main(argv: Sequence[str]) -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the command."""
    import ctypes

    parent, command = int(argv[0]), list(argv[1:])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"Error: {command[0]} can not be run: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
