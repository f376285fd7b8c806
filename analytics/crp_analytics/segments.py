"""The journal's files: read whole, written so that each is either old or new, never in between.

Touches the journal's directory alone. What can not be read is kept in `damaged/` under it, named
by the segment and the byte where it stood, because a segment may be written anew without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from crp_analytics.entries import Piece, pieces_of

UNFINISHED = ".unfinished"


def segments(directory: Path) -> list[Path]:
    """Give the segments, the oldest first."""
    return sorted(directory.glob("*.jsonl"))


def first_of(path: Path) -> int:
    """Give the number that a segment begins with."""
    return int(path.stem)


def path_of(directory: Path, first: int) -> Path:
    """Name the segment that begins with a number."""
    return directory / f"{first:012d}.jsonl"


def pieces(path: Path) -> Iterator[Piece]:
    """Read a segment: whole lines, and the places between them that can not be read."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield from pieces_of(offset, line)
            offset += len(line)


def replace(path: Path, lines: Iterable[tuple[int, bytes]], most: int) -> None:
    """Write a segment anew, cut into several when it is larger than `most` bytes.

    The old one stays until all of them are on disk: what stands in two files meanwhile is read
    once.
    """
    written = _write_all(path, lines, most)
    for unfinished in reversed(written):  # the one that replaces the old segment comes last
        os.replace(unfinished, unfinished.with_suffix(""))
    sync(path.parent)


def _write_all(path: Path, lines: Iterable[tuple[int, bytes]], most: int) -> list[Path]:
    written = [_unfinished(path)]
    file, size = written[0].open("wb"), 0
    try:
        for sequence, line in lines:
            if size > most:
                _finish(file)
                written.append(_unfinished(path_of(path.parent, sequence)))
                file, size = written[-1].open("wb"), 0
            size += file.write(line)
        _finish(file)
    except BaseException:
        file.close()
        for unfinished in written:
            unfinished.unlink(missing_ok=True)
        raise
    return written


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def sync(directory: Path) -> None:
    """Make new names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_aside(directory: Path, name: str, offset: int, content: bytes) -> Path:
    """Keep bytes that can not be read; the same place is kept once."""
    folder = directory / "damaged"
    folder.mkdir(exist_ok=True)
    path = folder / f"{Path(name).stem}-{offset}.bin"
    if not path.exists():
        path.write_bytes(content)
    return path


def kept_aside(directory: Path) -> list[Path]:
    """Give the files with bytes that could not be read."""
    return sorted((directory / "damaged").glob("*.bin"))


def whole_size(path: Path) -> int:
    """The size without a torn last line: a kill in the middle of a write leaves one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while size > 0:
            start = max(0, size - 65536)
            file.seek(start)
            newline = file.read(size - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            size = start
    return 0
