"""`crp model`: which models there are, and fetching the small one of the box."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crp.cli.options import Home, Json, group
from crp.cli.terminal import console, lively, out, print_json, print_table, say

if TYPE_CHECKING:
    from crp.config import Settings
    from crp.local.model_files import Progress

app = group("Look at models, and fetch the one that the engine can serve itself.")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="The model; the embedded one when left out.")] = "",
    home: Home = None,
) -> None:
    """Fetch a model's file, so that it can be used without a network.

    \b
    Examples:
      crp model pull
      CRP_CACHE=/srv/models crp model pull
    """
    from crp.config import EMBEDDED_MODEL, load_settings
    from crp.local import model_files

    settings = load_settings(home)
    wanted = name or EMBEDDED_MODEL
    if model_files.installed(settings, wanted):
        say("it is there already")
        out(str(model_files.model_path(settings, wanted)))
    elif lively(sys.stderr):
        out(_pull_with_bar(settings, wanted))
    else:
        out(str(model_files.pull(settings, _in_quarters(), wanted)))


def _pull_with_bar(settings: Settings, name: str) -> str:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from crp.local import model_files

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console(stderr=True)) as bar:
        task = bar.add_task("fetching", total=None)
        path = model_files.pull(
            settings, lambda done, total: bar.update(task, completed=done, total=total), name
        )
    return str(path)


def _in_quarters() -> Progress:
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        if total and (quarter := 4 * done // total) != told:
            told = quarter
            say(f"fetching: {done // 1_000_000} of {total // 1_000_000} MB")

    return progress


@app.command("list")
def list_models(as_json: Json = False, home: Home = None) -> None:
    """List the models of the settings by alias, and whether each can be used.

    \b
    Examples:
      crp model list
      crp model list --json
    """
    from crp.config import load_settings

    settings = load_settings(home)
    rows = [_row(settings, alias) for alias in settings.profiles()]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def _row(settings: Settings, alias: str) -> dict[str, Any]:
    profile = settings.profiles()[alias]
    return {
        "alias": alias,
        "name": profile.name,
        "capability": profile.capability,
        "window": profile.context_window,
        "limits": _limits(settings, alias),
        "at": profile.base_url or "this machine",
        "ready": _ready(settings, alias),
    }


def _limits(settings: Settings, alias: str) -> str:
    model = settings.model(alias)
    pace = model.requests_per_minute
    return f"{model.concurrency} at once" + (f", {pace:g} a minute" if pace else "")


def _ready(settings: Settings, alias: str) -> str:
    """Whether a key or a file is missing; no server is asked."""
    import os

    from crp.config import EMBEDDED_MODEL
    from crp.local import model_files

    model = settings.model(alias)
    if model.provider == "embedded":
        here = model_files.installed(settings, model.name or EMBEDDED_MODEL)
        return "yes" if here else "fetched when it is needed (crp model pull)"
    if model.api_key_env and not os.environ.get(model.api_key_env):
        return f"no: {model.api_key_env} is not set"
    return "yes" if model.base_url else "no: base_url is not set"
