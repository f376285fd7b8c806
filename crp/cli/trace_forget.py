"""`crp traces forget`: the texts of a job go for good, its numbers stay."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import out, print_json, say

if TYPE_CHECKING:
    from crp.config import Settings
    from crp.forgetting import Forgetting


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("forget")(forget)


def forget(
    job: Annotated[str, typer.Argument(help="The job's whole id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep_history: Annotated[
        bool, typer.Option("--keep-history", help="Leave Temporal's history of the job.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Remove the prompts and outputs of a job for good, and its trace from the library.

    Times, tokens, scores and statuses stay, under a new id, because the old one has words of the
    task. While the engine runs, Temporal's history of the job is deleted too; without it, do this
    again when it runs. What you published before is yours to publish again. There is no way back.

    \b
    Examples:
      crp traces forget compare-react-vue-3f2a7kxyz
      crp traces forget compare-react-vue-3f2a7kxyz --yes --json
    """
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.errors import UsageError

    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("forgetting can not be undone: say --yes when nobody can be asked")
        typer.confirm(f"Remove the texts of {job} for good?", abort=True, err=True)
    done = run(_forget(load_settings(home), job, keep_history))
    if as_json:
        print_json(done.model_dump())
    else:
        _tell(done)


async def _forget(settings: Settings, job: str, keep_history: bool) -> Forgetting:
    from crp.forgetting import forget as forget_everywhere
    from crp.records import records

    return await forget_everywhere(await records(settings), job, keep_history)


def _tell(done: Forgetting) -> None:
    out(done.name)
    files = "1 file" if done.blobs == 1 else f"{done.blobs} files"
    say(f"the store holds none of its texts any more; {files} with texts deleted")
    if done.in_temporal:
        say("Temporal's history of it is being deleted")
    elif done.in_temporal is None:
        say(
            "Temporal's history of it still holds its texts, until its retention ends: do this"
            " again while the engine runs (`crp up`) to delete it"
        )
    if done.shown_to:
        say(f"its trace was shown to {', '.join(done.shown_to)}: what they answered is theirs")
