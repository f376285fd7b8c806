"""The command line of the benchmarks. Tables go to stdout, progress and notes to stderr."""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import engine, retrieval, store
from crp.cli.terminal import console, print_table, say
from crp.errors import CRPError

app = typer.Typer(
    help="Measure this project. Every figure in the docs comes from here.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def bench() -> None:
    """Measure this project. Every figure in the docs comes from here."""


Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="This template or figure only; repeatable."),
]


@app.command()
def templates(
    live: Annotated[
        bool, typer.Option("--live", help="Ask a model: each template against the direct answer.")
    ] = False,
    only: Only = None,
    items: Annotated[int, typer.Option("--items", help="At most so many items each.")] = 0,
    base_url: Annotated[
        str, typer.Option("--base-url", help="An OpenAI-compatible server; else the embedded one.")
    ] = "",
    model: Annotated[str, typer.Option("--model", help="The model's name there.")] = "",
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", help="The variable that holds the key.")
    ] = "",
    capability: Annotated[
        int, typer.Option("--capability", min=0, max=3, help="Of the model, see the README.")
    ] = 0,
    best_of: Annotated[
        int, typer.Option("--best-of", help="Also the best of so many direct answers.")
    ] = 0,
    project: Annotated[
        Path | None, typer.Option("--project", help="A folder with templates/ that comes first.")
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
    again: Annotated[
        bool, typer.Option("--again", help="Measure also what is there: the engine has changed.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="With --live: show what is there, ask nothing.")
    ] = False,
    estimate: Annotated[
        float,
        typer.Option(
            "--estimate",
            metavar="SPEED",
            help="With --live: ask nothing, say how long "
            "the rest takes at so many tokens a second.",
        ),
    ] = 0,
    texts: Annotated[int, typer.Option("--texts", help="How many templates are loaded.")] = 1_000,
) -> None:
    """Speed of the template language; with --live, what each template does for a model.

    A live run can be ended with Ctrl-C and goes on where it was: each result is a line of
    bench/results/templates-live.jsonl, and a template, item or model that changed is measured anew.

    \b
    Examples:
      python -m bench templates
      python -m bench templates --only lint --only match
      python -m bench templates --live
      python -m bench templates --live --only comparison --items 3
      python -m bench templates --live --table --write-docs
      python -m bench templates --live --estimate 55
      python -m bench templates --live --model qwen3:4b --capability 2 \\
          --base-url http://127.0.0.1:11434/v1 --api-key-env MY_KEY
    """
    from bench.model import Choice

    names = tuple(only or ())
    if live:
        choice = Choice(base_url, model, api_key_env, capability)
        run = LiveRun(choice, names, items, best_of, project, results)
        if estimate:
            run.show_estimate(estimate)
            return
        shown = run.show(ask=not table, again=again)
        mark = "bench templates --live"
    else:
        shown = _speed(names, texts, results)
        mark = "bench templates"
    if as_json:
        as_json.write_text(json.dumps(shown["data"], indent=2, ensure_ascii=False) + "\n", "utf-8")
    if write:
        from bench.report import write_docs

        write_docs(mark, shown["markdown"])


# -- speed ----------------------------------------------------------------------------------------


def _speed(only: tuple[str, ...], texts: int, results: Path | None) -> dict[str, Any]:
    from bench.report import SPEED_HEAD, markdown, speed_cells
    from bench.results import FOLDER, add_line, stamp
    from bench.speed import MEASURES, PARTS, READERS, Speed

    if unknown := set(only) - set(MEASURES):
        _fail(f"there is no figure {', '.join(unknown)}: there are {', '.join(MEASURES)}")
    chosen = only or tuple(MEASURES)
    total = len(chosen) + (PARTS * len(READERS) - 1) * ("load" in chosen)
    with _bar("measuring", total) as tell:
        rows = Speed(texts=texts, only=only, tell=tell).run()
    data = {"bench": "templates", **stamp(), **_machine(), "rows": [row.line() for row in rows]}
    if not only and texts >= 1_000:
        add_line(results or FOLDER / "templates-speed.jsonl", data)
    cells = speed_cells(rows)
    print_table(SPEED_HEAD, cells)
    under = f"{data['date'][:10]}, commit {data['commit']}, Python {data['python']}, {data['cpu']}."
    return {"data": data, "markdown": markdown(SPEED_HEAD, cells, under)}


def _machine() -> dict[str, str]:
    import os

    kind = platform.processor() or platform.machine()
    return {"python": platform.python_version(), "cpu": f"{kind}, {os.cpu_count()} cores"}


# -- live -----------------------------------------------------------------------------------------


class LiveRun:
    """`--live`: what there is to ask, asking it, and the table."""

    def __init__(
        self,
        choice: Any,
        only: tuple[str, ...],
        items: int,
        best_of: int,
        project: Path | None,
        results: Path | None,
    ) -> None:
        from bench.items import load_items
        from bench.live import tries
        from bench.model import profile_of
        from bench.results import FOLDER
        from crp.config import load_settings
        from crp.templates import find_library

        self.choice = choice
        self.settings = load_settings()
        self.profile = profile_of(choice)
        self.path = results or FOLDER / "templates-live.jsonl"
        try:
            files = load_items(only)
        except CRPError as error:
            _fail(str(error), error.exit_code)
        # The box only, or the folder that was named: nobody's own templates get into the table.
        shelf = find_library(None, project)
        for problem in shelf.problems:
            say(str(problem))
        self.library = shelf.library
        for file in files:
            if self.library.get(file.template) is None:
                say(f"note: there is no template {file.template}: left out")
        if items:
            files = [type(file)(file.template, file.items[:items]) for file in files]
        self.wanted = tries(files, self.library, best_of)

    def show(self, *, ask: bool, again: bool) -> dict[str, Any]:
        """Ask what is missing, and print the table."""
        from bench.report import LIVE_HEAD, compare, live_cells, markdown, measured
        from bench.results import read_lines, stamp

        if ask:
            self._ask(again)
        lines = read_lines(self.path)
        rows = compare(self.wanted, lines, self.profile)
        cells = live_cells(rows)
        print_table(LIVE_HEAD, cells)
        under = (
            f"Model {self.profile.name}, capability {self.profile.capability}; "
            f"{measured(self.wanted, lines, self.profile)}; every answer is in "
            f"`bench/results/{self.path.name}`."
        )
        data = {**stamp(), "model": self.profile.name, "rows": [row.model_dump() for row in rows]}
        return {"data": data, "markdown": markdown(LIVE_HEAD, cells, under)}

    def show_estimate(self, speed: float) -> None:
        """Say what is still to be asked, and how long it takes."""
        from bench.estimate import estimate
        from bench.live import missing
        from bench.results import read_lines

        left = missing(self.wanted, read_lines(self.path), self.profile)
        rows = asyncio.run(estimate(left, self.library, self.profile))
        head = ("template", "answers", "calls", "tokens", "minutes", "minutes at worst")
        cells = [[r.template, r.tries, r.calls, r.tokens, *r.minutes(speed)] for r in rows]
        total = [sum(column) for column in zip(*(cell[1:] for cell in cells), strict=True)]
        print_table(head, [*cells, ["all", *total]] if cells else [])

    def _ask(self, again: bool) -> None:
        try:
            asyncio.run(self._run(again))
        except KeyboardInterrupt:
            say("stopped: the same command goes on from here")
        except CRPError as error:
            _fail(f"{error} (the same command goes on from here)", error.exit_code)

    async def _run(self, again: bool) -> None:
        from bench.live import Live
        from bench.model import open_model

        model = await open_model(self.choice, self.settings)
        live = Live(model, self.library, self.path)
        missing = self.wanted if again else live.open(self.wanted)
        say(f"{len(self.wanted) - len(missing)} of {len(self.wanted)} results are there already")
        with _bar("asking", len(missing)) as tell:
            live.tell = lambda line: tell(
                f"{line['template']} · {line['item']} · {line['arm']}: {line['score']:.2f}"
            )
            await live.run(missing)


# -- the screen -----------------------------------------------------------------------------------


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show how far it is: a bar on a terminal, lines elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    screen = console(stderr=True)
    if not screen.is_terminal:
        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=screen, transient=True) as bar:
        task = bar.add_task(what, total=total)

        def tell(text: str) -> None:
            bar.update(task, advance=1, description=text[:70])

        yield tell


def _fail(message: str, code: int = 2) -> None:
    say(f"error: {message}")
    raise typer.Exit(code)


app.command("engine")(engine.command)
app.command("retrieval")(retrieval.command)
app.command("store")(store.command)


def main(argv: Sequence[str] | None = None) -> None:
    app(args=list(argv) if argv is not None else sys.argv[1:], prog_name="python -m bench")
