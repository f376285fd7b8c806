"""The command line: a file a command group. `main` is what the command `crp` runs.

`app` puts the groups together, `guard` turns every error into one line and an exit code, `terminal`
is the only way to the user's screen. What is heavy (Temporal, DuckDB, the template language) is
imported inside the commands, so that `crp --help` is there at once.
"""

from __future__ import annotations


def main() -> None:
    """Run one command line and end the process with its exit code."""
    from crp.cli.app import app

    app(prog_name="crp")
