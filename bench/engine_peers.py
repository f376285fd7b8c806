"""The peers of `bench engine`: each is a script in `bench/peers` that runs in a Python of its own.

A script does the same job on the disk of the same folder and prints one line of JSON. One whose
packages are not there says so; nothing is made up for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench.engine_jobs import Shape

Row = dict[str, Any]

SCRIPTS = Path(__file__).parent / "peers"
WITHIN = 600.0
"""Seconds that one run of a peer may take."""
MISSING = 3
"""The exit code of a script whose packages are not there."""


class Peer(NamedTuple):
    """What a peer is called in the table, its script, and what it needs from a package index."""

    name: str
    script: str
    packages: tuple[str, ...]
    most: int = 1_000_000
    """Jobs at once, so that a slow one does not take hours; the table says how many."""


PEERS = (
    Peer("DBOS, SQLite as ours is set", "dbos_sqlite_tuned.py", ("dbos",)),
    Peer("DBOS, SQLite as it comes", "dbos_sqlite.py", ("dbos",)),
    Peer(
        "LangGraph, SQLite checkpoints",
        "langgraph_sqlite.py",
        ("langgraph", "langgraph-checkpoint-sqlite"),
    ),
    Peer("Prefect, SQLite", "prefect_sqlite.py", ("prefect", "fastapi<0.130"), most=5),
    Peer("durabletask, in memory", "durabletask_memory.py", ("durabletask",)),
)


class Absent(Exception):
    """A peer that gives no figures, and why."""


def run_peer(peer: Peer, python: Path, folder: Path, shape: Shape, at_once: int) -> Row:
    """Run a peer once. Raises Absent."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        words = ["--folder", own, "--shape", shape, "--at-once", str(min(at_once, peer.most))]
        command = [str(python), str(SCRIPTS / peer.script), *words]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=WITHIN,
                check=False,
                env={**os.environ, "PYTHONSAFEPATH": ""},  # what peers share lies beside them
            )
        except subprocess.TimeoutExpired:
            raise Absent(f"no end within {WITHIN:.0f} s") from None
        except OSError as error:
            raise Absent(f"{python} can not be run: {error.strerror}") from None
    return read(peer, done.returncode, done.stdout, done.stderr)


def read(peer: Peer, code: int, out: str, err: str) -> Row:
    """Read what a script said. Raises Absent."""
    if code == MISSING:
        raise Absent(f"not installed: pip install {' '.join(peer.packages)}")
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if code or not lines:
        last = (err.strip() or "it said nothing").splitlines()[-1]
        raise Absent(f"exit code {code}: {last[:200]}")
    row: Row = json.loads(lines[-1])
    return row
