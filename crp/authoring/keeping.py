"""The last good text of every template file: what serves while somebody's edit is broken.

One small JSON file a template in `<home>/good-templates/`, named after the template's path, written
when the file loads well and its text is new. A home that can not be written keeps nothing; reading
templates never fails for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from crp.models import Wire


class Kept(Wire):
    """A template's text as it was when it was good, with what it needed."""

    path: str
    text: str
    base: str = ""
    """The text that it extended then."""
    snippets: str = ""
    """The shared texts of that time."""
    at: datetime
    """When the file was saved."""


class GoodTexts:
    """The kept texts of one home; without a home it keeps nothing."""

    def __init__(self, home: Path | None) -> None:
        self._folder = None if home is None else home / "good-templates"

    def keep(self, path: Path, text: str, base: str, snippets: str) -> None:
        """Keep what was just read and found good."""
        if self._folder is None:
            return
        before = self.last(path)
        if before is not None and (before.text, before.base) == (text, base):
            return
        with contextlib.suppress(OSError):
            saved = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
            where = str(path.resolve())
            kept = Kept(path=where, text=text, base=base, snippets=snippets, at=saved)
            self._write(self._folder / _name(path), kept)

    def last(self, path: Path) -> Kept | None:
        """Give what was kept of a file."""
        return None if self._folder is None else _read(self._folder / _name(path))

    def folders(self) -> Iterator[Path]:
        """Every folder that a kept file lies in."""
        if self._folder is None or not self._folder.is_dir():
            return
        kept = (_read(path) for path in sorted(self._folder.glob("*.json")))
        yield from dict.fromkeys(Path(k.path).parent for k in kept if k is not None)

    @staticmethod
    def _write(place: Path, kept: Kept) -> None:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = place.with_suffix(f".{os.getpid()}")
        unfinished.write_text(kept.model_dump_json(), "utf-8")
        os.replace(unfinished, place)


def _name(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32] + ".json"


def _read(place: Path) -> Kept | None:
    try:
        return Kept.model_validate_json(place.read_bytes())
    except (OSError, ValidationError):
        return None
