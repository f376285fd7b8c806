"""What a query's result becomes: a table, CSV, JSON, JSON lines, Parquet, or a chart.

A file is written under another name first, so that it is whole or not there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crp.cli.terminal import clean, lively, out, print_json, print_table, say
from crp.cli.whole import whole_file
from crp.errors import UsageError

if TYPE_CHECKING:
    from crp_analytics.sql import Table

NARROW = 7
"""Characters that a column needs at least to be read beside others."""


class Format(StrEnum):
    """How a result is written."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"


def chosen(form: Format | None, output: Path | None) -> Format:
    """Say which format is meant: the given one, or that of the file's name. UsageError."""
    suffix = output.suffix.removeprefix(".").lower() if output else ""
    chosen = form or (Format(suffix) if suffix in list(Format) else Format.table)
    if chosen is Format.parquet and output is None:
        raise UsageError("parquet is not for the screen: name a file with --output")
    return chosen


def write(table: Table, form: Format, output: Path | None = None) -> None:
    """Print a result, or write it into a file; say when rows are missing."""
    if output is None:
        _print(table, form)
    else:
        with whole_file(output) as unfinished:
            _write(table, form, unfinished)
        say(f"{len(table.rows)} rows are in {output}")
    if table.truncated:
        say(f"only the first {len(table.rows)} rows are shown: see --limit")


def draw(table: Table) -> None:
    """Print a result as a chart."""
    from crp.cli.charts import chart

    for line in chart(table, shutil.get_terminal_size().columns):
        out(line)


def _write(table: Table, form: Format, path: Path) -> None:
    if form is Format.parquet:
        _write_parquet(table, path)
        return
    with path.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        _print(table, form)


def _print(table: Table, form: Format) -> None:
    if form is Format.json:
        print_json(list(_records(table)))
    elif form is Format.jsonl:
        for record in _records(table):
            print_json(record, indent=None)
    elif form is Format.csv:
        _print_csv(table)
    elif lively(sys.stdout) and len(table.columns) * NARROW > shutil.get_terminal_size().columns:
        _print_one_below_the_other(table)
    else:
        print_table(table.columns, table.rows)


def _print_csv(table: Table) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_csv_cell(value) for value in row])


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return clean(value) if isinstance(value, str) else value


def _print_one_below_the_other(table: Table) -> None:
    """Print each row as a table of its own: these columns do not fit beside each other."""
    for number, row in enumerate(table.rows, 1):
        filled = [pair for pair in zip(table.columns, row, strict=True) if pair[1] is not None]
        print_table((f"row {number}", ""), filled)


def _records(table: Table) -> Iterator[dict[str, Any]]:
    names = unique(table.columns)
    return (dict(zip(names, row, strict=True)) for row in table.rows)


def unique(names: Sequence[str]) -> list[str]:
    """Give every column a name of its own: the second `n` becomes `n_2`."""
    taken: list[str] = []
    for name in names:
        again = (f"{name}_{n}" for n in range(2, len(names) + 2))
        taken.append(name if name not in taken else next(n for n in again if n not in names))
    return taken


# -- files ----------------------------------------------------------------------------------------


def _write_parquet(table: Table, path: Path) -> None:
    """Give the values their types back and let DuckDB write them."""
    import duckdb

    path.touch()  # where that is not possible, the system says it better than DuckDB
    columns = zip(unique(table.columns), table.types, strict=True)
    values = [f"{_typed(i, kind)} AS {_quoted(name)}" for i, (name, kind) in enumerate(columns)]
    rows = "SELECT unnest(CAST(? AS JSON[])) AS row"
    with duckdb.connect(":memory:") as connection:
        query = f"CREATE TABLE result AS SELECT {', '.join(values)} FROM ({rows})"
        connection.execute(query, [json.dumps(table.rows)])
        target = _quoted(str(path), "'")
        connection.execute(f"COPY result TO {target} (FORMAT parquet, COMPRESSION zstd)")


def _typed(column: int, kind: str) -> str:
    """Give the expression that reads a value of this type from JSON."""
    text = f"(row->>{column})"
    if kind == "BLOB":
        return f"unhex({text})"
    if kind == "INTERVAL":
        return f"to_seconds(CAST({text} AS DOUBLE))"
    if kind.endswith(("]", ")")) and not kind.startswith(("DECIMAL", "ENUM")):
        return f"CAST(row->{column} AS {kind})"
    return text if "NULL" in kind or kind == "VARIANT" else f"CAST({text} AS {kind})"


def _quoted(text: str, quote: str = '"') -> str:
    return quote + text.replace(quote, quote * 2) + quote
