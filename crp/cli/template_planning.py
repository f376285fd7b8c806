"""`crp templates plan`: what a template would make of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Capability, Inputs, Json
from crp.cli.template_shelf import Home, Name, shelf_here

if TYPE_CHECKING:
    from crp.templates import Shelf


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command()(plan)


def plan(
    name: Name,
    task: Annotated[str, typer.Argument(help="A task, as for `crp run`.")],
    items: Annotated[
        str, typer.Option("--items", metavar="A,B,C", help="The template's first list.")
    ] = "",
    inputs: Inputs = None,
    context_file: Annotated[
        str, typer.Option("--context-file", "-c", help="Facts; `-` reads stdin.")
    ] = "",
    capability: Capability = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Show the steps that a template would make of a task. Asks no model, starts nothing.

    \b
    Examples:
      crp templates plan comparison "Compare React, Vue and Angular"
      crp templates plan comparison "Compare them" --items React,Vue,Angular
    """
    from crp.cli.asking import ModelChoice, choose_model, request_of, task_of
    from crp.cli.planning import show_plan
    from crp.config import load_settings

    shelf = shelf_here(home)
    pairs = list(inputs or [])
    if items:
        pairs.append(f"{_first_list(shelf, name)}={items}")
    wanted = task_of(task, context_file, pairs, template=name)
    settings, models = choose_model(load_settings(home), ModelChoice(capability=capability))
    show_plan(request_of(settings, wanted, models), as_json=as_json)


def _first_list(shelf: Shelf, name: str) -> str:
    from crp.errors import UsageError

    lists = shelf.get(name).extract
    if not lists:
        raise UsageError(f"the template {name!r} has no list: --items can not be given")
    return lists[0].name
