"""`crp temporal`: prepare a Temporal of your own for jobs."""

from __future__ import annotations

from crp.cli.options import Home, Json, group
from crp.cli.terminal import print_json, say

app = group("Prepare a Temporal of your own.")


@app.callback()
def temporal() -> None:
    """Prepare a Temporal of your own."""


@app.command()
def setup(home: Home = None, as_json: Json = False) -> None:
    """Register the search attributes that jobs are listed by; what is there stays as it is.

    The embedded engine has them. Jobs run without them too, and are then not found by template,
    quality and so on while they run. It takes the rights of an operator of the server.

    \b
    Examples:
      crp temporal setup
      CRP_TEMPORAL__ADDRESS=temporal:7233 crp temporal setup
    """
    from crp.attributes import SEARCH_ATTRIBUTES
    from crp.cli.loop import run
    from crp.client import connect
    from crp.config import load_settings
    from crp.searching import register

    async def work() -> list[str]:
        return await register((await connect(load_settings(home))).client)

    made = run(work())
    if as_json:
        print_json({"registered": made, "there": sorted(SEARCH_ATTRIBUTES)})
    elif made:
        say(f"registered {', '.join(made)}; a server may take a minute to know them everywhere")
    else:
        say(f"nothing to do: {', '.join(sorted(SEARCH_ATTRIBUTES))} are there")
