"""`crp templates`: what there is, what is in it, what is wrong with it, what it would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Capability, Home, Inputs, Json, group

if TYPE_CHECKING:
    from crp.templates import Shelf

app = group("Look at templates: how tasks of one type are split, checked and joined.")

MISTAKES = 3
"""Exit code of `lint`, as of a TemplateError."""

Name = Annotated[str, typer.Argument(help="The template's name.")]


@app.command("list")
def list_templates(as_json: Json = False, home: Home = None) -> None:
    """List the templates that a job started here may use, and what is broken.

    A file in ./templates comes before one of the settings' folders, of the home directory and of
    the box.

    \b
    Examples:
      crp templates list
      crp templates list --json
    """
    from crp.cli.terminal import print_json, print_table, say

    shelf = _shelf(home)
    rows = [
        {
            "name": t.name,
            "title": shelf.templates[t.name].title,
            "steps": len(shelf.templates[t.name].steps),
            "from": t.origin,
            "sha256": t.sha256,
        }
        for t in shelf.library.templates
    ]
    if as_json:
        problems = [p.model_dump(mode="json") for p in shelf.problems]
        print_json({"templates": rows, "problems": problems})
        return
    names = ("name", "title", "steps", "from")
    print_table(names, [[row[name] for name in names] for row in rows])
    for problem in shelf.problems:
        say(f"{problem.file}:{problem.line}:{problem.column}: {problem.message}")


@app.command()
def show(
    name: Name,
    expanded: Annotated[
        bool, typer.Option("--expanded", help="As the engine sees it: short forms written out.")
    ] = False,
    home: Home = None,
) -> None:
    """Print a template's file, or what it is compiled to.

    \b
    Examples:
      crp templates show comparison
      crp templates show comparison > templates/comparison.yaml
      crp templates show comparison --expanded | jq .steps
    """
    from crp.cli.terminal import out, print_json

    shelf = _shelf(home)
    template = shelf.get(name)
    source = shelf.library.get(name)
    if expanded or source is None:
        print_json(template.model_dump(mode="json"))
    else:
        out(source.text.rstrip("\n"))


@app.command()
def lint(
    what: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or names; all when left out.")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Say what is wrong with templates, with the place of each mistake.

    Exit code 3 when there are mistakes, 0 when there are only warnings.

    \b
    Examples:
      crp templates lint
      crp templates lint templates/mine.yaml
      crp templates lint comparison
    """
    from crp.cli.linting import problems_of
    from crp.cli.terminal import out, print_json, say

    problems, files = problems_of(what or [], lambda: _shelf(home))
    errors = sum(p.severity == "error" for p in problems)
    if as_json:
        print_json([p.model_dump(mode="json") for p in problems])
    else:
        for problem in problems:
            out(str(problem))
        say(f"{files} templates, {errors} errors, {len(problems) - errors} warnings")
    raise typer.Exit(MISTAKES if errors else 0)


@app.command()
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

    shelf = _shelf(home)
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


def _shelf(home: Path | None) -> Shelf:
    from crp.config import load_settings
    from crp.templates import find_library

    return find_library(load_settings(home), Path.cwd())
