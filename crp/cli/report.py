"""`crp report`: one HTML page with charts about how the engine is doing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home
from crp.cli.terminal import out, say

if TYPE_CHECKING:
    from crp_analytics.sql import Table


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the page goes.")] = Path(
        "report.html"
    ),
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    home: Home = None,
) -> None:
    """Write a page with charts: quality, lift, retries, cost, examples, slow steps, the gate.

    The page is one file: no network, no script; it holds numbers and names, no prompts and no
    answers. (The id of a job begins with words of its task.) Every number says how many jobs it
    stands on.

    \b
    Examples:
      crp report
      crp report --output /tmp/today.html --open
    """
    from datetime import UTC, datetime

    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.records import records
    from crp_analytics.report import QUERY, page

    async def ask() -> Table:
        return await (await records(load_settings(home))).sql(QUERY, 1)

    _written(output, page(run(ask()), datetime.now(UTC)))
    out(str(output))
    if show:
        import webbrowser

        if not webbrowser.open(output.absolute().as_uri()):
            say("no browser could be opened: open the file yourself")


def _written(file: Path, text: str) -> None:
    """Write the whole page or none of it."""
    from crp.cli.whole import whole_file

    with whole_file(file) as unfinished:
        unfinished.write_text(text, "utf-8")
