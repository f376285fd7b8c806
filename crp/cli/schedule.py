"""`crp schedule`: jobs that start by themselves, at times like those of cron."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crp.cli.options import (
    BaseUrl,
    Capability,
    FairnessKey,
    Home,
    Inputs,
    Json,
    MaxCalls,
    MaxCost,
    MaxSeconds,
    MaxTokens,
    Model,
    PriorityKey,
    group,
)
from crp.cli.terminal import one_line, out, print_json, print_table, say

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from crp.client import Engine
    from crp.config import Settings
    from crp.schedules import Recurring

T = TypeVar("T")

app = group("Jobs that start by themselves, again and again.")

Name = Annotated[str, typer.Argument(help="The schedule's name.")]


class Overlap(StrEnum):
    """What is done when it is time and the last job still runs."""

    SKIP = "skip"
    WAIT = "wait"
    WAIT_ALL = "wait-all"
    CANCEL = "cancel"
    TOGETHER = "together"


@app.command()
def create(
    name: Name,
    task: Annotated[str, typer.Argument(help="What you want to know.")],
    cron: Annotated[
        list[str],
        typer.Option("--cron", help="Minute, hour, day, month, weekday; or @daily. Repeatable."),
    ],
    template: Annotated[str, typer.Option("--template", "-t", help="Use this template.")] = "",
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="Such as Europe/Berlin; this machine's if not given.")
    ] = "",
    overlap: Annotated[
        Overlap,
        typer.Option(
            "--overlap",
            help="When the last job still runs: skip this one, start it when the last ends (wait, "
            "wait-all), cancel the last, or run together.",
        ),
    ] = Overlap.SKIP,
    model: Model = "",
    base_url: BaseUrl = "",
    capability: Capability = None,
    context_file: Annotated[
        str, typer.Option("--context-file", "-c", help="Facts to answer from, as they are now.")
    ] = "",
    inputs: Inputs = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_seconds: MaxSeconds = None,
    priority: PriorityKey = None,
    fairness_key: FairnessKey = "",
    paused: Annotated[bool, typer.Option("--paused", help="Do not start jobs yet.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make anew the schedule that has this name.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Make a schedule: the same job, started again and again.

    Facts and templates are those of now; `--replace` takes those of later. Limits hold for each
    job. While a schedule is not paused, the engine of this machine does not end by itself. What it
    misses while it does not run is made up for when it runs again, within a week.

    \b
    Examples:
      crp schedule create news "What is new about tea?" --cron "0 7 * * 1" -t direct-question
      crp schedule create nightly "Summarise the log" -c app.log --cron @daily --overlap wait
    """
    from crp import schedules
    from crp.cli.asking import ModelChoice, budget_of, choose_model, fair, request_of, task_of
    from crp.config import load_settings
    from crp.errors import NotFound

    choice = ModelChoice(model, base_url, capability)
    settings, models = choose_model(load_settings(home), choice)
    wanted = task_of(task, context_file, inputs, template=template or None)
    request = request_of(
        settings,
        wanted,
        models,
        budget=budget_of(max_calls, max_tokens, max_cost, max_seconds),
        priority=priority,
        fairness_key=fair(fairness_key),
    )
    when = schedules.When(tuple(cron), time_zone or schedules.local_zone(), overlap.value)

    async def make(engine: Engine) -> Recurring:
        import contextlib

        if replace:
            with contextlib.suppress(NotFound):
                await schedules.delete(engine, name)
        await schedules.create(engine, name, request, when, paused=paused)
        return await schedules.show(engine, name)

    _print(_with_engine(settings, make), as_json=as_json)


@app.command("list")
def list_schedules(as_json: Json = False, home: Home = None) -> None:
    """List the schedules, with the next start and the latest job of each.

    \b
    Examples:
      crp schedule list
      crp schedule list --json | jq -r '.[].name'
    """
    from crp import schedules
    from crp.errors import NotFound

    async def gather(engine: Engine) -> list[Recurring]:
        return [found async for found in schedules.every(engine)]

    try:
        found = sorted(_on(home, gather), key=lambda one: one.name)
    except NotFound:
        found = []
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    if not found:
        say('no schedules: make one with `crp schedule create NAME "TASK" --cron "0 7 * * 1"`')
        return
    rows = [
        (
            one.name,
            "paused" if one.paused else _next(one),
            ", ".join(one.cron),
            one.jobs[0] if one.jobs else "",
            one_line(one.task, 60),
        )
        for one in found
    ]
    print_table(("schedule", "next", "cron", "latest job", "task"), rows)


@app.command()
def show(name: Name, as_json: Json = False, home: Home = None) -> None:
    """Show a schedule: when it starts jobs, and which ones it has started.

    \b
    Examples:
      crp schedule show news
      crp schedule show news --json | jq -r '.jobs[0]'
    """
    from crp import schedules

    _print(_on(home, lambda engine: schedules.show(engine, name)), as_json=as_json)


@app.command()
def pause(
    name: Name,
    note: Annotated[str, typer.Option("--note", help="Why, for others.")] = "",
    home: Home = None,
) -> None:
    """Start no more jobs; those that run go on.

    \b
    Examples:
      crp schedule pause news --note "on holiday"
    """
    from crp import schedules

    _on(home, lambda engine: schedules.pause(engine, name, note))
    out(f"{name} is paused: `crp schedule resume {name}` goes on")


@app.command()
def resume(name: Name, home: Home = None) -> None:
    """Start jobs again.

    \b
    Examples:
      crp schedule resume news
    """
    from crp import schedules

    async def go_on(engine: Engine) -> Recurring:
        await schedules.resume(engine, name)
        return await schedules.show(engine, name)

    out(f"{name} goes on: {_next(_on(home, go_on))}")


@app.command()
def trigger(name: Name, home: Home = None) -> None:
    """Start a job of a schedule now, also while it is paused.

    \b
    Examples:
      crp schedule trigger news
    """
    from crp import schedules

    _on(home, lambda engine: schedules.trigger(engine, name))
    out(f"a job of {name} starts: `crp jobs watch {name}` shows it")


@app.command()
def delete(name: Name, home: Home = None) -> None:
    """Delete a schedule; the jobs that it has started stay.

    \b
    Examples:
      crp schedule delete news
    """
    from crp import schedules

    _on(home, lambda engine: schedules.delete(engine, name))
    out(f"{name} is deleted; its jobs stay")


# -- what all of them do --------------------------------------------------------------------------


def _on(home: Path | None, ask: Callable[[Engine], Awaitable[T]]) -> T:
    """Ask the engine of a home, with the models that it had: the schedules are older than this.

    A home where nothing ever ran gets no engine for the sake of an answer that is known.
    """
    from crp.config import load_settings
    from crp.errors import NotFound
    from crp.local.state import read_state
    from crp.local.temporal_server import database

    settings = load_settings(home)
    if not settings.temporal.address and not database(settings.home).exists():
        raise NotFound(f"no schedule was made in {settings.home} yet: see `crp schedule create`")
    models = {**settings.models, **read_state(settings.home).models}
    return _with_engine(settings.model_copy(update={"models": models}), ask)


def _with_engine(settings: Settings, ask: Callable[[Engine], Awaitable[T]]) -> T:
    from crp.cli.loop import run
    from crp.cli.stages import told
    from crp.client import connect

    async def work() -> T:
        with told() as tell:
            engine = await connect(settings, tell)
        return await ask(engine)

    return run(work())


def _print(found: Recurring, *, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    lines = {
        "schedule": found.name,
        "task": one_line(found.task, 200),
        "template": found.template,
        "cron": f"{', '.join(found.cron)} ({found.time_zone})",
        "overlap": found.overlap,
        "next": "paused" if found.paused else _next(found),
        "note": one_line(found.note, 200),
        "started": f"{found.started} jobs" if found.started else "",
        "running": ", ".join(found.running),
        "latest": "\n           ".join(found.jobs),
    }
    for name, text in lines.items():
        if text:
            out(f"{name:<10} {text}")


def _next(found: Recurring) -> str:
    return _local(found.next[0], found.time_zone) if found.next else "never again"


def _local(at: datetime, zone: str) -> str:
    from zoneinfo import ZoneInfo

    return f"{at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"
