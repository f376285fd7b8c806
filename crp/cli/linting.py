"""Which templates a `crp templates lint` is about, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from crp.errors import NotFound, TemplateError
from crp.language.load import lint
from crp.models import Problem
from crp.templates import SCAFFOLDS, Shelf, lint_file


def problems_of(what: list[str], shelf: Callable[[], Shelf]) -> tuple[list[Problem], int]:
    """Give the problems of files, folders and names, and how many templates were looked at.

    Nothing given means everything that a job started here may use. Raises NotFound.
    """
    if not what:
        found = shelf()
        texts = [(t.text, t.name) for t in found.library.templates]
        warnings = [p for text, name in texts for p in lint(text, f"{name}.yaml")]
        broken = {p.file for p in found.problems}
        return [*found.problems, *warnings], len(texts) + len(broken)
    problems: list[Problem] = []
    count = 0
    for given in what:
        for some in _of_one(given, shelf):
            problems += some
            count += 1
    return problems, count


def _of_one(given: str, shelf: Callable[[], Shelf]) -> Iterator[list[Problem]]:
    path = Path(given).expanduser()
    if path.is_dir():
        for file in sorted({*path.glob("*.yaml"), *path.glob("*.yml")}):
            if not file.name.startswith(("_", ".")) and file.name != SCAFFOLDS:
                yield _of_file(file)
    elif path.exists():
        yield _of_file(path)
    elif path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise NotFound(f"no file {given!r}")
    else:
        library = shelf()
        library.get(given)  # raises NotFound with what there is
        source = library.library.get(given)
        yield lint(source.text if source else "", f"{given}.yaml")


def _of_file(path: Path) -> list[Problem]:
    """With the path as it was given, so that an editor can go there."""
    try:
        problems = lint_file(path)
    except TemplateError as error:
        problems = list(error.problems)
    return [p.model_copy(update={"file": str(path)}) for p in problems]
