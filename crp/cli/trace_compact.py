"""`crp traces compact`: the journal in fewer files, without what it says twice."""

from __future__ import annotations

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import out, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("compact")(compact)


def compact(as_json: Json = False, home: Home = None) -> None:
    """Make the trace store's journal smaller. The engine must not run (`crp down`).

    Small segments become one, and what was written twice stands there once. Nothing is lost:
    entries keep their numbers, the tables stay as they are, damaged segments are left alone.

    \b
    Examples:
      crp traces compact
      crp traces compact --json
    """
    from crp.config import load_settings
    from crp_analytics.compacting import compact

    done = compact(load_settings(home).home / "traces")
    if as_json:
        print_json(done.model_dump())
        return
    size = f"{done.bytes_before / 1e6:.1f} MB, now {done.bytes_after / 1e6:.1f} MB"
    out(f"{done.segments_before} segments, now {done.segments_after}; {size}")
    out(f"{done.repeated} entries were there twice")
