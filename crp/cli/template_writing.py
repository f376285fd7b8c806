"""`crp templates new`, `fmt` and `migrate`: the commands that write template files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.template_shelf import DIFFERENT, MISTAKES, Home, shelf_here, shown_path

if TYPE_CHECKING:
    from crp.templates import Shelf

What = Annotated[
    list[str] | None,
    typer.Argument(help="Files, folders or names; ./templates when left out."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(new)
    app.command("fmt")(fmt)
    app.command()(migrate)


# -- new ------------------------------------------------------------------------------------------


def new(
    name: Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and -.")],
    source: Annotated[
        str, typer.Option("--from", metavar="TEMPLATE", help="Copy this one under the new name.")
    ] = "",
    extends: Annotated[
        str, typer.Option("--extends", metavar="TEMPLATE", help="Take this one, change parts.")
    ] = "",
    user: Annotated[
        bool, typer.Option("--user", help="In your home directory, for all projects.")
    ] = False,
    home: Home = None,
) -> None:
    """Write a new template into ./templates; what it prints next is what to try.

    Never writes over a file.

    \b
    Examples:
      crp templates new my-task
      crp templates new my-comparison --from comparison
      crp templates new short-comparison --extends comparison --user
    """
    from crp.authoring.starting import copied, extending, small
    from crp.cli.terminal import out, say
    from crp.errors import UsageError

    if source and extends:
        raise UsageError("give --from to copy or --extends to change parts, not both")
    _check_name(name)
    path = _new_path(name, user=user, home=home)
    shelf = shelf_here(home)
    if extends:
        shelf.get(extends)
        text = extending(name, extends)
    elif source:
        text = copied(name, _source_text(shelf, source))
    else:
        text = small(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    _put_schema_beside(path)
    out(shown_path(path))
    say(f"wrote {text.count(chr(10))} lines; next:")
    for line in _next(name, path, shelf, source):
        say(f"  {line}")


def _check_name(name: str) -> None:
    from crp.authoring.starting import NAME, nearest_name
    from crp.errors import UsageError

    if not NAME.fullmatch(name):
        near = nearest_name(name)
        help = f'did you mean "{near}"?' if near else "such as my-task"
        raise UsageError(f"{name!r} can not be a name: a-z, 0-9 and -, a letter first; {help}")


def _new_path(name: str, *, user: bool, home: Path | None) -> Path:
    from crp.config import load_settings
    from crp.errors import UsageError

    folder = load_settings(home).home / "templates" if user else Path.cwd() / "templates"
    for path in (folder / f"{name}.yaml", folder / f"{name}.yml"):
        if path.exists():
            raise UsageError(f"{shown_path(path)} is there already: nothing was written")
    return folder / f"{name}.yaml"


def _source_text(shelf: Shelf, name: str) -> str:
    shelf.get(name)
    source = shelf.library.get(name)
    return source.text if source else ""


def _put_schema_beside(path: Path) -> None:
    """The file that the first line of a template names, for editors."""
    from crp.authoring.starting import SCHEMA
    from crp.templates import box

    ours, theirs = box() / SCHEMA, path.parent / SCHEMA
    if ours.is_file() and not theirs.exists():
        theirs.write_bytes(ours.read_bytes())


def _next(name: str, path: Path, shelf: Shelf, source: str) -> list[str]:
    lines = [
        f"crp templates lint {shown_path(path)}",
        f'crp templates plan {name} "a task" --items one,two',
        f'crp run "a task" --template {name}',
    ]
    if source:
        lines.append(f"(its match rules are those of {source}: change them, or the name decides)")
    if name in shelf.templates:
        origin = shelf.file_of(name).origin
        lines.append(f"(it comes before the template of this name from: {origin})")
    return lines


# -- fmt and migrate ------------------------------------------------------------------------------


def fmt(
    what: What = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 when it would.")
    ] = False,
    home: Home = None,
) -> None:
    """Put keys into the canonical order and spacing. Comments stay, the meaning does too.

    \b
    Examples:
      crp templates fmt
      crp templates fmt templates/mine.yaml
      crp templates fmt --check
    """
    from crp.authoring.formatting import formatted

    said = "would be changed" if check else "formatted"
    changed, broken = _rewrite(what or [], home, formatted, said, write=not check)
    if broken:
        raise typer.Exit(MISTAKES)
    raise typer.Exit(DIFFERENT if check and changed else 0)


def migrate(what: What = None, home: Home = None) -> None:
    """Bring files of an older format to this one, in place. Comments stay.

    \b
    Examples:
      crp templates migrate
      crp templates migrate templates/mine.yaml
    """
    from crp.authoring.migration import NEWEST, migrated
    from crp.cli.terminal import say

    said = f"now format {NEWEST}"
    changed, broken = _rewrite(what or [], home, migrated, said, write=True)
    if not changed and not broken:
        say("nothing to do")
    raise typer.Exit(MISTAKES if broken else 0)


def _rewrite(
    what: list[str],
    home: Path | None,
    change: Callable[[str, str], str],
    said: str,
    *,
    write: bool,
) -> tuple[int, int]:
    """Change files; give how many were changed, and how many can not be, for their mistakes."""
    from crp.authoring.rewriting import rewritten
    from crp.cli.linting import files_of
    from crp.cli.terminal import out, say
    from crp.errors import TemplateError

    shelf = shelf_here(home)
    changed = broken = 0
    for path in files_of(what or ["templates"], shelf):
        try:
            text = rewritten(path, change, shelf, write=write)
        except TemplateError as error:
            broken += 1
            first = error.problems[0].model_copy(update={"file": shown_path(path)})
            say(f"{first}\n{shown_path(path)}: left alone")
            continue
        if text is not None:
            changed += 1
            out(f"{shown_path(path)}: {said}")
    return changed, broken
