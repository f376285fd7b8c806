"""Write a file whole or not at all: what was there stays until all of the new one is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from crp.errors import UsageError


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Give a name to write under; the file gets its own name when the block has succeeded.

    Raises UsageError where there can be no such file, and for an OSError in the block.
    """
    unfinished = file.parent / f"{file.name}.unfinished"
    try:
        if file.is_dir():
            raise UsageError(f"{file} is a directory: give the name of a file")
        yield unfinished
        unfinished.replace(file)
    except OSError as error:
        raise UsageError(f"can not write {file}: {_why(file, error)}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _why(file: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and not file.parent.is_dir():
        return f"there is no directory {file.parent}"
    return error.strerror or str(error)
