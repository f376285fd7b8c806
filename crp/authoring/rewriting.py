"""A template file rewritten in place, only when it means the same afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from crp.errors import TemplateError
from crp.models import Problem
from crp.templates import Shelf, load_file


def rewritten(
    path: Path, change: Callable[[str, str], str], shelf: Shelf, *, write: bool
) -> str | None:
    """Change a file's text; None when there is nothing to change.

    Raises TemplateError when the file has mistakes, or would mean something else.
    """
    before = load_file(path, shelf)
    text = path.read_bytes().decode()
    made = change(text, path.name)
    if made == text:
        return None
    if load_file(path, shelf, made) != before:
        message = "it would mean something else afterwards"
        problem = Problem(file=path.name, line=1, column=1, message=message, code="L001")
        raise TemplateError([problem])
    if write:
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_text(made, "utf-8", newline="\n")
        os.replace(unfinished, path)
    return made
