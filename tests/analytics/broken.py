"""What the tests of faults share: other processes, a store with everything, a flipped byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from crp.models import MetaLearningConfig
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, record, trace


def python(code: str, *words: str) -> subprocess.Popen[str]:
    """Run code in a process of its own that finds what this one finds."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def flip(file: Path, at: bytes) -> None:
    """Change a byte within the first occurrence of something."""
    content = bytearray(file.read_bytes())
    content[content.index(at) + 3] ^= 1
    file.write_bytes(content)


def fill(store: TraceStore) -> None:
    """Something of every kind of fact."""
    for number in range(12):
        store.retrieve(f"j{number}", f"compare {number}", **{**RETRIEVE, "hold_out": 0.3})
        store.record(record(f"j{number}", task=f"compare {number}"))
    store.add_trace(trace("by hand"))
    store.score("j3", 0.1, "anna")
    store.score("j3", 0.2, "anna", "on second thoughts")
    store.curate(MetaLearningConfig(rtl_max_traces=6))
    store.record(record("again", task="compare 11"))


def ruin(database: Path) -> None:
    """Damage every block of tables that somebody has open.

    Another process does: one that closes a file loses the locks that it has on it.
    """
    process = python(RUIN, str(database))
    process.communicate()
    assert process.returncode == 0


RUIN = """
import sys
HEADERS, BLOCK = 3 * 4096, 262144
with open(sys.argv[1], "r+b") as file:
    size = file.seek(0, 2)
    for start in range(HEADERS, size, BLOCK):
        file.seek(start + 5000)
        file.write(bytes([0xA5, 0x5A, 0x99]))
"""
