"""`crp traces export` and `crp traces import`: the library as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import print_json, say

if TYPE_CHECKING:
    from crp.models import ReasoningTrace
    from crp_analytics.interchange import Contents

EVERYTHING = 1_000_000_000

File = Annotated[Path, typer.Argument(help="A JSON file; `-` is standard input or output.")]


def register(app: typer.Typer) -> None:
    """Put the commands into their group."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    file: File,
    task_type: Annotated[str, typer.Option("--type", help="Only traces of this template.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Retired ones too.")] = False,
    home: Home = None,
) -> None:
    """Write the library to a file, as the reference implementation's `to_dict` does.

    \b
    Examples:
      crp traces export library.json
      crp traces export comparisons.json --type comparison
      crp traces export - | jq '.traces | length'
    """
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.records import records
    from crp_analytics.interchange import write

    async def ask() -> list[ReasoningTrace]:
        store = await records(load_settings(home))
        return await store.traces(task_type or None, EVERYTHING, not everything)

    found = run(ask())
    found.reverse()  # oldest first: whoever imports them adds them in this order
    _written(file, write(found))
    say(f"{len(found)} traces")


def import_(file: File, as_json: Json = False, home: Home = None) -> None:
    """Put the traces of a file into the library: all that are new, in one write.

    Takes what `to_dict` writes, a JSON list of traces, or JSON lines. What is there already is not
    added again. An entry that is no trace is named and left out.

    \b
    Examples:
      crp traces import library.json
      crp traces import - < library.jsonl
    """
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.errors import UsageError
    from crp.records import records
    from crp_analytics.interchange import read

    contents = read(_text_of(file))
    if not contents.traces and contents.bad:
        raise UsageError(f"no entry of {file} is a trace; {contents.bad[0]}")

    async def ask() -> list[str]:
        store = await records(load_settings(home))
        traces = [numbered.trace for numbered in contents.traces]
        return await store.at_desk("add_all", [traces], list[str])

    refusals = run(ask()) if contents.traces else []
    _tell(contents, refusals, as_json=as_json)


def _tell(contents: Contents, refusals: list[str], *, as_json: bool) -> None:
    known = [
        f"{numbered.place}: {why}"
        for numbered, why in zip(contents.traces, refusals, strict=True)
        if why
    ]
    added = len(refusals) - len(known)
    if as_json:
        print_json({"added": added, "known": known, "bad": list(contents.bad)})
        return
    for problem in contents.bad:
        say(f"left out: {problem}")
    say(f"{added} traces added, {len(known)} were there already, {len(contents.bad)} left out")


def _text_of(file: Path) -> str:
    from crp.errors import UsageError

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"can not read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8: byte {error.start}") from None


def _written(file: Path, text: str) -> None:
    """Write a whole file or none of it."""
    from crp.cli.whole import whole_file

    if str(file) == "-":
        sys.stdout.write(text)
        return
    with whole_file(file) as unfinished:
        unfinished.write_text(text, "utf-8")
