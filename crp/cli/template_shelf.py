"""What every `crp templates` command begins with: a template's name, and the shelf it stands on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home

if TYPE_CHECKING:
    from crp.templates import Shelf

MISTAKES = 3
"""Exit code for templates that have mistakes, as of a TemplateError."""

DIFFERENT = 1
"""Exit code of a check that found something, such as a template that goes the wrong way."""

Name = Annotated[str, typer.Argument(help="The template's name.")]
__all__ = ["DIFFERENT", "MISTAKES", "Home", "Name", "shelf_here", "shown_path"]


def shelf_here(home: Path | None) -> Shelf:
    """Everything that a job started in this directory may use."""
    from crp.config import load_settings
    from crp.templates import find_library

    return find_library(load_settings(home), Path.cwd())


def shown_path(path: Path) -> str:
    """A path as a person here would type it."""
    whole = path.resolve()
    here = Path.cwd().resolve()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(path)
