"""`bench retrieval`: what finding similar traces costs, beside other ways to do it.

Each way runs in a child process of its own, one after the other, on the same library and tasks.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crp.cli.terminal import print_table, say

if TYPE_CHECKING:
    from bench.library_corpus import Task, Trace

WARM = 30
ADDED = 1_000
AIMS = {"p95": 0.005, "memory": 300e6, "add": 0.000_050, "load": 5.0}
"""Of the index: at most so much, up to a million traces. All of the best 3 must be right."""

HEAD = (
    *("traces", "way", "n", "CPU p50", "p95", "same best 3", "original found", "build"),
    *("memory", "add p50", "load", "on disk", "aims"),
)


def command(
    size: Annotated[
        list[int] | None, typer.Option("--size", help="Traces in the library; repeatable.")
    ] = None,
    asked: Annotated[int, typer.Option("--tasks", min=1, help="How many tasks.")] = 300,
    slow: Annotated[
        int, typer.Option("--slow-tasks", min=1, help="How many of them for the slow ways.")
    ] = 30,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="WAY", help="This way only; repeatable.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="The file of results; made when needed.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the table as JSON.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write-docs", help="Put the table into docs/benchmarks.md.")
    ] = False,
) -> None:
    """Finding similar traces: the index, DuckDB SQL, SQLite FTS5, a Python loop.

    The loop is also the brute force that the others are compared with. Times are CPU of the whole
    process; memory is what it grew by while the library was built.

    \b
    Examples:
      python -m bench retrieval
      python -m bench retrieval --size 10000 --size 100000
      python -m bench retrieval --size 1000000 --tasks 100 --slow-tasks 10
      python -m bench retrieval --only index
    """
    from bench.results import FOLDER, add_line, stamp
    from bench.retrieval_peers import PEERS

    chosen = list(only or PEERS)
    if unknown := set(chosen) - set(PEERS):
        say(f"error: there is no way {', '.join(unknown)}: there are {', '.join(PEERS)}")
        raise typer.Exit(2)
    rows = [row for count in size or [10_000] for row in _sized(count, chosen, asked, slow)]
    data = {"bench": "retrieval", **stamp(), **_machine(), "rows": rows}
    if not only:
        add_line(results or FOLDER / "retrieval.jsonl", data)
    cells = [_cells(row) for row in rows]
    print_table(HEAD, cells)
    if as_json:
        as_json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    if write:
        from bench.report import markdown, write_docs

        under = f"{data['date'][:10]}, commit {data['commit']}, Python {data['python']}, "
        write_docs("bench retrieval", markdown(HEAD, cells, under + f"{data['cpu']}."))


def _sized(size: int, chosen: Sequence[str], asked: int, slow: int) -> list[dict[str, Any]]:
    from bench.library_corpus import library, write

    with tempfile.TemporaryDirectory(prefix="crp-bench-") as folder:
        texts = Path(folder) / "library.tsv"
        traces = library(size + ADDED)
        write(islice(traces, size), texts)
        more, tasks = list(traces), _tasks(texts, size, asked)
        rows = []
        for name in chosen:
            quick = name.startswith("index")
            say(f"{size:,} traces: {name}")
            given = tasks if quick else tasks[WARM - 2 : WARM + slow]
            rows.append(_in_child(name, texts, more, given, WARM if quick else 2))
    truth = next((row["best"] for row in rows if row["name"] == "Python loop"), None)
    return [{"size": size, **_summed(row, truth)} for row in rows]


def _tasks(texts: Path, size: int, count: int) -> list[Task]:
    """Tasks made of traces that are spread over the library."""
    from bench.library_corpus import read, tasks

    step = max(1, size // (count + WARM))
    return tasks([trace for trace in read(texts) if trace.number % step == 0][: count + WARM])


def _in_child(
    name: str, texts: Path, more: list[Trace], tasks: list[Task], warm: int
) -> dict[str, Any]:
    """A child of its own, so that no way has another's memory or caches."""
    from bench.retrieval_peers import measure

    with (
        tempfile.TemporaryDirectory(prefix="crp-bench-") as folder,
        multiprocessing.get_context("spawn").Pool(1) as pool,
    ):
        return pool.apply(measure, (name, Path(folder), texts, more, tasks, warm))


def _summed(row: dict[str, Any], truth: list[list[int]] | None) -> dict[str, Any]:
    """The figures without the answers; `agree` is the share of best traces that the loop names.

    The loop is told the right task type, so where the type is new there is nothing to compare.
    """
    best, times, origins = row.pop("best"), sorted(row.pop("ask")), row.pop("origins")
    comparable = truth if row["name"] != "index, new task type" else None
    pairs = list(zip(best, comparable, strict=False)) if comparable else []
    named = sum(len(right) for _, right in pairs)
    same = sum(len(set(ours) & set(right)) for ours, right in pairs)
    return {
        **row,
        "n": len(times),
        "p50": median(times),
        "p95": times[min(len(times) - 1, int(0.95 * len(times)))],
        "slowest": times[-1],
        "agree": same / named if named else None,
        "agree_n": len(pairs),
        "found": sum(origin in some for origin, some in zip(origins, best, strict=True)),
        "add": median(row["add"]),
        "add_p95": sorted(row["add"])[int(0.95 * len(row["add"]))],
    }


def _cells(row: dict[str, Any]) -> list[str]:
    from bench.report import _time

    agree = f"{row['agree']:.0%} of {row['agree_n']}" if row["agree"] is not None else ""
    return [
        f"{row['size']:,}",
        row["name"],
        f"{row['n']}",
        *(_time(row["p50"]), _time(row["p95"])),
        agree,
        f"{row['found'] / row['n']:.0%}",
        _time(row["build"]),
        f"{row['memory'] / 1e6:.0f} MB",
        _time(row["add"]),
        _time(row["load"]) if row["load"] is not None else "builds again",
        f"{row['disk'] / 1e6:.0f} MB",
        _aims(row) if row["name"] == "index" else "",
    ]


def _aims(row: dict[str, Any]) -> str:
    missed = [aim for aim, most in AIMS.items() if row[aim] > most]
    if row["agree"] is not None and row["agree"] < 1:
        missed.append("same best 3")
    return f"**missed: {', '.join(missed)}**" if missed else "met"


def _machine() -> dict[str, str]:
    from bench.cli import _machine as machine

    return machine()
