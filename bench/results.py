"""What was measured, one JSON line each, added as soon as it is known: nothing is lost by Ctrl-C.

Touches the files of `bench/results/`, and asks git which commit this is.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "results"

Line = dict[str, Any]


def stamp() -> Line:
    """When and on which commit something was measured; `+` marks changes not committed."""
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit()}


def read_lines(path: Path) -> list[Line]:
    """Read a file of results. A line that a crash cut off is left out."""
    if not path.exists():
        return []
    return [line for text in path.read_text("utf-8").splitlines() if (line := _parsed(text))]


def add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one result; a line that a crash cut off before it is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(line, ensure_ascii=False) + "\n")


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _commit() -> str:
    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except OSError:
        return ""
