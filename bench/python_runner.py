"""Runs Python that a model wrote, to see whether it does what the task's examples say.

Only plain computing gets through: few imports, no names with two underscores, no open or input; in
a process of its own, with little time and memory, no environment, an empty directory. That stops
accidents. It is not a wall against code that wants out.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import cast

from crp.language.words import word_set

SECONDS = 5
"""Of wall time for all examples; each has one second of its own."""

IMPORTS = word_set(
    "math re string collections itertools functools datetime statistics typing fractions decimal "
    "random operator heapq bisect __future__"
)
_REFUSED = word_set(
    "open input exec eval compile __import__ breakpoint globals locals vars getattr setattr "
    "delattr exit quit"
)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_START = re.compile(r"^(?:def |class |import |from |@)", re.MULTILINE)

_RUNNER = """
import contextlib, io, json, signal, sys
with contextlib.suppress(ImportError, ValueError, OSError):
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
    resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
code, examples = json.load(sys.stdin)
def late(*_): raise TimeoutError
timed = hasattr(signal, "SIGALRM")
if timed: signal.signal(signal.SIGALRM, late)
def attempt(run):
    try:
        if timed: signal.alarm(1)
        with contextlib.redirect_stdout(io.StringIO()):
            return run()
    except BaseException:
        return None
    finally:
        if timed: signal.alarm(0)
names = {"__name__": "answer"}
attempt(lambda: exec(code, names))
print(json.dumps([bool(attempt(lambda: eval(e, dict(names)))) for e in examples]))
"""


def passes(answer: str, examples: Sequence[str]) -> list[bool]:
    """Say of each example, such as `f(2) == 4`, whether it is true of the answer's code."""
    nothing = [False] * len(examples)
    code = code_of(answer)
    if not code or not _harmless(code):
        return nothing
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _RUNNER],
                input=json.dumps([code, list(examples)]),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                cwd=empty,
                env={},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return nothing
    return cast(list[bool], json.loads(done.stdout)) if done.returncode == 0 else nothing


def code_of(answer: str) -> str:
    """Take the Python out of an answer: fenced blocks, or the lines from the first `def` on that
    parse. Empty when there is none."""
    blocks = [block for block in _FENCE.findall(answer) if _parses(block)]
    if blocks:
        return "\n".join(blocks)
    return next((code for code in _candidates(answer) if _parses(code)), "")


def _candidates(answer: str) -> Iterator[str]:
    """From each possible beginning, the most lines first."""
    for start in _START.finditer(answer):
        lines = answer[start.start() :].split("\n")[:200]
        for end in range(len(lines), 0, -1):
            yield "\n".join(lines[:end])


def _parses(code: str) -> bool:
    try:
        return bool(ast.parse(code).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _harmless(code: str) -> bool:
    return not any(_is_refused(node) for node in ast.walk(ast.parse(code)))


def _is_refused(node: ast.AST) -> bool:
    match node:
        case ast.Import():
            return any(alias.name.split(".")[0] not in IMPORTS for alias in node.names)
        case ast.ImportFrom():
            return (node.module or "").split(".")[0] not in IMPORTS
        case ast.Attribute():
            return node.attr.startswith("__")
        case ast.Name():
            return node.id in _REFUSED or (node.id.startswith("__") and node.id != "__name__")
    return False
