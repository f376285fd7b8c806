"""`crp templates lint`: what is wrong with templates, once or after every save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Json
from crp.cli.template_shelf import MISTAKES, Home, shelf_here

if TYPE_CHECKING:
    from pathlib import Path

    from crp.cli.linting import Linted


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command()(lint)


def lint(
    what: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or names; all when left out.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again at what is saved, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
    as_sarif: Annotated[
        bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code hosts and editors.")
    ] = False,
    home: Home = None,
) -> None:
    """Say what is wrong with templates, with the place of each mistake.

    Also looks at their tests, and at the templates that they use. Exit code 3 when there are
    mistakes, 0 when there are only warnings.

    \b
    Examples:
      crp templates lint
      crp templates lint templates/mine.yaml
      crp templates lint comparison
      crp templates lint --watch
      crp templates lint --sarif > templates.sarif
    """
    from crp.cli.linting import lint_all
    from crp.errors import UsageError

    if as_json + as_sarif + watch > 1:
        raise UsageError("give one of --json, --sarif and --watch")
    linted = lint_all(what or [], shelf_here(home))
    _print(linted, as_json=as_json, as_sarif=as_sarif)
    if watch:
        _watch(what or [], home)
    raise typer.Exit(MISTAKES if linted.errors and not watch else 0)


def _print(linted: Linted, *, as_json: bool, as_sarif: bool) -> None:
    from importlib.metadata import version

    from crp.authoring.sarif import sarif
    from crp.cli.terminal import out, print_json, say

    if as_json:
        print_json([p.model_dump(mode="json") for p in linted.problems])
    elif as_sarif:
        print_json(sarif(linted.problems, version("durable-crp")))
    else:
        for problem in linted.problems:
            out(str(problem))
        say(f"{linted.summary}warnings")


def _watch(what: list[str], home: Path | None) -> None:
    """Lint what is saved until Ctrl-C, which is how this ends and no failure."""
    from crp.authoring.linting import template_beside
    from crp.authoring.watching import saved
    from crp.cli.linting import every_path, lint_all, paths_of
    from crp.cli.terminal import say
    from crp.errors import CRPError

    def meant() -> list[Path]:
        shelf = shelf_here(home)
        return list(paths_of(what, shelf) if what else every_path(shelf))

    folders = {path.parent for path in meant()}
    say(f"watching {len(folders)} folders; Ctrl-C ends")
    try:
        for paths in saved(folders):
            try:
                ours = {path.resolve() for path in meant()}
            except CRPError as error:  # such as a file that is being replaced
                say(str(error))
                continue
            changed = {template_beside(p) if ".tests." in p.name else p for p in paths}
            shared = any(path.name.startswith("_") for path in paths)
            again = ours if shared else {p.resolve() for p in changed if p} & ours
            for path in sorted(again):
                _tell(lint_all([str(path)], shelf_here(home)), path)
    except KeyboardInterrupt:
        say("ended")


def _tell(linted: Linted, path: Path) -> None:
    from datetime import datetime

    from crp.cli.template_shelf import shown_path
    from crp.cli.terminal import out

    said = "ok"
    if linted.problems:
        said = f"{linted.errors} errors, {len(linted.problems) - linted.errors} warnings"
    out(f"{datetime.now():%H:%M:%S} {shown_path(path)}: {said}")
    for problem in linted.problems:
        out(str(problem))
