"""`crp up`, `crp down`, `crp worker`: the processes behind the jobs."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import print_json, say


class Role(StrEnum):
    """What a worker does; see `crp.worker`."""

    WORK = "work"
    STORE = "store"
    ALL = "all"


class Log(StrEnum):
    """How a log is written; see `crp.telemetry.logs`."""

    TEXT = "text"
    JSON = "json"


LogFormat = Annotated[
    Log | None, typer.Option("--log-format", help="Lines for people, or JSON lines for programs.")
]


def up(
    ui: Annotated[bool, typer.Option("--ui", help="Serve Temporal's web UI too.")] = False,
    log_format: LogFormat = None,
    home: Home = None,
) -> None:
    """Run the engine here until Ctrl-C: Temporal, worker, trace store and model.

    Other commands start an engine by themselves when they need one, and it ends when nobody does;
    this one stays. Jobs that are under way when it ends go on at the next start.

    \b
    Examples:
      crp up
      crp up --ui
      crp up --log-format json
      crp up --home /srv/crp
    """
    from crp.cli.loop import run
    from crp.cli.serving import serve_here
    from crp.config import load_settings

    overrides = {"embedded": {"ui": True}} if ui else {}
    run(serve_here(load_settings(home, **overrides, **_logged(log_format))))


def down(home: Home = None, as_json: Json = False) -> None:
    """End the engine of this home, in order. Its jobs go on at the next start.

    \b
    Examples:
      crp down
      crp down --home /srv/crp
    """
    from crp import local
    from crp.config import load_settings

    settings = load_settings(home)
    there = asyncio.run(local.stop(settings))
    if as_json:
        print_json({"stopped": there, "home": str(settings.home)})
    else:
        say("the engine has ended" if there else f"no engine runs for {settings.home}")


def worker(
    role: Annotated[
        Role, typer.Option("--role", help="Workflows and model calls, the trace store, or both.")
    ] = Role.ALL,
    log_format: LogFormat = None,
    home: Home = None,
) -> None:
    """Run a worker for the Temporal of the settings until SIGTERM or Ctrl-C.

    It outlives outages of Temporal. At its end, calls that are under way get some seconds to
    finish. Exactly one process may run the role `store` for one home.

    \b
    Examples:
      CRP_TEMPORAL__ADDRESS=temporal:7233 crp worker --role work
      CRP_TEMPORAL__ADDRESS=temporal:7233 crp worker --role store --home /srv/crp
      CRP_TEMPORAL__ADDRESS=temporal:7233 crp worker --log-format json
    """
    from crp.cli.working import work
    from crp.config import load_settings
    from crp.telemetry import tracing

    try:
        asyncio.run(work(load_settings(home, **_logged(log_format)), role.value))
    finally:
        tracing.leave()


def _logged(form: Log | None) -> dict[str, dict[str, str]]:
    return {"telemetry": {"log_format": form.value}} if form else {}
