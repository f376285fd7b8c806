"""`bench engine`: what a durable step costs here, on Temporal alone, and on other engines.

Each run has a server, a database and processes of its own, one after the other, all ways in turn,
so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import typer

from crp.cli.terminal import print_table, say
from crp.errors import CRPError

HEAD = (
    *("way", "shape", "jobs at once", "runs", "jobs/s", "steps/s", "of ours"),
    *("added a step, p50", "p95", "a job, p50", "CPU a step", "of that the server"),
    *("events a step", "bytes a step", "events a job", "bytes a job"),
)
AIM_HEAD = ("aim", "measured", "met")
REAL_HEAD = ("real job", "calls", "wall", "model alone", "added", "share of the model's time")
OURS = "this engine"
RAW = "Temporal alone"

Row = dict[str, Any]


class Key(NamedTuple):
    """What is measured: one row of the table."""

    way: str
    shape: str
    at_once: int


def command(
    jobs: Annotated[
        list[int] | None, typer.Option("--jobs", min=1, help="Jobs at once; repeatable.")
    ] = None,
    shape: Annotated[
        str, typer.Option("--shape", metavar="SHAPE", help="sequence or parallel only.")
    ] = "",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs of each.")] = 3,
    only: Annotated[
        str, typer.Option("--only", metavar="WAY", help="engine, raw or peers only.")
    ] = "",
    peers: Annotated[bool, typer.Option("--peers", help="Also other engines.")] = False,
    peer_python: Annotated[
        Path, typer.Option("--peer-python", help="The Python that has their packages.")
    ] = Path(sys.executable),
    real: Annotated[
        int, typer.Option("--real", metavar="N", help="Also N real jobs with the embedded model.")
    ] = 0,
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
    """What a durable step costs: a job of ten steps with a model that answers at once.

    On the embedded server with its database in a file; beside it Temporal alone, with steps that do
    nothing. Other engines need packages: make an environment for them and name its Python.

    \b
    Examples:
      python -m bench engine
      python -m bench engine --only engine --jobs 1000 --shape sequence --runs 1
      python -m venv peers
      peers/bin/pip install dbos langgraph langgraph-checkpoint-sqlite durabletask \\
          prefect 'fastapi<0.130'
      python -m bench engine --peers --peer-python peers/bin/python
      python -m bench engine --only engine --real 3
    """
    from bench.engine_jobs import SHAPES
    from bench.results import FOLDER, add_line, stamp

    if shape not in ("", *SHAPES):
        _fail(f"there is no shape {shape}: there are {', '.join(SHAPES)}")
    if only not in ("", "engine", "raw", "peers"):
        _fail(f"there is no way {only}: there are engine, raw, peers")
    plan = _plan(jobs or [1, 50], [shape] if shape else list(SHAPES), only, peers, peer_python)
    data: Row = {"bench": "engine", **stamp(), **_machine()}
    try:
        data["rows"], data["absent"] = _measured(plan, runs)
        data["real"] = _real(real) if real else []
    except CRPError as error:
        _fail(str(error), error.exit_code)
    _show(data)
    add_line(results or FOLDER / "engine.jsonl", data)
    if as_json:
        as_json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    if write:
        _write_docs(data)


# -- measuring ------------------------------------------------------------------------------------


def _plan(
    jobs: Sequence[int], shapes: Sequence[str], only: str, peers: bool, python: Path
) -> dict[Key, Callable[[Path], Row]]:
    from bench import engine_peers, engine_run

    def ours(way: str, key: Key) -> Callable[[Path], Row]:
        return lambda folder: _in_child(engine_run.run, folder, way, key.shape, key.at_once)

    def other(peer: engine_peers.Peer, key: Key) -> Callable[[Path], Row]:
        shape: Any = key.shape
        return lambda folder: engine_peers.run_peer(peer, python, folder, shape, key.at_once)

    plan: dict[Key, Callable[[Path], Row]] = {}
    for shape, count in product(shapes, jobs):
        for name, way in ((OURS, "engine"), (RAW, "raw")):
            if only in ("", way):
                key = Key(name, shape, count)
                plan[key] = ours(way, key)
        for peer in engine_peers.PEERS if peers or only == "peers" else ():
            key = Key(peer.name, shape, count)
            plan[key] = other(peer, key)
    return plan


def _measured(
    plan: dict[Key, Callable[[Path], Row]], runs: int
) -> tuple[list[Row], dict[str, str]]:
    """All ways once, then all of them again. Give rows, and who gave no figures and why."""
    from bench.engine_peers import Absent

    found: dict[Key, list[Row]] = {}
    absent: dict[str, str] = {}
    for run in range(runs):
        for key, work in plan.items():
            if key.way in absent:
                continue
            say(f"run {run + 1} of {runs}: {key.way}, {key.shape}, {key.at_once} at once")
            with tempfile.TemporaryDirectory(prefix="crp-bench-") as folder:
                try:
                    found.setdefault(key, []).append(work(Path(folder)))
                except Absent as why:
                    absent[key.way] = str(why)
                    say(f"{key.way}: {why}")
    return [summed(key, rows) for key, rows in found.items() if rows], absent


def _in_child(work: Callable[..., Row], *given: Any) -> Row:
    """A child of its own, so that no run has another's memory or connections."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def summed(key: Key, rows: list[Row]) -> Row:
    """Put the runs of one way together: each run's figure, and what all of them share."""
    from bench.engine_jobs import middle

    cpu = {name: [row["cpu"].get(name, 0.0) for row in rows] for name in rows[0]["cpu"]}
    return {
        **key._asdict(),
        "jobs": rows[0]["jobs"],
        "runs": len(rows),
        "jobs_s": [row["jobs_s"] for row in rows],
        "steps_s": [row["steps_s"] for row in rows],
        "gap_p50": [middle(row["gaps"]) for row in rows],
        "gap_p95": [middle(row["gaps"], 0.95) for row in rows],
        "job_p50": [middle(row["waits"]) for row in rows],
        "cpu": cpu,
        "cpu_step": [sum(row["cpu"].values()) for row in rows],
        "repeated": sum(row["repeated"] for row in rows),
        **{name: rows[0][name] for name in (*HISTORY, "versions") if name in rows[0]},
    }


HISTORY = ("events", "bytes", "step_events", "step_bytes")


def _real(jobs: int) -> list[Row]:
    from bench.engine_real import real

    say(f"{jobs} real jobs with the embedded model, after one that warms up")
    with tempfile.TemporaryDirectory(prefix="crp-bench-") as folder:
        return real(Path(folder), jobs)


# -- the tables -----------------------------------------------------------------------------------


def _show(data: Row) -> None:
    if data["rows"]:
        print_table(HEAD, cells(data["rows"]))
        print_table(AIM_HEAD, aims(data))
    for name, why in data["absent"].items():
        say(f"{name}: {why}")
    if data["real"]:
        print_table(REAL_HEAD, _real_cells(data["real"]))


def cells(rows: list[Row]) -> list[list[str]]:
    ours = {(r["shape"], r["at_once"]): median(r["steps_s"]) for r in rows if r["way"] == OURS}
    return [_cell(row, ours.get((row["shape"], row["at_once"]))) for row in rows]


def _cell(row: Row, ours: float | None) -> list[str]:
    in_sequence = row["shape"] == "sequence"
    alone = row["jobs"] if row["at_once"] > 1 else 1
    return [
        *(row["way"], row["shape"], f"{alone:,}", str(row["runs"])),
        *(_spread(row["jobs_s"]), _spread(row["steps_s"])),
        f"{median(row['steps_s']) / ours:.1f}" if ours else "",
        *(_times(row[name]) if in_sequence else "" for name in ("gap_p50", "gap_p95")),
        _times(row["job_p50"]),
        _times(row["cpu_step"]),
        _times(row["cpu"]["server"]) if "server" in row["cpu"] else "",
        *(f"{row[name]:,.1f}" if name in row else "" for name in ("step_events",)),
        *(f"{row[name]:,.0f}" if name in row else "" for name in ("step_bytes", "events", "bytes")),
    ]


def _spread(values: list[float]) -> str:
    def text(value: float) -> str:
        return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"

    return text(median(values)) + (
        f" ({text(min(values))} to {text(max(values))})" if len(values) > 1 else ""
    )


def _times(values: list[float]) -> str:
    from bench.report import _time

    spread = f" ({_time(min(values))} to {_time(max(values))})" if len(values) > 1 else ""
    return _time(median(values)) + spread


class Aim(NamedTuple):
    """What was wanted of one figure of one row."""

    text: str
    key: Key
    figure: str
    most: float | None = None
    least: float | None = None


AIMS = (
    Aim("a step alone adds at most 13 ms, p50", Key(OURS, "sequence", 1), "gap_p50", most=0.013),
    Aim("120 steps/s in sequence, 50 jobs", Key(OURS, "sequence", 50), "steps_s", least=120),
    Aim("120 steps/s in parallel, 50 jobs", Key(OURS, "parallel", 50), "steps_s", least=120),
    Aim("at most 6 events a step", Key(OURS, "sequence", 1), "step_events", most=6),
    Aim("at most 2,000 bytes a step", Key(OURS, "sequence", 1), "step_bytes", most=2_000),
)


def aims(data: Row) -> list[list[str]]:
    """Hold the figures against the aims: the median of the runs decides."""
    rows = {Key(r["way"], r["shape"], r["at_once"]): r for r in data["rows"]}
    found = [_aimed(aim, rows[aim.key][aim.figure]) for aim in AIMS if aim.key in rows]
    ours, dbos = (rows.get(Key(way, "sequence", 50)) for way in (OURS, "DBOS, SQLite as it comes"))
    if ours and dbos:
        ratio = median(ours["steps_s"]) / median(dbos["steps_s"])
        found.append(["ahead of DBOS with SQLite, 50 jobs", f"{ratio:.2f} times", _met(ratio > 1)])
    if data["real"]:
        share = median(row["share"] for row in data["real"])
        found.append(["at most 3% of a real job", f"{share:.1%}", _met(share <= 0.03)])
    again = sum(row["repeated"] for row in data["rows"] if row["way"] == OURS)
    return [*found, ["no call of the model twice", str(again), _met(not again)]]


def _aimed(aim: Aim, figure: list[float] | float) -> list[str]:
    if isinstance(figure, list):
        value = median(figure)
        shown = _times(figure) if aim.figure.startswith("gap") else _spread(figure)
    else:
        value, shown = figure, f"{figure:,.1f}"
    met = (aim.most is None or value <= aim.most) and (aim.least is None or value >= aim.least)
    return [aim.text, shown, _met(met)]


def _met(yes: bool) -> str:
    return "yes" if yes else "**no**"


def _real_cells(rows: list[Row]) -> list[list[str]]:
    from bench.report import _time

    return [
        [
            *(str(number), str(row["calls"])),
            *(_time(row[name]) for name in ("seconds", "model_seconds", "added")),
            f"{row['share']:.1%}",
        ]
        for number, row in enumerate(rows, 1)
    ]


def _write_docs(data: Row) -> None:
    from bench.report import markdown, write_docs

    alone = f"{data['date'][:10]}, commit {data['commit']}, Python {data['python']}, {data['cpu']}."
    under = alone
    versions = {n: v for row in data["rows"] for n, v in row.get("versions", {}).items()}
    if versions:
        under += f" {', '.join(f'{name} {version}' for name, version in versions.items())}."
    for name, why in data["absent"].items():
        under += f" {name}: {why}."
    if data["rows"]:
        write_docs("bench engine", markdown(HEAD, cells(data["rows"]), under))
        write_docs("bench engine: aims", markdown(AIM_HEAD, aims(data), alone))
    if data["real"]:
        write_docs("bench engine: real", markdown(REAL_HEAD, _real_cells(data["real"]), alone))


def _machine() -> Row:
    from bench.cli import _machine as machine

    return dict(machine())


def _fail(message: str, code: int = 2) -> None:
    say(f"error: {message}")
    raise typer.Exit(code)
