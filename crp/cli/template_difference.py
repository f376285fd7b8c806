"""`crp templates diff`: what is different between two templates, in the words of the language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Json
from crp.cli.template_shelf import DIFFERENT, Home, shelf_here, shown_path

if TYPE_CHECKING:
    from crp.language.schema import Template
    from crp.templates import Found, Shelf


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("diff")(diff)


def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A file, a name, or ORIGIN:NAME (box:comparison).")
    ],
    new: Annotated[
        str,
        typer.Argument(metavar="NEW", help="The same. Left out: the one in use, against OLD's."),
    ] = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Say what is different between two templates: comments and the order of keys are not.

    One name alone compares the template that it hides (such as the box's) with the one in use.
    Exit code 1 when there is a difference, 0 when there is none.

    \b
    Examples:
      crp templates diff comparison
      crp templates diff box:comparison templates/comparison.yaml
      crp templates diff old.yaml new.yaml --json
    """
    from crp.authoring.difference import differences
    from crp.cli.terminal import out, print_json, say

    shelf = shelf_here(home)
    (first, one), (second, other) = _pair(shelf, old, new)
    found = differences(one, other)
    if as_json:
        print_json([change.model_dump(mode="json", exclude={"text"}) for change in found])
    else:
        say(f"{first} -> {second}")
        for change in found:
            out(str(change))
            for line in change.text:
                out(f"    {line}")
        if not found:
            say("no difference")
    raise typer.Exit(DIFFERENT if found else 0)


_Named = tuple[str, "Template"]


def _pair(shelf: Shelf, old: str, new: str) -> tuple[_Named, _Named]:
    from crp.errors import UsageError

    if new:
        return _one(shelf, old), _one(shelf, new)
    if _is_file(old) or ":" in old:
        raise UsageError(f"compare {old!r} with what? Give a second file or name")
    used = shelf.file_of(old)
    hidden = [f for f in shelf.found if f.name == old and f.hidden_by and f.template]
    if not hidden:
        raise UsageError(f"{old!r} hides no other template: give a second file or name")
    return _named(hidden[0]), _named(used)


def _one(shelf: Shelf, given: str) -> _Named:
    from crp.errors import NotFound
    from crp.templates import load_file

    origin, colon, name = given.rpartition(":")
    for found in shelf.found:
        if colon and (found.origin, found.name) == (origin, name) and found.template:
            return _named(found)
    if _is_file(given):
        path = Path(given).expanduser()
        if not path.is_file():
            raise NotFound(f"no file {given!r}")
        return given, load_file(path, shelf)
    if not colon:
        return _named(shelf.file_of(given))
    origins = ", ".join(dict.fromkeys(f.origin for f in shelf.found))
    raise NotFound(f"no template {name!r} from {origin!r}: templates come from {origins}")


def _is_file(given: str) -> bool:
    path = Path(given)
    return path.suffix in (".yaml", ".yml") or len(path.parts) > 1


def _named(found: Found) -> _Named:
    assert found.template is not None  # only those are chosen
    return f"{found.origin}:{found.name} ({shown_path(found.path)})", found.template
