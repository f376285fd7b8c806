"""Finds templates on disk: the project's, the settings' folders, the user's, the box's.

The first one of a name wins, so a file of your own replaces one of the box. A broken file never
hides the others: it is reported in `Shelf.problems` and the next one of its name serves. What a
job uses is the `Library`: the exact texts with their sha256, frozen when the job starts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from crp.config import Settings
from crp.errors import NotFound, TemplateError
from crp.language.load import lint, load
from crp.language.schema import Template
from crp.language.shapes import suggest
from crp.language.source import MAX_BYTES
from crp.models import Library, Problem, TemplateSource

SCAFFOLDS = "scaffolds.yaml"
_OURS = re.compile(rb"^template:", re.MULTILINE)


@dataclass
class Shelf:
    """Everything that was found: the library, its templates compiled, and what is broken."""

    library: Library = field(default_factory=Library)
    templates: dict[str, Template] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def get(self, name: str) -> Template:
        """Give a template by its name, or raise NotFound with the nearest name there is."""
        if name in self.templates:
            return self.templates[name]
        help = suggest(name, self.templates) or f"there are: {', '.join(self.templates)}"
        raise NotFound(f"no template {name!r}: {help}")


def find_library(settings: Settings | None = None, project: Path | None = None) -> Shelf:
    """Read every template that a job started here may use.

    `project` is the folder whose `templates/` folder comes first; other software keeps files in
    folders of that name, so only those that have a `template:` line are read there.
    """
    shelf = Shelf()
    sources: dict[str, TemplateSource] = {}
    scaffolds = ""
    for origin, folder in _folders(settings, project):
        for path in _files(folder, only_ours=origin == "project"):
            _add(shelf, sources, path, origin)
        scaffolds = scaffolds or _text(folder / SCAFFOLDS)
    shelf.templates = dict(sorted(shelf.templates.items()))
    in_order = tuple(sources[name] for name in shelf.templates)
    shelf.library = Library(templates=in_order, scaffolds=scaffolds)
    shelf.problems += _missing_uses(shelf, sources)
    return shelf


def load_named(
    name: str, settings: Settings | None = None, project: Path | None = None
) -> tuple[TemplateSource, Template]:
    """Give one template with its exact text, or raise NotFound."""
    shelf = find_library(settings, project)
    template = shelf.get(name)
    source = shelf.library.get(name)
    assert source is not None  # both are filled together
    return source, template


def pinned(text: str, file: str = "", origin: str = "") -> tuple[TemplateSource, Template]:
    """Compile a text and pin it: its sha256 is that of its UTF-8 bytes."""
    template = load(text, file or "template")
    digest = hashlib.sha256(text.encode()).hexdigest()
    source = TemplateSource(name=template.template, text=text, sha256=digest, origin=origin)
    return source, template


def lint_file(path: Path) -> list[Problem]:
    """List what is wrong with one file."""
    return lint(_bytes(path), path.name)


def box() -> Path:
    """The folder of the templates that come with the package."""
    packed = Path(str(files("crp"))) / "library"
    return packed if packed.is_dir() else packed.parent.parent / "templates"


def _folders(settings: Settings | None, project: Path | None) -> Iterator[tuple[str, Path]]:
    """Folders to search, nearest first, each once."""
    wanted: list[tuple[str, Path]] = []
    if project is not None and (project / "templates").resolve() != box().resolve():
        wanted.append(("project", project / "templates"))
    if settings is not None:
        wanted += [(str(folder), folder.expanduser()) for folder in settings.templates]
        wanted.append(("user", settings.home / "templates"))
    wanted.append(("box", box()))
    seen: set[Path] = set()
    for origin, folder in wanted:
        place = folder.resolve()
        if place not in seen and folder.is_dir():
            seen.add(place)
            yield origin, folder


def _files(folder: Path, *, only_ours: bool) -> Iterator[Path]:
    for path in sorted({*folder.glob("*.yaml"), *folder.glob("*.yml")}):
        special = path.name.startswith(("_", ".")) or path.name == SCAFFOLDS
        if special or path.name.endswith((".tests.yaml", ".tests.yml")) or not path.is_file():
            continue
        if only_ours and not _OURS.search(_bytes(path)):
            continue
        yield path


def _add(shelf: Shelf, sources: dict[str, TemplateSource], path: Path, origin: str) -> None:
    try:
        source, template = _pinned_bytes(_bytes(path), path.name, origin)
    except TemplateError as error:
        shelf.problems += error.problems
        return
    name = template.template
    first = sources.get(name)
    if first is None:
        sources[name] = source
        shelf.templates[name] = template
    elif first.origin == origin:
        message = f'another file in this folder has the template "{name}" already'
        shelf.problems.append(_problem(path.name, message))


def _pinned_bytes(data: bytes, file: str, origin: str) -> tuple[TemplateSource, Template]:
    template = load(data, file)
    digest = hashlib.sha256(data).hexdigest()
    text = data.decode()
    return TemplateSource(name=template.template, text=text, sha256=digest, origin=origin), template


def _missing_uses(shelf: Shelf, sources: dict[str, TemplateSource]) -> list[Problem]:
    """`otherwise: use X` must name a template that is there."""
    return [
        _problem(name, f'the list "{e.name}" uses the template "{e.otherwise_use}": there is none')
        for name, template in shelf.templates.items()
        for e in template.extract
        if e.otherwise_use and e.otherwise_use not in sources
    ]


def _problem(file: str, message: str) -> Problem:
    return Problem(file=file, line=1, column=1, message=message, code="L001")


def _bytes(path: Path) -> bytes:
    """Read no more than a template may have; one byte over is enough to refuse it."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = _problem(path.name, f"the file can not be read: {error.strerror}")
        raise TemplateError([problem]) from None


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
