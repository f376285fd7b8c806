"""`crp traces publish`: a snapshot of the store for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import out, print_json, say

if TYPE_CHECKING:
    from crp_analytics.publish import Published


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command()(publish)


def publish(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where to; else `published` in the home directory."),
    ] = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="A Parquet file for each table, too.")
    ] = False,
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="With tasks, prompts, outputs and notes.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Write a snapshot that DuckDB, pandas, polars and others open, also while jobs run.

    It holds tables and views, but no words of a task, a prompt, an output or a person unless
    --with-texts asks for them. The old snapshot is replaced when the new one is whole.

    \b
    Examples:
      crp traces publish
      crp traces publish shared --parquet
      crp traces publish private --with-texts
    """
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.records import records

    settings = load_settings(home)
    target = (folder or settings.home / "published").resolve()

    async def ask() -> Published:
        return await (await records(settings)).publish(target, with_texts, parquet)

    done = run(ask())
    if as_json:
        print_json(done.model_dump())
        return
    out(done.file)
    for file in done.parquet:
        out(file)
    _tell(done)


def _tell(done: Published) -> None:
    rows = sum(done.tables.values())
    say(f"{rows} rows in {len(done.tables)} tables, {done.bytes / 1e6:.1f} MB")
    if done.emptied:
        say("without texts (see --with-texts), so these columns are empty:")
        _tell_columns(done.emptied)
        say("and these hold only a part:")
        _tell_columns(done.reduced)


def _tell_columns(names: Iterable[str]) -> None:
    for table, group in groupby(names, lambda name: name.partition(".")[0]):
        say(f"  {table}: {', '.join(name.partition('.')[2] for name in group)}")
