"""The engine in the foreground: one line a stage, then where everything is."""

from __future__ import annotations

import asyncio

from crp import local
from crp.cli.stages import told
from crp.cli.terminal import say
from crp.config import Settings
from crp.local import Running


async def serve_here(settings: Settings) -> None:
    """Run the engine until a signal comes; its own handlers end it in order."""
    with told() as tell:
        ready = asyncio.create_task(_announce(settings, tell.done))
        try:
            await local.serve(settings, foreground=True, progress=tell)
        finally:
            ready.cancel()
    say("the engine has ended; jobs that were under way go on at the next start")


async def _announce(settings: Settings, clear: object) -> None:
    while True:
        running = local.status(settings)
        if running and running.foreground and running.phase == "running":
            if callable(clear):
                clear()
            say(where(running, settings))
            return
        await asyncio.sleep(0.1)


def where(running: Running, settings: Settings) -> str:
    """Say where the parts of an engine are."""
    lines = [
        f"the engine runs (pid {running.pid}); Ctrl-C ends it",
        f"  Temporal  {running.address}, namespace {running.namespace}",
        f"  web UI    {running.ui_url or 'off (crp up --ui)'}",
        f"  model     {running.model_url or 'none on this machine'}",
        f"  home      {settings.home}",
        f"  logs      {settings.home / 'logs'}",
    ]
    return "\n".join(lines)
