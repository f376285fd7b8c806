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

Context = Annotated[
    str,
    typer.Option(
        "--context-file", "--context", "-c", help="Facts to answer from; `-` reads stdin."
    ),
]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Print the job's id; do not wait.")]
Stream = Annotated[bool, typer.Option("--stream", help="Show what the model is writing, too.")]
JobId = Annotated[str, typer.Argument(help="The job's id, or its beginning.")]

# What a job may cost, and when its turn is.
MaxCalls = Annotated[
    int | None, typer.Option("--max-calls", min=1, help="Most model calls of the job.")
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Most tokens of the job, in and out.")
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", help="Most money of the job, by the models' prices.")
]
MaxSeconds = Annotated[
    float | None,
    typer.Option("--max-seconds", help="Most seconds, without those it waits for a person."),
]
PriorityKey = Annotated[
    int | None, typer.Option("--priority", min=1, max=5, help="1 to 5: a lower one runs sooner.")
]
FairnessKey = Annotated[
    str, typer.Option("--fairness-key", help="Jobs of one key take turns with those of others.")
]


def group(help: str) -> typer.Typer:
    """Make a group of commands that looks like all others."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
