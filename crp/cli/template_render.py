"""`crp templates render`: the exact prompts of a template, coloured by their origin."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from crp.cli.options import Capability, Inputs, Json
from crp.cli.template_shelf import Home, Name, shelf_here


class LevelWord(StrEnum):
    """How much help the prompt gives."""

    NONE = "none"
    LIGHT = "light"
    MEDIUM = "medium"
    HEAVY = "heavy"


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("render")(render)


def render(
    name: Name,
    task: Annotated[str, typer.Argument(help="A task, as for `crp run`; `-` reads it from stdin.")],
    step: Annotated[
        str,
        typer.Option(
            "--step", help="A step, a list, `answer`, `probe` or STEP.critique; all when left out."
        ),
    ] = "",
    item: Annotated[str, typer.Option("--item", help="Of a fan-out; else its first one.")] = "",
    level: Annotated[
        LevelWord | None, typer.Option("--level", help="With this help, not the one it starts at.")
    ] = None,
    context_file: Annotated[
        str, typer.Option("--context-file", "-c", help="Facts; `-` reads stdin.")
    ] = "",
    inputs: Inputs = None,
    capability: Capability = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Show exactly what a step would say to the model. Asks no model, starts nothing.

    Each part is coloured by where it came from, in a pipe it is labelled. What only a model can
    give is shown as `<answer of profile/Vue>`. Lists can be given with --input; so can the
    capability of the model, which is 1 otherwise. The examples that a job finds in the trace
    store are not shown.

    \b
    Examples:
      crp templates render comparison "Compare React and Vue"
      crp templates render comparison "Compare React and Vue" --step table --level heavy
      crp templates render comparison "Compare them" --input items=React,Vue --step profile
      crp templates render comparison "Compare React and Vue" --step probe --json
    """
    from crp.authoring.preview import previews
    from crp.authoring.rehearsal import job_of
    from crp.cli.asking import task_of
    from crp.cli.rendering import as_data, print_legend, print_preview
    from crp.cli.terminal import print_json
    from crp.models import Level

    shelf = shelf_here(home)
    shelf.get(name)
    wanted = task_of(task, context_file, inputs, template=name)
    job = job_of(wanted, 1 if capability is None else capability)
    help = Level.named(level.value) if level else None
    made = previews(job, shelf.library, step, item, help)
    if as_json:
        print_json([as_data(preview) for preview in made])
        return
    print_legend(made)
    for preview in made:
        print_preview(preview)
