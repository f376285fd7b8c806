"""What no input may do: take long, raise what is not promised, or be answered without a place."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from crp.errors import TemplateError, UsageError
from crp.language.calculate import Unworkable
from crp.language.codes import CODES
from crp.models import Problem

SECONDS = 1.0
"""CPU time of one call of the engine."""


class Slow(BaseException):
    """A call took too long. Not an Exception: nothing on the way may keep it."""


class Wrong(Exception):
    """What came back is not what was promised."""


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Stop what takes more CPU time than it may, even where C code gives no chance to."""
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if (took := time.process_time() - start) > SECONDS:
        raise Slow(f"{what} took {took:.2f} s")


def stop(number: int, frame: FrameType | None) -> None:
    raise Slow(f"more than {SECONDS:g} s of CPU time")


def peak() -> float:
    """Peak of this process's resident memory in MB. Linux's own count where there is one: that of
    getrusage also remembers the process that started this one."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def must(held: bool, what: str, seen: object = "") -> None:
    if not held:
        raise Wrong(f"not so: {what}: {seen!r:.2000}")


@contextmanager
def told() -> Iterator[None]:
    """What a template is told while a job runs is one line too."""
    try:
        yield
    except TemplateError as error:
        one_line = all(len(p.message.splitlines()) == 1 for p in error.problems)
        must(one_line, "a message is one line", error.problems)
    except (UsageError, Unworkable) as error:
        must(len(str(error).splitlines()) == 1, "a message is one line", error)


def check_problems(problems: Sequence[Problem], files: dict[str, str | bytes]) -> None:
    for problem in problems:
        lines = _lines(files[problem.file])
        must(1 <= problem.line <= len(lines) + 1, "a problem's line is in the file", problem)
        width = len(lines[problem.line - 1]) if problem.line <= len(lines) else 0
        must(1 <= problem.column <= width + 1, "a problem's column is in its line", problem)
        must(problem.width >= 1, "a caret is there")
        must(problem.code in CODES, "a problem's code is known")
        for said in (problem.message, problem.help, problem.source_line):
            must(len(said.splitlines()) <= 1, "a message is one line", problem)
            must(len(said) <= 1000, "a message has an end", problem)
        must(str(problem).startswith(problem.file), "a problem can be shown")
        problem.model_dump_json()


def _lines(text: str | bytes) -> list[str]:
    """The lines that people see: what can not be read is a sign too."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return text.splitlines()
