"""The files that are open in an editor, as the server understands them.

Places of the language count lines and columns from 1, in characters; those of the protocol count
from 0, in units that the editor chose. Only this file converts.
"""

from __future__ import annotations

import re
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from crp.authoring.language_server.library import Around, around
from crp.authoring.names import Outline, Place, outline
from crp.config import Settings
from crp.language.load import lint
from crp.models import Problem

_OURS = re.compile(r"^template:|\A#.*template\.schema\.json", re.MULTILINE)
"""Other software keeps YAML files too: they are left alone."""
_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
}


class Documents:
    """What is known of each open file."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._around: dict[str, Around] = {}
        self._good: dict[str, str] = {}
        """The last text of each file that could be read as YAML."""

    def around(self, document: TextDocument) -> Around:
        if document.uri not in self._around:
            path = Path(to_fs_path(document.uri) or document.uri)
            self._around[document.uri] = around(path, self._settings)
        return self._around[document.uri]

    def forget_library(self) -> None:
        """A file was saved: what others extend may have changed."""
        self._around.clear()

    def close(self, uri: str) -> None:
        self._around.pop(uri, None)
        self._good.pop(uri, None)

    def outline(self, document: TextDocument, line: int = 0) -> Outline | None:
        """Understand a file, or give what was understood of it last."""
        if not is_ours(document.source):
            return None
        near = self.around(document)
        text = document.source
        snippets = near.library.snippets
        made = outline(text, base=near.base(text), snippets=snippets, cursor_line=line)
        if made is None and (good := self._good.get(document.uri)):
            return outline(good, base=near.base(good), snippets=snippets)
        return made

    def diagnostics(self, document: TextDocument) -> list[types.Diagnostic]:
        """Give what `crp templates lint` would say."""
        text = document.source
        if not is_ours(text):
            return []
        near = self.around(document)
        problems = lint(text, near.path.name, base=near.base(text), snippets=near.library.snippets)
        if not any(problem.code.startswith("Y") for problem in problems):
            self._good[document.uri] = text
        return [_diagnostic(document, problem) for problem in problems]


def is_ours(text: str) -> bool:
    return bool(_OURS.search(text))


def place_of(document: TextDocument, position: types.Position) -> tuple[int, int]:
    """Give line and column of a position."""
    found = document.position_from_client_units(position)
    return found.line + 1, found.character + 1


def range_of(document: TextDocument, place: Place) -> types.Range:
    """Give the range of a place."""
    line, start = place.line - 1, place.column - 1
    return document.position_codec.range_to_client_units(
        document.lines,
        types.Range(types.Position(line, start), types.Position(line, start + place.width)),
    )


def _diagnostic(document: TextDocument, problem: Problem) -> types.Diagnostic:
    help = f"\nhelp: {problem.help}" if problem.help else ""
    return types.Diagnostic(
        range=range_of(document, Place(problem.line, problem.column, problem.width)),
        message=problem.message + help,
        severity=_SEVERITY[problem.severity],
        code=problem.code,
        source="crp",
    )
