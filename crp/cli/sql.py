"""`crp sql`: questions to the trace store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json, Limit
from crp.cli.terminal import clean, print_json, print_table, say

if TYPE_CHECKING:
    from crp.config import Settings
    from crp_analytics.sql import Table


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; `-` reads it from stdin.")],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    limit: Limit = 1000,
    home: Home = None,
) -> None:
    """Ask the trace store with SQL (DuckDB). It reads a copy: nothing can be changed.

    Tables: jobs, steps, attempts, scores, events, traces, retrievals; views begin with v_, and
    `describe TABLE` explains the columns. Needs no running engine.

    \b
    Examples:
      crp sql "select template, count(*), avg(quality) from jobs group by all"
      crp sql "select step_id, attempt, status, checks_failed from attempts" --json
      crp sql "show tables"
      crp sql "select * from v_retries" --csv > retries.csv
    """
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.errors import UsageError

    if as_json and as_csv:
        raise UsageError("--json and --csv can not both be given")
    text = sys.stdin.read() if query == "-" else query
    table = run(_ask(text, limit, load_settings(home)))
    if as_json:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif as_csv:
        _print_csv(table)
    else:
        print_table(table.columns, table.rows)
    if table.truncated:
        say(f"only the first {len(table.rows)} rows are shown: see --limit")


async def _ask(query: str, limit: int, settings: Settings) -> Table:
    from crp.records import records

    return await (await records(settings)).sql(query, limit)


def _print_csv(table: Table) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([clean(v) if isinstance(v, str) else v for v in row])
