"""Everything that can be said of one template file: itself, its tests, and what it uses.

The language says what is wrong with the text; here come the things for which other files are read.
Errors first: while there are any, the rest waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crp.authoring import lock
from crp.authoring.uses import problems_of_one
from crp.errors import TemplateError, UsageError
from crp.language.schema import Template
from crp.language.source import Source
from crp.language.testing import load_tests
from crp.models import Problem
from crp.templates import Shelf, lint_file, load_file, with_folder


def problems_of(path: Path, shelf: Shelf, shown: str = "") -> list[Problem]:
    """List what is wrong with a file; `shown` is how the problems call it."""
    around = with_folder(shelf, path.parent)
    found = _named(lint_file(path, around), shown or str(path))
    if any(problem.severity == "error" for problem in found):
        return found
    template = load_file(path, around)
    text = path.read_text("utf-8")
    others = {**around.templates, template.template: template}
    found += _named(problems_of_one(template, others, text, path.name), shown or str(path))
    found += _named(_version(path, text, template), shown or str(path))
    tests = tests_beside(path)
    if tests is not None:
        found += _named(_of_tests(tests, template), str(Path(shown or path).with_name(tests.name)))
    return found


def tests_beside(path: Path) -> Path | None:
    """The tests of a template that lie beside it."""
    for suffix in (".tests.yaml", ".tests.yml"):
        if (beside := path.with_name(path.stem + suffix)).is_file():
            return beside
    return None


def template_beside(tests: Path) -> Path | None:
    """The template that a tests file belongs to."""
    name = tests.name.partition(".tests.")[0]
    files = (tests.with_name(f"{name}{suffix}") for suffix in (".yaml", ".yml"))
    return next((file for file in files if file.is_file()), None)


def _of_tests(path: Path, template: Template) -> list[Problem]:
    try:
        load_tests(path.read_bytes(), path.name, template)
    except TemplateError as error:
        return list(error.problems)
    except OSError as error:
        message = f"the file can not be read: {error.strerror}"
        return [Problem(file=path.name, line=1, column=1, message=message, code="L001")]
    return []


def _version(path: Path, text: str, template: Template) -> Iterator[Problem]:
    """A meaning that is not the one of its lock needs a version that is not, either."""
    try:
        locked = lock.read(lock.path_of(path))
    except UsageError:
        return  # `templates test` says so
    if locked is None or not locked.sha256 or locked.version != template.version:
        return
    if locked.sha256 == lock.content_sha256(template):
        return
    source = Source(text, path.name)
    root = source.node()
    entry = root.entries.get("version") or root.entries["template"]
    version = template.version or "none"
    message = f"this changed since its tests were recorded, but not its version ({version})"
    help = "give it a new version, and record the tests again"
    node = entry.value
    yield source.problem(
        node.line, node.column, message, "W310", help=help, width=node.width, severity="warning"
    )


def _named(problems: list[Problem] | Iterator[Problem], file: str) -> list[Problem]:
    return [problem.model_copy(update={"file": file}) for problem in problems]
