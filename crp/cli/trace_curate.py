"""`crp traces curate`, `undo`, `retire`, `restore`: what leaves the library and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import out, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from crp.config import Settings
    from crp.records import Records
    from crp_analytics.desk import Undone
    from crp_analytics.facts import CurationFact

Trace = Annotated[str, typer.Argument(help="The trace's id, or its beginning.")]
T = TypeVar("T")

Why = Annotated[str, typer.Option("--why", help="For whoever asks later.")]


def register(app: typer.Typer) -> None:
    """Put the commands into their group."""
    app.command("curate")(curate)
    app.command("undo")(undo)
    app.command("retire")(retire)
    app.command("restore")(restore)


def curate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would leave, and why.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Retire the traces that do not deserve their place: weak, unused, or over the cap.

    It happens by itself after every fifth job. A trace that was never shown has its grace; what a
    person restored stays. `crp traces undo` takes a curation back.

    \b
    Examples:
      crp traces curate --dry-run
      crp traces curate --json
    """
    from crp_analytics.facts import CurationFact

    async def ask(store: Records, settings: Settings) -> CurationFact:
        config = settings.config(settings.profiles()["default"])
        return await store.at_desk("would_retire" if dry_run else "curate", [config], CurationFact)

    fact = _with_store(home, ask)
    if as_json:
        print_json(fact.model_dump())
        return
    if fact.retired:
        rows = [(r.trace_id, r.reason, r.detail, r.usage_count) for r in fact.retired]
        print_table(("trace", "reason", "because", "used"), rows)
    verb = "would be retired" if dry_run else "were retired"
    say(f"{len(fact.retired)} of {fact.considered} traces {verb}")


def undo(
    run: Annotated[
        int | None, typer.Argument(help="The curation's number; the last one when left out.")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Bring back what a curation retired. Later curations leave it alone then.

    What a person moved since then stays where it is. The numbers are in the view v_curation.

    \b
    Examples:
      crp traces undo
      crp traces undo 412
    """
    from crp.errors import NotFound
    from crp_analytics.curation import LAST_RUN
    from crp_analytics.desk import Undone

    async def ask(store: Records, settings: Settings) -> Undone:
        # The number is settled first: when the answer is lost, asking again means the same run.
        number: Any = run if run is not None else (await store.sql(LAST_RUN, 1)).rows[0][0]
        if number is None:
            raise NotFound("no trace is out because of a curation")
        return await store.at_desk("undo", [number], Undone)

    undone = _with_store(home, ask)
    if as_json:
        print_json(undone.model_dump())
        return
    for trace_id in undone.restored:
        out(trace_id)
    for trace_id, why in undone.left.items():
        say(f"{trace_id} stays out: {why}")
    back = len(undone.restored)
    say(f"curation {undone.run_id}: {back} {'trace is' if back == 1 else 'traces are'} back")


def retire(trace: Trace, why: Why, home: Home = None) -> None:
    """Take a trace out of the library. It stays out until you restore it; nothing is deleted.

    \b
    Examples:
      crp traces retire compare-react-vue --why "names a customer"
    """
    if _moved(home, "retire", trace, why):
        say("it is out of the library: no job is shown it any more")
    else:
        say("it was out already")


def restore(trace: Trace, why: Why = "", home: Home = None) -> None:
    """Bring a retired trace back. It stays, whatever curation thinks of it, until you retire it.

    \b
    Examples:
      crp traces restore compare-react-vue
      crp traces restore compare-react-vue --why "rare, but good"
    """
    if _moved(home, "restore", trace, why):
        say("it is in the library again")
    else:
        say("it is in the library already")


def _moved(home: Path | None, what: str, given: str, why: str) -> bool:
    from crp.client import completed

    async def ask(store: Records, settings: Settings) -> bool:
        ids = await store.trace_ids(given)
        near = [] if ids else await store.trace_ids("")
        trace_id = completed(given, ids, "trace", near)
        out(trace_id)
        return await store.at_desk(what, [trace_id, why], bool)

    return _with_store(home, ask)


def _with_store(home: Path | None, ask: Callable[[Records, Settings], Awaitable[T]]) -> T:
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.records import records

    async def work() -> T:
        settings = load_settings(home)
        return await ask(await records(settings), settings)

    return run(work())
