"""The file of results: one JSON line a finished task, written as it comes.

What is stored: `Outcome`, one a line; the last line of an id is the one that counts. What must stay
true: a line is whole or is the last one (a killed process leaves half a line at most, which the
next run takes away), and one process at a time writes a file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from filelock import FileLock, Timeout
from pydantic import JsonValue, ValidationError

from crp.errors import CRPError, UsageError
from crp.models import JobResult, Usage, Wire

_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What may steer a terminal, end a line for some readers, or is no character."""

Status = Literal["completed", "incomplete", "failed", "cancelled"]
GOOD = ("completed", "incomplete")


class Outcome(Wire):
    """How one task of a batch ended."""

    id: str
    job_id: str = ""
    """Empty when no job could be started; the next run tries again."""
    status: Status
    answer: str = ""
    quality: float | None = None
    error: str = ""
    template: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    digest: str = ""
    """Of what was asked: a task that was changed since is asked again."""

    @property
    def good(self) -> bool:
        """Whether there is an answer."""
        return self.status in GOOD

    @property
    def over(self) -> bool:
        """Whether the task needs no further run."""
        return bool(self.job_id)


def outcome_of(
    task_id: str, digest: str, job_id: str, result: JobResult | None, error: CRPError | None
) -> Outcome:
    """Make the line of a job that has ended."""
    if result is None:
        cancelled = str(error) == "the job was cancelled"
        return Outcome(
            id=task_id,
            job_id=job_id,
            status="cancelled" if cancelled else "failed",
            error=str(error or "the job ended without a result"),
            digest=digest,
        )
    status: Status = "failed" if result.status == "running" else result.status
    return Outcome(
        id=task_id,
        job_id=job_id,
        status=status,
        answer=result.answer,
        quality=result.quality,
        error=result.error or (str(error) if error else ""),
        template=result.template,
        usage=result.usage,
        seconds=result.seconds,
        notes=result.notes,
        digest=digest,
    )


@dataclass
class Before:
    """What earlier runs gave."""

    known: dict[str, Outcome] = field(default_factory=dict)
    """By task id, without answers: the last outcome of each."""
    used: Usage = field(default_factory=Usage)
    """By all of their jobs, also by those of tasks that were tried again."""
    jobs: int = 0

    def add(self, outcome: Outcome) -> None:
        self.known[outcome.id] = outcome.model_copy(update={"answer": "", "notes": ()})
        self.used += outcome.usage
        self.jobs += outcome.over


class Results:
    """Where outcomes go; use `writing`."""

    def __init__(self, stream: IO[str], before: Before) -> None:
        self.before = before
        self._stream = stream

    def write(self, outcome: Outcome) -> None:
        """Append a line; it is in the file when this returns."""
        data: dict[str, JsonValue] = outcome.model_dump(mode="json")
        text = json.dumps(data, ensure_ascii=False)
        self._stream.write(_UNSAFE.sub(lambda m: f"\\u{ord(m.group()):04x}", text) + "\n")
        self._stream.flush()


@contextmanager
def writing(path: Path | None) -> Iterator[Results]:
    """Open a file of results, or stdout for None, and read what it has.

    Raises UsageError when another process writes it, or when it holds something else.
    """
    if path is None:
        yield Results(sys.stdout, Before())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"another `crp batch` writes {path} now: give --out another file"
        ) from None
    try:
        before = read_results(path)
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            yield Results(stream, before)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # while it is ours
        lock.release()


def read_results(path: Path) -> Before:
    """Read what earlier runs gave; half a line at the end is removed.

    Raises UsageError when the file is not one of results.
    """
    before = Before()
    if not path.exists():
        return before
    whole = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            if line.strip():
                before.add(_outcome(line, f"{path}:{number}"))
    if whole < path.stat().st_size:
        with path.open("rb+") as file:
            file.truncate(whole)
    return before


def _outcome(line: bytes, place: str) -> Outcome:
    try:
        return Outcome.model_validate_json(line)
    except ValidationError:
        raise UsageError(
            f"{place} is not a line that `crp batch` wrote: give --out another file"
        ) from None
