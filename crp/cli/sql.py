"""`crp sql`: questions to the trace store, one by one or in a prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json, Limit
from crp.cli.sql_output import Format, chosen, draw, write

if TYPE_CHECKING:
    from crp.config import Settings
    from crp_analytics.sql import Table


def sql(
    query: Annotated[
        str | None,
        typer.Argument(help="One SELECT; without it a prompt, or stdin when that is no terminal."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="How to write it; else as the name of --output ends."),
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    chart: Annotated[
        bool, typer.Option("--chart", help="Draw bars, or a line when there are dates.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write into this file.")
    ] = None,
    limit: Limit = 1000,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, max=3600, help="Most seconds for one query.")
    ] = 60.0,
    home: Home = None,
) -> None:
    r"""Ask the trace store with SQL (DuckDB). It reads a copy: nothing can be changed.

    Tables: jobs, steps, attempts, scores, events, traces, retrievals; views begin with v_, and
    \d NAME explains one with its columns. Needs no running engine.

    \b
    Examples:
      crp sql
      crp sql "select template, count(*), avg(quality) from jobs group by all"
      crp sql "select day, quality from v_daily" --chart
      crp sql "select * from attempts" --limit 100000 --output attempts.parquet
      crp sql "select * from v_retries" --format csv > retries.csv
      crp sql "\d v_retries"
    """
    from crp.cli.sql_prompt import Session, prompt
    from crp.config import load_settings

    wanted = chosen(_one_format(form, as_json, as_csv, chart, output), output)
    settings = load_settings(home)

    def ask(text: str, most: int = limit) -> Table:
        from crp.cli.loop import run

        return run(_ask(text, most, timeout, settings))

    if query is None and sys.stdin.isatty():
        prompt(Session(ask, wanted, chart), settings.home / "sql_history")
        return
    text = _read_in() if query in (None, "-") else query or ""
    if text.lstrip().startswith("\\"):
        Session(ask, wanted, chart).enter(text)
        return
    table = ask(text)
    draw(table) if chart else write(table, wanted, output)


def _read_in() -> str:
    from crp.errors import UsageError

    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the query is not UTF-8 text (byte {error.start})") from None


def _one_format(
    form: Format | None, as_json: bool, as_csv: bool, chart: bool, output: Path | None
) -> Format | None:
    from crp.errors import UsageError

    given = {
        "--format": form is not None,
        "--json": as_json,
        "--csv": as_csv,
        "--chart": chart,
    }
    names = [name for name, used in given.items() if used]
    if len(names) > 1:
        raise UsageError(f"{names[0]} and {names[1]} can not both be given")
    if chart and output:
        raise UsageError("--chart draws in the terminal: leave --output out")
    return Format.json if as_json else Format.csv if as_csv else form


async def _ask(query: str, limit: int, seconds: float, settings: Settings) -> Table:
    from crp.records import records

    return await (await records(settings)).sql(query, limit, seconds)
