"""An analyst's SQL: run in a child process on a copy of the store, with limits on everything.

The copy is the limit of what a query can read, the child of what it can break. See `sandbox` for
what happens inside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from crp.errors import QueryError
from crp.models import Wire

CHILD = (sys.executable, "-P", "-m", "crp_analytics.sandbox")
"""`-P`: nothing is imported from the folder that somebody happens to work in."""

GRACE = 5.0
"""Seconds that starting the child may take beside the query's own."""

TOO_MUCH_CPU = -24
"""What `subprocess` gives for SIGXCPU."""
OUT_OF_MEMORY = (-6, -9)
"""SIGABRT, when C++ can not allocate, and SIGKILL, when the kernel takes it back."""


class Table(Wire):
    """The result of a query. Times are ISO strings, blobs hex, nested values JSON."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]
    truncated: bool = False
    """There were more rows than the cap."""


def run(database: Path, query: str, row_cap: int, seconds: float, memory_mb: int) -> Table:
    """Run one query on a copy of a store; QueryError with one line when it can not be done."""
    request = {
        "database": str(database),
        "query": query,
        "row_cap": row_cap,
        "seconds": seconds,
        "memory_mb": memory_mb,
    }
    answer = _ask_child(request)
    if "error" in answer:
        raise QueryError(answer["error"])
    return Table.model_validate(answer)


def _ask_child(request: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            CHILD,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=request["seconds"] + GRACE,
            env=_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise QueryError(_too_slow(request)) from None
    return _answer(done, request)


def _answer(done: subprocess.CompletedProcess[bytes], request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    except ValueError:
        pass
    if done.returncode == TOO_MUCH_CPU:
        raise QueryError(_too_slow(request))
    if done.returncode in OUT_OF_MEMORY or b"MemoryError" in done.stderr:
        raise QueryError(f"the query needs more than {request['memory_mb']} MB of memory")
    if done.returncode < 0:
        raise QueryError(f"the query made DuckDB crash (signal {-done.returncode})")
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no answer"]
    raise QueryError(f"the query failed: {last[0]}")


def _too_slow(request: dict[str, Any]) -> str:
    return f"the query took longer than {request['seconds']:g} s and was stopped"


def _environment() -> dict[str, str]:
    """Nothing of the owner's environment (it may hold keys) but the way to the code."""
    kept = {key: os.environ[key] for key in ("SYSTEMROOT", "LANG") if key in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {
        **kept,
        "PYTHONPATH": path,
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
