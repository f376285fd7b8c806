"""Bytes on disk, addressed by their own sha256: payloads too big for Temporal, prompts, answers.

What is stored: one file a blob, `ab/abcdef...`, never changed once it is there, and one list per
owner, `owners/ab/...`, of the blobs that were put for it, with its name in the first line. What
identifies a blob: the sha256 of its bytes, so equal bytes lie there once and a damaged file is
noticed. What must stay true: a blob that `put` has returned survives a crash of the machine (unless
it was put as one that need not), a file under its final name is whole, and what an owner has listed
outlives every other owner. Several threads and processes may use one directory. Touches nothing
outside its directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from crp.errors import NotFound, StoreError, StoreUnavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWNER = "owner:"
_ABANDONED_AFTER = 3600.0
"""Seconds after which an unfinished file can only be what a killed process left."""


class BlobStore:
    """Keep bytes under their sha256 in a directory, which is made when it does not exist."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self._unfinished = self.directory / "unfinished"
        with _unavailable(self.directory, "use"):
            self._unfinished.mkdir(parents=True, exist_ok=True)
            _sweep(self._unfinished)

    def put(self, data: bytes, owner: str = "", *, durable: bool = True) -> str:
        """Store bytes and return their sha256 in hex; they are on disk when it returns.

        `owner` is whom `let_go` is told: a job's id. What is not `durable` is given to the system
        but not waited for: a crash of the machine may lose it, one of this process does not.
        Raises StoreUnavailable when the disk is full or can not be written.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        with _unavailable(self.directory, "write to"):
            if owner:  # before anything else, see `let_go`
                self._list(owner, sha256)
            # A wrong size is a file that was damaged from outside: writing it again heals it.
            if not _has_size(path, len(data)):
                write_durably(path, data, self._unfinished, wait=durable)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Read the bytes behind a sha256.

        Raises NotFound when they are not there, StoreError when the file is damaged.
        """
        # A reference comes from outside: only a hash may become part of a path.
        if not _is_sha256(sha256):
            raise NotFound(f"{sha256[:80]!r} is not a sha256")
        try:
            with _unavailable(self.directory, "read from"):
                data = self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"no blob {sha256} in {self.directory}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreError(f"the blob {sha256} in {self.directory} is damaged")
        return data

    def put_text(self, text: str, owner: str = "", *, durable: bool = True) -> str:
        """Store a text and return its sha256; half a surrogate pair is kept as it is."""
        return self.put(text.encode("utf-8", "surrogatepass"), owner, durable=durable)

    def get_text(self, sha256: str) -> str:
        """Read a text that `put_text` stored; raises what `get` raises."""
        return self.get(sha256).decode("utf-8", "surrogatepass")

    def remove(self, sha256: str) -> bool:
        """Delete a blob for good; False when it is not there. Whoever names it finds nothing then.

        Raises StoreUnavailable.
        """
        if not _is_sha256(sha256):
            return False
        with _unavailable(self.directory, "delete from"):
            try:
                self._path(sha256).unlink()
            except FileNotFoundError:
                return False
        return True

    def owners(self, days: float) -> list[str]:
        """Name those for whom nothing was put for so many days."""
        limit = time.time() - days * 86400
        found: list[str] = []
        with _unavailable(self.directory, "read from"):
            for path in (self.directory / "owners").glob("*/*"):
                with contextlib.suppress(FileNotFoundError):  # another process let it go
                    if path.stat().st_mtime < limit and (owner := _owner_of(path)) is not None:
                        found.append(owner)
        return found

    def let_go(self, *owners: str) -> int:
        """Delete what was put for these owners and for nobody else; give how many blobs that were.

        A blob that somebody else puts meanwhile is kept: whoever puts lists first and looks then,
        here it is taken away first, the lists are read again, and it comes back if it is on one.
        Raises StoreUnavailable.
        """
        with _unavailable(self.directory, "delete from"):
            lists = [self._owner(owner) for owner in owners]
            own = set().union(*map(_lines, lists))
            for path in lists:
                path.unlink(missing_ok=True)
            away = {
                sha256: self._unfinished / f"away-{sha256}"
                for sha256 in sorted(own - self._listed())
                if _moved(self._path(sha256), self._unfinished / f"away-{sha256}")
            }
            wanted = self._listed() if away else set()
            for sha256, path in away.items():
                if sha256 in wanted:
                    _moved(path, self._path(sha256))
                path.unlink(missing_ok=True)
        return len(away.keys() - wanted)

    def __contains__(self, sha256: str) -> bool:
        return _is_sha256(sha256) and self._path(sha256).exists()

    def _path(self, sha256: str) -> Path:
        return self.directory / sha256[:2] / sha256

    def _owner(self, owner: str) -> Path:
        name = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self.directory / "owners" / name[:2] / name

    def _list(self, owner: str, sha256: str) -> None:
        path = self._owner(owner)
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "" if path.exists() else f"{_OWNER}{quote(owner, errors='surrogatepass')}\n"
        with path.open("ab", buffering=0) as file:  # one write: lines of others stay whole
            file.write(f"{head}{sha256}\n".encode())

    def _listed(self) -> set[str]:
        lists = (self.directory / "owners").glob("*/*")
        return set().union(*map(_lines, lists))


def write_durably(
    path: Path, data: bytes, unfinished_in: Path | None = None, *, wait: bool = True
) -> None:
    """Write a file so that it is either whole under its name or not there, also after a crash.

    Until it is whole it lies in `unfinished_in` (same file system; its own folder by default).
    Raises OSError; nothing is left behind then. Without `wait` all that is only so when the system
    has come to write it.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        _sync_directory(path.parent.parent)
    descriptor, unfinished = tempfile.mkstemp(
        prefix="unfinished-", dir=unfinished_in or path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if wait:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
    if wait:
        _sync_directory(path.parent)


@contextlib.contextmanager
def _unavailable(directory: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreUnavailable(f"can not {verb} {directory}: {error.strerror or error}") from None


def _lines(path: Path) -> set[str]:
    try:
        return {line for line in path.read_text("ascii", "replace").split() if _is_sha256(line)}
    except FileNotFoundError:
        return set()


def _owner_of(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.readline(10_000).decode("ascii", "replace").strip()
    if not head.startswith(_OWNER):
        return None
    return unquote(head.removeprefix(_OWNER), errors="surrogatepass")


def _is_sha256(text: str) -> bool:
    return bool(_SHA256.fullmatch(text))


def _moved(path: Path, to: Path) -> bool:
    try:
        os.replace(path, to)
    except FileNotFoundError:
        return False
    return True


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    """Make a rename survive a power cut; Windows has no such call and does not need it."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(directory: Path) -> None:
    """Delete what killed processes left half written."""
    limit = time.time() - _ABANDONED_AFTER
    for file in directory.iterdir():
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < limit:
                file.unlink()
