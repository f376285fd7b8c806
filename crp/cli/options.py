"""Options that several commands share, and the groups they stand in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Directory of the engine and its traces (or CRP_HOME)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for scripts.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Most rows.")]
Model = Annotated[
    str,
    typer.Option("--model", help="A configured alias; with --base-url the name at that server."),
]
BaseUrl = Annotated[
    str,
    typer.Option("--base-url", help="An OpenAI-compatible server, such as http://HOST:PORT/v1."),
]
Capability = Annotated[
    int | None,
    typer.Option("--capability", min=0, max=3, help="0 to 3: how much the model can do alone."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=VALUE", help="An input of the template; repeatable."),
]


def group(help: str) -> typer.Typer:
    """Make a group of commands that looks like all others."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
