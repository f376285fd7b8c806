"""`crp templates list` and `show`: what there is, where from, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crp.cli.options import Json
from crp.cli.template_shelf import Home, Name, shelf_here, shown_path

if TYPE_CHECKING:
    from crp.templates import Found, Shelf


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("list")(list_templates)
    app.command()(show)


def list_templates(as_json: Json = False, home: Home = None) -> None:
    """List the templates that a job started here may use, and what is broken.

    A file in ./templates comes before one of the settings' folders, of the home directory and of
    the box. The last good text of a broken file serves until it is repaired.

    \b
    Examples:
      crp templates list
      crp templates list --json
    """
    from crp.cli.terminal import print_json, print_table, say

    shelf = shelf_here(home)
    rows = [_row(shelf, name) for name in shelf.templates]
    if as_json:
        problems = [p.model_dump(mode="json") for p in shelf.problems]
        print_json({"templates": rows, "problems": problems})
        return
    names = ("name", "version", "title", "steps", "from", "hides", "state")
    print_table(names, [[_cell(row[name]) for name in names] for row in rows])
    for found in shelf.broken:
        first = found.problems[0]
        place = f"{shown_path(found.path)}:{first.line}:{first.column}"
        say(f"{place}: {first.message}{_further(found)}; {_served(found)}")
    told = {p for found in shelf.broken for p in found.problems}
    for problem in shelf.problems:
        if problem not in told:
            say(f"{problem.file}:{problem.line}:{problem.column}: {problem.message}")


def _row(shelf: Shelf, name: str) -> dict[str, Any]:
    found, template = shelf.file_of(name), shelf.templates[name]
    assert found.source is not None  # it serves
    hidden = [f.origin for f in shelf.found if f.name == name and f.hidden_by]
    return {
        "name": name,
        "version": template.version,
        "title": template.title,
        "steps": len(template.steps),
        "kinds": list(dict.fromkeys(step.kind for step in template.steps)),
        "extends": template.extends,
        "from": found.origin,
        "hides": hidden,
        "path": str(found.path),
        "sha256": found.source.sha256,
        "state": f"broken; {_served(found)}" if found.broken else "",
    }


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _further(found: Found) -> str:
    count = len(found.problems) - 1
    return f" (and {count} more)" if count else ""


def _served(found: Found) -> str:
    if found.kept_from is None:
        return "the file is not used"
    return f"the version of {found.kept_from:%Y-%m-%d %H:%M} is used"


def show(
    name: Name,
    expanded: Annotated[
        bool, typer.Option("--expanded", help="Every short form written out, what it extends too.")
    ] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Draw what waits for what, layer by layer.")
    ] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="The graph as a flowchart.")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Print a template's file, its long form, or a drawing of its steps.

    The long form is a template again: it can be edited and run. `--json` writes it as JSON.

    \b
    Examples:
      crp templates show comparison
      crp templates show comparison > templates/comparison.yaml
      crp templates show comparison --expanded
      crp templates show comparison --graph
      crp templates show comparison --mermaid
      crp templates show comparison --json | jq .steps
    """
    from crp.authoring.expanding import expanded as expand
    from crp.authoring.expanding import written
    from crp.authoring.graph import drawn, flowchart
    from crp.cli.terminal import out, print_json
    from crp.errors import UsageError

    if expanded + graph + mermaid > 1 or (as_json and (graph or mermaid)):
        raise UsageError("give one of --expanded, --graph and --mermaid; --json only with the text")
    shelf = shelf_here(home)
    template = shelf.get(name)
    source = shelf.library.get(name)
    if graph:
        out(drawn(template))
    elif mermaid:
        out(flowchart(template))
    elif as_json:
        print_json(expand(template))
    elif expanded or source is None:
        out(written(expand(template)).rstrip("\n"))
    else:
        out(source.text.rstrip("\n"))
