"""Every error of every command: one line on stderr and an exit code, never a traceback.

What the user can act on is a CRPError. Anything else is a bug of ours: its traceback goes to
`<home>/logs/cli-errors.log`, or to stderr with CRP_DEBUG=1.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from crp.cli.terminal import one_line, say
from crp.errors import CRPError

INTERRUPTED = 130
BUG = 70
"""EX_SOFTWARE of sysexits.h."""


class Guarded(TyperGroup):
    """A group of commands whose errors are told in one line."""

    def invoke(self, ctx: Any) -> Any:
        with guarded():
            return super().invoke(ctx)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Turn whatever is raised in the block into a line and an exit code."""
    try:
        yield
    except CRPError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise typer.Exit(_tell_bug(error)) from error
        say(f"error: {error.strerror}: {error.filename or 'the disk'}")
        raise typer.Exit(5) from None
    except Exception as error:
        if _is_usage(error):
            raise
        raise typer.Exit(_tell_bug(error)) from error


def _is_usage(error: Exception) -> bool:
    """Typer's own errors and exits: it tells them itself."""
    return isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "exit_code")


def _tell_bug(error: Exception) -> int:
    text = "".join(traceback.format_exception(error))
    what = f"error: this is a bug in crp: {type(error).__name__}: {one_line(str(error))}"
    if os.environ.get("CRP_DEBUG"):
        say(text)
        say(what)
    else:
        say(f"{what}; {_kept(text)}")
    return BUG


def _kept(text: str) -> str:
    """Write a traceback down and say where; reporting an error must not make another one."""
    try:
        log = _home() / "logs" / "cli-errors.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {sys.argv}\n{text}\n")
    except OSError:
        return "CRP_DEBUG=1 shows where"
    return f"the traceback is in {log}"


def _home() -> Path:
    """The home of this command line, as far as it can be told from its words alone."""
    import platformdirs

    words = sys.argv
    given = next((words[i + 1] for i, w in enumerate(words[:-1]) if w == "--home"), "")
    return Path(given or os.environ.get("CRP_HOME") or platformdirs.user_data_dir("crp"))
