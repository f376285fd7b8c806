"""`crp templates match`: which template a request goes to and why, or every example at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crp.cli.options import Json
from crp.cli.template_shelf import DIFFERENT, Home, shelf_here

if TYPE_CHECKING:
    from crp.authoring.routing import Routed
    from crp.models import Match
    from crp.templates import Shelf


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command()(match)


def match(
    task: Annotated[str, typer.Argument(help="A request, as for `crp run`.")] = "",
    every: Annotated[
        bool,
        typer.Option("--all", help="With a request: all templates. Without: every match example."),
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Show which template a request goes to, with the reasons of every score.

    `--all` alone prints the routing table of the whole library: where each match example goes. Its
    exit code is 1 when one goes to another template, wins only by its name, or when a
    counterexample comes to its own template.

    \b
    Examples:
      crp templates match "Compare React, Vue and Angular"
      crp templates match "Which city is older, Rome or Paris?" --all
      crp templates match --all
    """
    from crp.errors import UsageError

    if task.strip():
        _one(task, shelf_here(home), every=every, as_json=as_json)
    elif every:
        _table(shelf_here(home), as_json=as_json)
    else:
        raise UsageError("give a request, or --all for the examples of every template")


def _one(task: str, shelf: Shelf, *, every: bool, as_json: bool) -> None:
    from crp.cli.terminal import out, print_json, print_table
    from crp.language.match import rank
    from crp_activities.deciding import FALLBACK

    ranked = rank(task, [t for n, t in shelf.templates.items() if n != FALLBACK])
    goes_to, why = _decision(ranked, shelf)
    shown = ranked if every else [m for m in ranked if m.score or m.reasons][:5]
    if as_json:
        rows = [m.model_dump(mode="json") for m in shown]
        print_json({"template": goes_to, "because": why, "matches": rows})
        return
    out(f"{goes_to}: {why}")
    if shown:
        out("")
        cells = [(f"{m.score:g}", m.template, ", ".join(m.reasons)) for m in shown]
        print_table(("score", "template", "because"), cells)


def _decision(ranked: list[Match], shelf: Shelf) -> tuple[str, str]:
    """Where it goes, and what decided."""
    from crp.authoring.routing import winner
    from crp.language.match import FLOOR
    from crp_activities.deciding import FALLBACK

    goes_to = winner(ranked, FALLBACK)
    if goes_to == FALLBACK:
        return goes_to, f"no score reaches {FLOOR:g}; the model is asked for a plan first"
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    if second is None or second.score <= 0:
        return goes_to, f"score {first.score:g}, and nothing else fits"
    if second.score < first.score:
        return goes_to, f"score {first.score:g}, ahead of {second.template} with {second.score:g}"
    mine, other = (shelf.templates[m.template].match.priority for m in (first, second))
    decides = f"its priority {mine} is above {other}" if mine > other else "only its name decides"
    return goes_to, f"score {first.score:g} as {second.template}; {decides}"


def _table(shelf: Shelf, *, as_json: bool) -> None:
    from crp.authoring.routing import routing_table
    from crp.cli.terminal import print_json, print_table, say
    from crp_activities.deciding import FALLBACK

    rows = routing_table(list(shelf.templates.values()), FALLBACK)
    wrong = [row for row in rows if row.problem]
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
    else:
        print_table(("", "template", "example", "goes to", "runner-up"), map(_cells, rows))
        say(f"{len(rows)} examples, {len(wrong)} go wrong")
        for row in wrong:
            say(f"{row.template}: {row.text!r}: {row.problem}")
    raise typer.Exit(DIFFERENT if wrong else 0)


def _cells(row: Routed) -> tuple[Any, ...]:
    runner_up = f"{row.runner_up} {row.runner_up_score:g}" if row.runner_up else ""
    example = f"not: {row.text}" if row.counter else row.text
    verdict = "WRONG" if row.problem else "ok"
    return verdict, row.template, example, f"{row.goes_to} {row.score:g}", runner_up
