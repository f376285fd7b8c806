"""The command line: a file a command group. `main` is what the command `crp` runs.

`app` puts the groups together, `guard` turns every error into one line and an exit code, `terminal`
is the only way to the user's screen. What is heavy (Temporal, DuckDB, the template language) is
imported inside the commands, so that `crp --help` is there at once.
"""

from __future__ import annotations

import atexit
import os
import sys


def main() -> None:
    """Run one command line and end the process with its exit code."""
    from crp.cli.app import app

    try:
        app(prog_name="crp")
    except SystemExit as end:
        if "temporalio" not in sys.modules or not isinstance(end.code, int):
            raise
        _end_now(end.code)


def _end_now(code: int) -> None:
    """End without Python's finalization.

    Threads of temporalio's core still deliver answers then, and a process that has done all its
    work sometimes aborted there (`PyGILState_Release: thread state must be current`).
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever read it is gone
            continue
    os._exit(code)
