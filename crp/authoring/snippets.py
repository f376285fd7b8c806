"""The shared texts of a library: every folder's `_snippets.yaml` as one text.

The nearest folder wins, name by name. One file alone stays as it was written; several, or one with
what a kept template still needs, are written again as one.
"""

from __future__ import annotations

import json
from pathlib import Path

from crp.authoring.keeping import GoodTexts
from crp.errors import TemplateError
from crp.language.load import shared_snippets
from crp.models import Problem

SNIPPETS = "_snippets.yaml"


class Snippets:
    """Names and texts that were read so far."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._names: dict[str, str] = {}

    @property
    def text(self) -> str:
        """What `load` takes as `snippets`."""
        if len(self._texts) <= 1:
            return "".join(self._texts)
        return json.dumps(self._names, ensure_ascii=False, indent=1)

    def add_text(self, text: str) -> None:
        """Add a text that was found good before."""
        if text:
            self._take(text)

    def add(self, path: Path, good: GoodTexts) -> tuple[Problem, ...]:
        """Add a file; give its mistakes. Its last good text serves while it is broken."""
        try:
            text = path.read_text("utf-8", errors="replace")
        except OSError as error:
            message = f"the file can not be read: {error.strerror}"
            return (Problem(file=path.name, line=1, column=1, message=message, code="L001"),)
        try:
            self._take(text)
        except TemplateError as error:
            kept = good.last(path)
            if kept is not None:
                self._take(kept.text)
            return error.problems
        good.keep(path, text, "", "")
        return ()

    def with_those_of(self, older: str) -> Snippets:
        """Also what stood in an older text and is gone now."""
        both = Snippets()
        both._texts, both._names = list(self._texts), dict(self._names)
        if older and not shared_snippets(older).keys() <= both._names.keys():
            both._take(older)
        return both

    def _take(self, text: str) -> None:
        found = shared_snippets(text)
        self._texts.append(text)
        self._names = {**found, **self._names}
