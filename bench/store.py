"""`bench store`: what landing a finished job costs, beside other ways, and what the views cost.

Each run is a child process of its own, one after the other, in turn, so that whatever else the
machine does falls on all ways alike.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from crp.cli.terminal import print_table, say

LANDING_HEAD = (
    *("way", "writers", "jobs", "runs", "acknowledged / s", "readable / s", "per CPU second"),
    *("answer p50", "p99"),
)
SLOW = 1.0
"""Seconds from which a view is marked, even in its fastest run."""

SHARE_OF_SLOW = 10
"""A way that commits every job to DuckDB gets so many times fewer of them."""

Row = dict[str, Any]


def command(
    writers: Annotated[
        list[int] | None, typer.Option("--writers", help="Threads that land jobs; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=10, help="Jobs that each run lands.")] = 1_000,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs of each.")] = 3,
    size: Annotated[
        list[int] | None, typer.Option("--size", help="Jobs in a store with views; repeatable.")
    ] = None,
    only: Annotated[
        str, typer.Option("--only", metavar="PART", help="landing or views only.")
    ] = "",
    results: Annotated[
        Path | None, typer.Option("--results", help="The file of results; made when needed.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the tables as JSON.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write-docs", help="Put the tables into docs/benchmarks.md.")
    ] = False,
) -> None:
    """Landing jobs in the trace store, SQLite and DuckDB; what the views cost as it grows.

    A job is 45 rows and about 15 kB of JSON. Acknowledged: the writer has its answer, and a crash
    can not take the job any more. Readable: a reader has counted all of them.

    \b
    Examples:
      python -m bench store
      python -m bench store --only landing --writers 4 --writers 16 --runs 5
      python -m bench store --only views --size 10000 --size 100000 --size 1000000
    """
    from bench.results import FOLDER, add_line, stamp

    if only not in ("", "landing", "views"):
        say(f"error: there is no part {only}: there are landing, views")
        raise typer.Exit(2)
    data: Row = {"bench": "store", **stamp(), **_machine()}
    if only != "views":
        data["landing"] = _landing(writers or [1, 4, 16], jobs, runs)
        print_table(LANDING_HEAD, _landing_cells(data["landing"]))
    if only != "landing":
        data["views"] = [_views(count, runs) for count in size or [10_000]]
        print_table(_view_head(data["views"]), _view_cells(data["views"]))
    add_line(results or FOLDER / "store.jsonl", data)
    if as_json:
        as_json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    if write:
        _write_docs(data)


# -- landing --------------------------------------------------------------------------------------


def _landing(writers: Sequence[int], jobs: int, runs: int) -> list[Row]:
    """All ways once, then all of them again: a busy minute does not fall on one way alone."""
    plan = _plan(writers, jobs)
    found: dict[tuple[str, str], list[Row]] = {key: [] for key in plan}
    for run in range(runs):
        for key, work in plan.items():
            say(f"run {run + 1} of {runs}: {', '.join(key)}")
            found[key].append(work())
    return [_summed(*key, rows) for key, rows in found.items()]


def _plan(writers: Sequence[int], jobs: int) -> dict[tuple[str, str], Callable[[], Row]]:
    from bench import store_peers

    def landing(name: str, count: int) -> Callable[[], Row]:
        some = jobs // SHARE_OF_SLOW if name == store_peers.SLOWEST else jobs
        return lambda: _in_child(store_peers.land, name, count, some)

    def batch(name: str) -> Callable[[], Row]:
        return lambda: _in_child(store_peers.batches, name, jobs)

    ways = {(name, str(n)): landing(name, n) for n in writers for name in store_peers.PEERS}
    hundred = f"1, {store_peers.BATCH} at once"
    return {
        **ways,
        **{(name, hundred): batch(name) for name in store_peers.PEERS},
        ("trace store, library entries", hundred): lambda: _in_child(store_peers.library, jobs),
        ("trace store, rebuild", "from the journal"): lambda: _in_child(store_peers.rebuild, jobs),
    }


def _in_child(work: Callable[..., Row], *given: Any) -> Row:
    """A child of its own, so that no way has another's memory or caches."""
    with (
        tempfile.TemporaryDirectory(prefix="crp-bench-") as folder,
        multiprocessing.get_context("spawn").Pool(1) as pool,
    ):
        return pool.apply(work, (Path(folder), *given))


def _summed(name: str, writers: str, rows: list[Row]) -> Row:
    waits = sorted(wait for row in rows for wait in row["waits"])
    per_job = not waits or len(waits) == sum(row["jobs"] for row in rows)
    return {
        "name": name,
        "writers": writers,
        "jobs": rows[0]["jobs"],
        "runs": len(rows),
        **{key: [row[key] for row in rows] for key in ("acknowledged", "readable", "per_cpu")},
        "p50": median(waits) if waits and per_job else None,
        "p99": waits[int(0.99 * len(waits))] if waits and per_job else None,
    }


def _landing_cells(rows: list[Row]) -> list[list[str]]:
    from bench.report import _time

    return [
        [
            *(row["name"], row["writers"], f"{row['jobs']:,}", str(row["runs"])),
            *(_spread(row[key]) for key in ("acknowledged", "readable", "per_cpu")),
            *("" if row[key] is None else _time(row[key]) for key in ("p50", "p99")),
        ]
        for row in rows
    ]


def _spread(values: list[float]) -> str:
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return f"{median(values):,.0f}" + (f" ({low} to {high})" if len(values) > 1 else "")


# -- views ----------------------------------------------------------------------------------------


def _views(size: int, runs: int) -> Row:
    from bench import store_views

    say(f"views of {size:,} jobs")
    return _in_child(store_views.measure, size, runs)


def _view_head(sizes: list[Row]) -> list[str]:
    head = ["view"]
    for size in sizes:
        head += [f"rows at {size['jobs']:,} jobs", "CPU", "fastest"]
    return [*head, "growth"] if len(sizes) > 1 else head


def _view_cells(sizes: list[Row]) -> list[list[str]]:
    cells = [[view, *_view_row(sizes, view)] for view in sizes[0]["views"]]
    about = [f"{size['bytes'] / 1e6:,.0f} MB" for size in sizes]
    tail = [""] * (len(sizes) > 1)
    return [*cells, ["the file", *(cell for text in about for cell in (text, "", "")), *tail]]


def _view_row(sizes: list[Row], view: str) -> list[str]:
    """CPU of all threads, median and spread; the fastest run of the wall; growth of the CPU."""
    from bench.report import _time

    row: list[str] = []
    for size in sizes:
        found = size["views"][view]
        cpu, wall = found["cpu"], min(found["wall"])
        spread = f"{_time(median(cpu))} ({_time(min(cpu))} to {_time(max(cpu))})"
        row += [f"{found['rows']:,}", spread, f"**{_time(wall)}**" if wall > SLOW else _time(wall)]
    if len(sizes) > 1:
        first, last = (median(size["views"][view]["cpu"]) for size in (sizes[0], sizes[-1]))
        row.append(f"{last / first:.0f}" if first else "")
    return row


# -- the docs -------------------------------------------------------------------------------------


def _write_docs(data: Row) -> None:
    from bench.report import markdown, write_docs

    under = f"{data['date'][:10]}, commit {data['commit']}, Python {data['python']}, {data['cpu']}."
    if "landing" in data:
        table = markdown(LANDING_HEAD, _landing_cells(data["landing"]), under)
        write_docs("bench store: landing", table)
    if "views" in data:
        table = markdown(_view_head(data["views"]), _view_cells(data["views"]), under)
        write_docs("bench store: views", table)


def _machine() -> Row:
    from bench.cli import _machine as machine

    return dict(machine())
