"""Which template files a command is about, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from crp.authoring.linting import problems_of
from crp.authoring.snippets import SNIPPETS
from crp.cli.template_shelf import shown_path
from crp.errors import NotFound, UsageError
from crp.models import Problem
from crp.templates import BOX, Shelf, is_template


class Linted(NamedTuple):
    """What was looked at."""

    problems: list[Problem]
    files: int

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def summary(self) -> str:
        return f"{self.files} templates, {self.errors} errors, {len(self.problems) - self.errors} "


def lint_all(what: Sequence[str], shelf: Shelf) -> Linted:
    """Give the problems of files, folders and names; of everything when nothing is given.

    Raises NotFound.
    """
    paths = list(paths_of(what, shelf) if what else every_path(shelf))
    problems = [p for path in paths for p in problems_of(path, shelf, shown_path(path))]
    if not what:
        problems += [p for f in shelf.found if f.path.name == SNIPPETS for p in f.problems]
        problems += _same_names(shelf)
    return Linted(problems, len(paths))


def every_path(shelf: Shelf) -> Iterator[Path]:
    """Every template file that a job started here could use."""
    return (found.path for found in shelf.found if found.path.name != SNIPPETS)


def _same_names(shelf: Shelf) -> Iterator[Problem]:
    """Two files of one name in one folder: that is seen only from the shelf."""
    for found in shelf.found:
        yield from (p for p in found.problems if p.code == "L001" and "already" in p.message)


def paths_of(what: Sequence[str], shelf: Shelf) -> Iterator[Path]:
    """The template files that are meant by files, folders and names. Raises NotFound."""
    for given in what:
        path = Path(given).expanduser()
        if path.is_dir():
            files = sorted({*path.glob("*.yaml"), *path.glob("*.yml")})
            yield from filter(is_template, files)
        elif path.exists():
            yield path
        elif path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
            raise NotFound(f"no file {given!r}")
        else:
            yield shelf.file_of(given).path


def files_of(what: Sequence[str], shelf: Shelf) -> list[Path]:
    """The same for commands that write: not the templates that come with the package."""
    for given in what:
        if given in shelf.templates and not Path(given).exists():
            if shelf.file_of(given).origin == BOX:
                help = f"`crp templates new NAME --from {given}` makes your own"
                raise UsageError(f"{given!r} comes with the package and is not changed: {help}")
        elif given == "templates" and not Path(given).exists():
            raise NotFound("there is no folder ./templates: name the files that are meant")
    return list(paths_of(what, shelf))
