"""What stands around a file that is edited: the templates it may extend, and shared snippets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from crp.authoring.names import Place
from crp.authoring.snippets import SNIPPETS
from crp.config import Settings
from crp.language.load import extended
from crp.models import Library
from crp.templates import find_library, with_folder


@dataclass(frozen=True)
class Around:
    """The library as one file sees it, read once: an editor saves seldom and types often."""

    path: Path
    library: Library

    def base(self, text: str) -> str:
        """Give the text of the template that this one extends; empty when there is none."""
        found = self.library.get(extended(text))
        return found.text if found else ""

    def snippet(self, name: str) -> tuple[Path, Place] | None:
        """Find a shared text in the file that stands beside this one."""
        path = self.path.with_name(SNIPPETS)
        lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            if re.match(rf"{re.escape(name)}\s*:", line):
                return path, Place(number, 1, len(name))
        return None


def around(path: Path, settings: Settings | None) -> Around:
    """Read the library that a file belongs to; the file's own folder comes first."""
    return Around(path, with_folder(find_library(settings), path.parent).library)
