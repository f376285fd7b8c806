"""Reach the engine of a home for what is asked of jobs that are there already."""

from __future__ import annotations

from pathlib import Path

from crp.cli.stages import told
from crp.client import Engine, connect
from crp.config import Settings, load_settings
from crp.errors import NotFound
from crp.local.state import read_state
from crp.local.temporal_server import database


async def reach(home: Path | None) -> Engine:
    """The engine of this home with the models that it had: the jobs are older than this command.

    A home where nothing ever ran gets no engine for the sake of an answer that is known.
    """
    settings = load_settings(home)
    if not settings.temporal.address and not database(settings.home).exists():
        raise NotFound(f"no job has run in {settings.home} yet")
    with told() as tell:
        return await connect(as_it_was(settings), tell)


def as_it_was(settings: Settings) -> Settings:
    """The settings with the models that the engine had last."""
    last = read_state(settings.home).models
    return settings.model_copy(update={"models": {**settings.models, **last}})
