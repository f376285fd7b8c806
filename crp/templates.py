"""Finds templates on disk: the project's, the settings' folders, the user's, the box's.

The first one of a name wins, so a file of your own replaces one of the box. A broken file never
hides the others: it is reported in `Shelf.problems`, and its last good text serves; where there is
none, the next file of its name. What a job uses is the `Library`: the exact texts with their
sha256, frozen when the job starts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from crp.authoring.keeping import GoodTexts
from crp.authoring.snippets import SNIPPETS, Snippets
from crp.authoring.uses import use_problems
from crp.config import Settings
from crp.errors import NotFound, TemplateError
from crp.language.load import extended, lint, load
from crp.language.schema import Template
from crp.language.shapes import suggest
from crp.language.source import MAX_BYTES
from crp.models import Library, Problem, TemplateSource

SCAFFOLDS = "scaffolds.yaml"
BOX = "box"
_OURS = re.compile(rb"^template:", re.MULTILINE)


@dataclass
class Found:
    """One template file, and what became of it."""

    path: Path
    origin: str
    """`project`, `user`, `box`, or the folder of the settings."""
    source: TemplateSource | None = None
    """None: it can not be used, and was never good."""
    template: Template | None = None
    problems: tuple[Problem, ...] = ()
    kept_from: datetime | None = None
    """The file is broken; the text that it had at this time serves."""
    hidden_by: str = ""
    """The origin of the file that serves instead."""

    @property
    def name(self) -> str:
        return self.template.template if self.template else self.path.name.split(".")[0]

    @property
    def broken(self) -> bool:
        return bool(self.problems)


@dataclass
class Shelf:
    """Everything that was found: the library, its templates compiled, and what is broken."""

    library: Library = field(default_factory=Library)
    templates: dict[str, Template] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    """Every file, the nearest folder first, also those that are hidden or broken."""

    def get(self, name: str) -> Template:
        """Give a template by its name, or raise NotFound with the nearest name there is."""
        if name in self.templates:
            return self.templates[name]
        help = suggest(name, self.templates) or f"there are: {', '.join(self.templates)}"
        raise NotFound(f"no template {name!r}: {help}")

    def file_of(self, name: str) -> Found:
        """Give the file that serves for a name, or raise NotFound."""
        self.get(name)
        return next(f for f in self.found if f.name == name and f.template and not f.hidden_by)

    @property
    def notes(self) -> list[str]:
        """A line for each broken file, and for each that uses what is not there."""
        broken = [
            f"the template file {f.path.name} is broken and {_instead(f)}" for f in self.broken
        ]
        told = {p for f in self.broken for p in f.problems}
        return broken + [f"{p.file}: {p.message}" for p in self.problems if p not in told]

    @property
    def broken(self) -> list[Found]:
        return [f for f in self.found if f.broken]


def _instead(found: Found) -> str:
    if found.kept_from is None:
        return "not used"
    return f"its version of {found.kept_from:%Y-%m-%d %H:%M} is used"


def find_library(settings: Settings | None = None, project: Path | None = None) -> Shelf:
    """Read every template that a job started here may use.

    `project` is the folder whose `templates/` folder comes first; other software keeps files in
    folders of that name, so only those that have a `template:` line are read there.
    """
    folders = list(_folders(settings, project))
    reading = _Reading(GoodTexts(settings.home if settings else None), Snippets())
    for origin, folder in folders:
        reading.read_snippets(folder / SNIPPETS, origin)
    for origin, folder in folders:
        for path in _files(folder, only_ours=origin == "project"):
            reading.add(path, origin)
    shelf = reading.shelf()
    scaffolds = next(filter(None, (_text(folder / SCAFFOLDS) for _, folder in folders)), "")
    shelf.library = shelf.library.model_copy(update={"scaffolds": scaffolds})
    return shelf


def with_folder(shelf: Shelf, folder: Path) -> Shelf:
    """Give a shelf on which a folder comes first: that of a file that is looked at."""
    if any(_same(found.path.parent, folder) for found in shelf.found):
        return shelf
    reading = _Reading(GoodTexts(None), Snippets())
    reading.read_snippets(folder / SNIPPETS, str(folder))
    reading.snippets.add_text(shelf.library.snippets)
    reading.found += [replace(found, hidden_by="") for found in shelf.found]
    for path in _files(folder, only_ours=False):
        reading.add(path, str(folder))
    reading.found.sort(key=lambda found: found.origin != str(folder))
    return reading.shelf()


def compiled(source: TemplateSource, library: Library) -> Template:
    """Read a pinned template. Raises TemplateError where another version wrote it."""
    return load(source.text, source.name, base=source.base, snippets=library.snippets)


def pinned(
    text: str | bytes, file: str = "", origin: str = "", *, base: str = "", snippets: str = ""
) -> tuple[TemplateSource, Template]:
    """Compile a text and pin it: its sha256 is that of its UTF-8 bytes, then of its base's."""
    template = load(text, file or "template", base=base, snippets=snippets)
    data = text.encode() if isinstance(text, str) else text
    source = TemplateSource(
        name=template.template,
        text=data.decode(),
        sha256=hashlib.sha256(data + base.encode()).hexdigest(),
        origin=origin,
        base=base,
    )
    return source, template


def lint_file(path: Path, shelf: Shelf | None = None) -> list[Problem]:
    """List what is wrong with one file; what it extends is looked for on the shelf."""
    try:
        data = _bytes(path)
    except TemplateError as error:
        return list(error.problems)
    base = _base(data, path, shelf) if shelf else ""
    return lint(data, path.name, base=base, snippets=shelf.library.snippets if shelf else "")


def load_file(path: Path, shelf: Shelf, text: str | None = None) -> Template:
    """Compile one file, or another text in its place. Raises TemplateError.

    What it extends is looked for on the shelf.
    """
    data = _bytes(path) if text is None else text.encode()
    base = _base(data, path, shelf)
    return load(data, path.name, base=base, snippets=shelf.library.snippets)


def _base(data: bytes, path: Path, shelf: Shelf) -> str:
    wanted = _extended(data)
    return _base_text(shelf.found, wanted, path) if wanted else ""


def _extended(data: bytes) -> str:
    """The name behind `extends:`; empty when there is none, or the text can not be read."""
    return extended(data.decode("utf-8", "replace")) if b"extends" in data else ""


def _base_text(found: list[Found], name: str, path: Path) -> str:
    """The text of the nearest file of a name that is not the file itself."""
    others = (f for f in found if f.source and f.name == name and not _same(f.path, path))
    return next((f.source.text for f in others if f.source), "")


def box() -> Path:
    """The folder of the templates that come with the package."""
    packed = Path(str(files("crp"))) / "library"
    return packed if packed.is_dir() else packed.parent.parent / "templates"


class _Reading:
    """One pass over all files: what extends another template is read after the others."""

    def __init__(self, good: GoodTexts, snippets: Snippets) -> None:
        self.good = good
        self.snippets = snippets
        self.found: list[Found] = []
        self.waiting: list[tuple[Found, bytes, str]] = []

    def read_snippets(self, path: Path, origin: str) -> None:
        if path.is_file():
            problems = self.snippets.add(path, self.good if origin != BOX else GoodTexts(None))
            if problems:
                self.found.append(Found(path, origin, problems=problems))

    def add(self, path: Path, origin: str) -> None:
        found = Found(path, origin)
        self.found.append(found)
        try:
            data = _bytes(path)
        except TemplateError as error:
            found.problems = error.problems
            return
        if wanted := _extended(data):
            self.waiting.append((found, data, wanted))
        else:
            self._compile(found, data, "")

    def shelf(self) -> Shelf:
        for found, data, wanted in self.waiting:
            self._compile(found, data, _base_text(self.found, wanted, found.path))
        shelf = Shelf(found=self.found, problems=[p for f in self.found for p in f.problems])
        serving: dict[str, Found] = {}
        for found in self.found:
            if found.template is not None:
                shelf.problems += _placed(found, serving)
        shelf.templates = {n: f.template for n, f in sorted(serving.items()) if f.template}
        sources = tuple(f.source for _, f in sorted(serving.items()) if f.source)
        shelf.library = Library(templates=sources, snippets=self.snippets.text)
        files = {name: (f.source.text, f.path.name) for name, f in serving.items() if f.source}
        shelf.problems += use_problems(shelf.templates, files)
        return shelf

    def _compile(self, found: Found, data: bytes, base: str) -> None:
        path, snippets = found.path, self.snippets.text
        try:
            found.source, found.template = _again(data, found, base, snippets)
        except TemplateError as error:
            found.problems = error.problems
            self._serve_the_last_good(found)
        else:
            if found.origin != BOX:
                self.good.keep(path, data.decode(), base, snippets)

    def _serve_the_last_good(self, found: Found) -> None:
        kept = self.good.last(found.path)
        if kept is None:
            return
        snippets = self.snippets.with_those_of(kept.snippets)
        try:
            found.source, found.template = _again(kept.text, found, kept.base, snippets.text)
        except TemplateError:  # written for another version of this project
            return
        self.snippets, found.kept_from = snippets, kept.at


def _again(
    text: str | bytes, found: Found, base: str, snippets: str
) -> tuple[TemplateSource, Template]:
    return pinned(text, found.path.name, found.origin, base=base, snippets=snippets)


def _placed(found: Found, serving: dict[str, Found]) -> list[Problem]:
    """Let a file serve for its name unless a nearer one does."""
    first = serving.setdefault(found.name, found)
    if first is found:
        return []
    found.hidden_by = first.origin
    if first.origin != found.origin:
        return []
    message = f'another file in this folder has the template "{found.name}" already'
    problem = _problem(found.path.name, message)
    found.problems = (*found.problems, problem)
    return [problem]


def _folders(settings: Settings | None, project: Path | None) -> Iterator[tuple[str, Path]]:
    """Folders to search, nearest first, each once."""
    wanted: list[tuple[str, Path]] = []
    if project is not None and not _same(project / "templates", box()):
        wanted.append(("project", project / "templates"))
    if settings is not None:
        wanted += [(str(folder), folder.expanduser()) for folder in settings.templates]
        wanted.append(("user", settings.home / "templates"))
    wanted.append((BOX, box()))
    seen: set[Path] = set()
    for origin, folder in wanted:
        place = folder.resolve()
        if place not in seen and folder.is_dir():
            seen.add(place)
            yield origin, folder


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def is_template(path: Path) -> bool:
    """Whether a file's name is that of a template: not of its tests, nor of shared texts."""
    special = path.name.startswith(("_", ".")) or path.name == SCAFFOLDS
    tests = path.name.endswith((".tests.yaml", ".tests.yml"))
    return path.suffix in (".yaml", ".yml") and not special and not tests and path.is_file()


def _files(folder: Path, *, only_ours: bool) -> Iterator[Path]:
    for path in sorted({*folder.glob("*.yaml"), *folder.glob("*.yml")}):
        if is_template(path) and (not only_ours or _is_ours(path)):
            yield path


def _is_ours(path: Path) -> bool:
    """One that can not be read is reported, not passed over."""
    try:
        return _OURS.search(_bytes(path)) is not None
    except TemplateError:
        return True


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
