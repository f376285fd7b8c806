"""`crp traces rebuild` and `crp traces check`: the tables, made again or held to their journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import out, print_json, say

if TYPE_CHECKING:
    from crp.config import Settings
    from crp_analytics.checking import Checked
    from crp_analytics.rebuilding import Progress
    from crp_analytics.restoring import Restored

DAMAGED = 7
"""Exit code: the store is not whole."""


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("rebuild")(rebuild)
    app.command("check")(check)


def rebuild(
    from_temporal: Annotated[
        bool,
        typer.Option(
            "--from-temporal", help="Put back first what the journal lost and histories still tell."
        ),
    ] = False,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Also when the journal can not give everything.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Make the trace store's tables again from its journal. The engine must not run (`crp down`).

    The old tables stay until the new ones are complete, and are then kept in traces/backups. With
    --from-temporal, decisions that the journal lost are read from the histories that Temporal
    still keeps; scores and moves by hand are in none.

    \b
    Examples:
      crp traces rebuild
      crp traces rebuild --from-temporal
    """
    from crp.cli.loop import run
    from crp.config import load_settings

    settings = load_settings(home)
    with _progress() as progress:
        if from_temporal:
            restored = run(_from_temporal(settings, progress, lossy))
        else:
            restored = _from_journal(settings, progress, lossy)
    if as_json:
        print_json(restored.model_dump())
        return
    if from_temporal:
        say(f"{restored.filled} entries of the journal came back from Temporal's histories")
        say(f"{restored.recorded} jobs whose place in it is not known were recorded last")
    say(f"the tables are made from {restored.facts} facts; the old ones are in traces/backups")


def check(as_json: Json = False, home: Home = None) -> None:
    """Read the whole journal: say what is damaged, and whether the tables have all of it.

    Exit code 7 when something is damaged.

    \b
    Examples:
      crp traces check
      crp traces check --json
    """
    from crp.cli.loop import run
    from crp.config import load_settings

    found = run(_check(load_settings(home)))
    if as_json:
        print_json({"whole": found.whole, **found.model_dump()})
    else:
        _tell(found)
    if not found.whole:
        raise typer.Exit(DAMAGED)


def _tell(found: Checked) -> None:
    size = f"{found.bytes / 1e6:.1f} MB in {found.segments} segments"
    out(f"{found.entries} entries of the journal are whole, {size}")
    for fact in found.skipped:
        say(f"not in the tables: {fact}")
    for damage in found.damage:
        say(f"damaged: {damage}")
    for kept in found.kept_aside:
        say(f"kept aside: {kept}")
    if found.behind:
        say(f"{found.behind} entries are not in the tables")


async def _check(settings: Settings) -> Checked:
    from crp.records import records

    return await (await records(settings)).check()


def _from_journal(settings: Settings, progress: Progress, lossy: bool) -> Restored:
    from crp_analytics import rebuilding
    from crp_analytics.restoring import Restored

    facts = rebuilding.rebuild(settings.home / "traces", progress, lossy)
    return Restored(filled=0, recorded=0, facts=facts)


async def _from_temporal(settings: Settings, progress: Progress, lossy: bool) -> Restored:
    import asyncio

    from crp import histories
    from crp.blobs import BlobStore
    from crp_analytics.restoring import Restored, record_late, restoring

    folder = settings.home / "traces"
    with restoring(folder) as store:  # first: while an engine runs, this is refused at once
        async with histories.reading(settings) as client:
            async for found in histories.decisions(client, BlobStore(settings.home / "blobs")):
                store.add(found)
        filled, facts = await asyncio.to_thread(store.rebuild, progress, lossy)
    recorded = record_late(folder, store.late)
    return Restored(filled=filled, recorded=recorded, facts=facts + recorded)


@contextmanager
def _progress() -> Iterator[Progress]:
    from crp.cli.stages import told

    with told() as tell:

        def progress(done: int, total: int) -> None:
            percent = 100 * done // max(total, 1)
            bar = "#" * (percent // 5)
            tell(f"rebuilding [{bar:<20}] {percent}% of {total} facts")

        yield progress
