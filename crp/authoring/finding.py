"""Finds the tests of templates, and keeps their locks. Touches template, test and lock files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crp.authoring import lock as locks
from crp.authoring.examination import Case
from crp.authoring.lock import Lock, LockedTest
from crp.authoring.recording import save
from crp.errors import NotFound, TemplateError, UsageError
from crp.language.schema import Template
from crp.language.testing import load_tests
from crp.models import Library, TemplateSource
from crp.templates import Found, Shelf, box, with_folder

SUFFIXES = (".yaml", ".yml")


@dataclass
class Suite:
    """One template with the tests that it has."""

    file: Path
    source: TemplateSource
    template: Template
    library: Library
    """What a job here may use; this template is in it."""

    @property
    def name(self) -> str:
        return self.template.template

    @cached_property
    def cases(self) -> list[Case]:
        """The tests in the template's file, then those beside it. Raises TemplateError."""
        return [
            Case(self.name, self.file, path, test)
            for path in test_files(self.file)
            for test in load_tests(path.read_bytes(), path.name, self.template)
        ]

    @cached_property
    def _lock(self) -> Lock:
        return locks.read(locks.path_of(self.file)) or Lock(template=self.name)

    def locked(self, case: Case) -> LockedTest | None:
        """What a test was recorded with; None when nobody knows."""
        return self._lock.tests.get(case.test.name)

    def keep(self, name: str, test: LockedTest) -> None:
        """Write down what a test was recorded with; tests that are gone are forgotten."""
        known = {case.test.name for case in self.cases} | {name}
        kept = {n: t for n, t in self._lock.tests.items() if n in known}
        self._lock = self._lock.model_copy(
            update={
                "version": self.template.version,
                "sha256": locks.content_sha256(self.template),
                "tests": {**kept, name: test},
            }
        )
        save(locks.path_of(self.file), locks.written(self._lock))


def test_files(template_file: Path) -> list[Path]:
    """The files that may hold tests of a template: its own, and `NAME.tests.yaml` beside it."""
    beside = (template_file.with_name(f"{template_file.stem}.tests{s}") for s in SUFFIXES)
    return [template_file, *(path for path in beside if path.is_file())]


def with_tests(shelf: Shelf, names: Sequence[str]) -> Iterator[Suite]:
    """Give templates by name or by file; without names, all whose file is whole.

    Raises NotFound, and TemplateError for one of the names whose file is broken.
    """
    for name in names:
        path = Path(name).expanduser()
        if path.suffix in SUFFIXES or path.is_file():
            yield of_file(path, shelf)
        else:
            yield of_name(name, shelf)
    for name in () if names else shelf.templates:
        found = shelf.file_of(name)
        if found.kept_from is None:
            yield _of(found, shelf.library)


def of_name(name: str, shelf: Shelf) -> Suite:
    """Give a template of the library. Raises NotFound, TemplateError when its file is broken."""
    return _of(shelf.file_of(name), shelf.library)


def of_file(path: Path, shelf: Shelf) -> Suite:
    """Give a template by its file; it, then those of its folder, come before the library's.

    Raises NotFound, TemplateError.
    """
    if not path.is_file():
        raise NotFound(f"no file {str(path)!r}")
    near = with_folder(shelf, path.parent)
    found = next((f for f in near.found if f.path.resolve() == path.resolve()), None)
    if found is None:
        raise NotFound(f"{str(path)!r} is not a template")
    others = tuple(t for t in near.library.templates if t.name != found.name)
    own = (found.source,) if found.source else ()
    changes = {"templates": (*own, *others), "scaffolds": shelf.library.scaffolds}
    return _of(found, near.library.model_copy(update=changes))


def _of(found: Found, library: Library) -> Suite:
    """The text that serves while a file is broken is not what its author wants to hear about."""
    if found.source is None or found.template is None or found.kept_from is not None:
        raise TemplateError(found.problems)
    return Suite(found.path, found.source, found.template, library)


def own_file(file: Path) -> None:
    """Raise UsageError for a file of an installed package: what is written there gets lost."""
    if box().name == "library" and box() in file.resolve().parents:
        name = file.stem
        raise UsageError(
            f"{name} comes with the package: make it yours with "
            f"`crp templates new {name} --from {name}`, then again"
        )
