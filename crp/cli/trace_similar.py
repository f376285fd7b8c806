"""`crp traces similar`: what a new job would find in the library, and why."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import made_at, one_line, out, print_json, print_table, say

if TYPE_CHECKING:
    from crp.config import Settings
    from crp.language.schema import Template
    from crp.models import MetaLearningConfig
    from crp.stages import ExamplesWanted
    from crp.templates import Shelf
    from crp_analytics.comparing import Compared, Comparison

SHOWN = 3
"""So many are listed where a job is shown none."""


def register(app: typer.Typer) -> None:
    """Put the command into its group."""
    app.command("similar")(similar)


def similar(
    task: Annotated[str, typer.Argument(help="A request, as for `crp run`; `-` reads stdin.")],
    template: Annotated[
        str, typer.Option("--template", "-t", help="Its template; the one it goes to otherwise.")
    ] = "",
    model_class: Annotated[
        str, typer.Option("--model-class", help="As in the library; the default model's otherwise.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Most traces; as many as a job otherwise.")
    ] = None,
    min_quality: Annotated[
        float | None,
        typer.Option("--min-quality", min=0, max=1, help="Least quality; as for a job otherwise."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Why each was chosen, and what nearly was.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Show what a new job with this task would find in the library. Counts as no use.

    The same task type comes first, then the same model class, then more shared words, Jaccard
    (shared words of all words), quality, newer, and last the id. With --json everything is told,
    also without --explain.

    \b
    Examples:
      crp traces similar "Compare tea and coffee"
      crp traces similar "Compare tea and coffee" --explain
      crp traces similar "Compare tea and coffee" --template comparison --min-quality 0.5 --json
    """
    from crp.cli.asking import task_of
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.records import records
    from crp_analytics.comparing import Comparison

    settings = load_settings(home)
    asked = _asked(settings, task_of(task).text, template)
    values = [
        asked.task,
        asked.template.template,
        model_class or asked.model_class,
        limit or asked.wanted.examples or SHOWN,
        asked.wanted.min_quality if min_quality is None else min_quality,
    ]

    async def ask() -> Comparison:
        store = await records(settings)
        return await store.at_desk("similar", values, Comparison)

    seen = run(ask())
    if as_json:
        print_json(_data(asked, seen))
        return
    (_explain if explain else _list)(asked, seen)
    if seen.why_nothing:
        say(f"nothing found: {seen.why_nothing}")
    elif asked.shown_none:
        say(f"note: a job is shown none of them: {asked.shown_none}")


# -- the question -----------------------------------------------------------------------------


class _Asked(NamedTuple):
    """What a job with this task would tell the library about itself."""

    task: str
    template: Template
    routed: str
    """Why it has this template."""
    model_class: str
    wanted: ExamplesWanted
    shown_none: str
    """Why a job is shown nothing of what it finds; empty when it is."""
    held_out: float
    """Share of the jobs that are shown nothing, by chance."""


def _asked(settings: Settings, task: str, name: str) -> _Asked:
    from crp.stages import examples_wanted
    from crp.templates import find_library

    shelf = find_library(settings, Path.cwd())
    template, routed = (shelf.get(name), "asked for by name") if name else _routed(task, shelf)
    profile = settings.profiles()["default"]
    config = settings.config(profile)
    wanted = examples_wanted(config, template.few_shot)
    none = _shown_none(config, wanted)
    return _Asked(task, template, routed, profile.model_class, wanted, none, config.icml_hold_out)


def _routed(task: str, shelf: Shelf) -> tuple[Template, str]:
    from crp.authoring.routing import winner
    from crp.language.match import rank
    from crp_activities.deciding import FALLBACK

    ranked = rank(task, [t for name, t in shelf.templates.items() if name != FALLBACK])
    goes_to = winner(ranked, FALLBACK)
    if goes_to == FALLBACK:
        return shelf.get(goes_to), "no template fits, this one takes the rest"
    return shelf.get(goes_to), f"the task goes to it with score {ranked[0].score:g}"


def _shown_none(config: MetaLearningConfig, wanted: ExamplesWanted) -> str:
    for name in ("enabled", "rtl_enabled", "icml_enabled"):
        if not getattr(config, name):
            return f"the setting reasoning.{name} is off"
    return "" if wanted.examples else "its model and template want no examples"


# -- the answer -------------------------------------------------------------------------------


def _data(asked: _Asked, seen: Comparison) -> dict[str, Any]:
    told = {name: getattr(asked, name) for name in ("routed", "shown_none", "held_out")}
    return {**seen.model_dump(mode="json"), **told}


def _list(asked: _Asked, seen: Comparison) -> None:
    if seen.found:
        names = ("", "trace", "type", "model class", "quality", "shared", "Jaccard", "task")
        print_table(names, map(_cells, seen.found))
        like = f"type {seen.task_type}, model class {seen.model_class}"
        say(f"{len(seen.found)} of {seen.candidates} candidates for a job of {like}")


def _cells(one: Compared) -> tuple[Any, ...]:
    trace, shared = one.trace, len(one.shared_words)
    what = (trace.trace_id, trace.task_type, trace.model_class, trace.quality_score)
    return (one.rank, *what, shared, round(one.similarity, 2), trace.task_summary)


def _explain(asked: _Asked, seen: Comparison) -> None:
    out(f"task      {one_line(asked.task, 500)}")
    out(f"words     {len(seen.words)}: {one_line(', '.join(seen.words), 500)}")
    out(f"type      {seen.task_type}: {asked.routed}")
    out(f"asks for  model class {seen.model_class}, quality {seen.min_quality:.4g} or more")
    out(f"library   {seen.active} traces, and {seen.retired} more retired")
    out(
        f"found     {seen.sharing} with a word of the task, {seen.alike} with enough of them "
        f"(Jaccard 1/9), {seen.candidates} good enough, the best {len(seen.found)} found"
    )
    for one in seen.found:
        _tell(one)
    if seen.missed:
        out("\nnear misses")
        rows = [(m.trace.trace_id, m.decided_on, m.because) for m in seen.missed]
        print_table(("trace", "lost on", "because"), rows)
    if seen.found and asked.held_out and not asked.shown_none:
        share = f"{100 * asked.held_out:g}%"
        out(f"\n{share} of such jobs are shown none of them, to measure their effect")


def _tell(one: Compared) -> None:
    trace, shared = one.trace, one.shared_words
    out(f"\n{one.rank}. {one_line(trace.trace_id)}")
    out(f"   task     {one_line(trace.task_summary, 500)}")
    out(f"   shares   {len(shared)} words: {one_line(', '.join(shared), 500)}")
    out(f"   Jaccard  {len(shared)}/{one.whole} = {one.similarity:.3f}")
    out(f"   type     {one_line(trace.task_type)}, {_same(one.same_type)}")
    out(f"   class    {one_line(trace.model_class)}, {_same(one.same_class)}")
    out(f"   quality  {trace.quality_score:.4g}, shown to {trace.usage_count} jobs")
    out(f"   made     {made_at(trace.created_at)}, {_age(trace.created_at)}")
    if one.decided_on:
        out(f"   ahead    {one.because}")


def _same(yes: bool) -> str:
    return "the same" if yes else "another"


def _age(created_at: float) -> str:
    days = int((time.time() - created_at) // 86_400)
    return "today" if days <= 0 else f"{days} {'day' if days == 1 else 'days'} ago"
