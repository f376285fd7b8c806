"""`crp templates test`: recorded answers replayed without a model, or asked again of one."""

from __future__ import annotations

from typing import Annotated

import typer

from crp.cli.options import BaseUrl, Json, Model
from crp.cli.template_shelf import Home

UNMET = 1
"""Exit code when a test did not pass."""


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("test")(replay)


def replay(
    names: Annotated[
        list[str] | None, typer.Argument(help="Templates, by name or file; all when left out.")
    ] = None,
    only: Annotated[str, typer.Option("--only", metavar="TEST", help="One test, by name.")] = "",
    live: Annotated[
        bool, typer.Option("--live", help="Ask the model instead; nothing is written.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Ask the model and write its answers down.")
    ] = False,
    lock: Annotated[
        bool,
        typer.Option("--lock", help="The answers fit the prompts of today: write the lock only."),
    ] = False,
    model: Model = "",
    base_url: BaseUrl = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Run the tests of templates: without a model, on the answers that are recorded in them.

    A test passes when all its expectations are met. It is stale when a prompt is not the one that
    its answer was recorded for (NAME.tests.lock knows), and not recorded when a call has no
    answer. Exit code 1 unless all passed.

    --record asks a model, as `crp run` chooses it, and writes its answers under `recorded` and
    the prompts' hashes into the lock. For answers written by hand, --lock writes the lock alone.
    The prompts are those for a model of the test's `capability` (1 when it says none; 0 means the
    embedded model), whichever model answers. A text under `recorded` is the first try, a list the
    successive ones; with `samples` a text stands for all of them, and a list within the list has
    one for each.

    \b
    Examples:
      crp templates test
      crp templates test comparison --only "three frameworks"
      crp templates test templates/mine.yaml --record
      crp templates test mine --live --base-url http://127.0.0.1:11434/v1 --model qwen3:4b
    """
    from crp.cli.asking import ModelChoice
    from crp.cli.loop import interruptible
    from crp.cli.terminal import say
    from crp.cli.testing import Wish, run_tests
    from crp.errors import UsageError

    if live + record + lock > 1:
        raise UsageError("--live, --record and --lock exclude each other")
    if record and not names:
        raise UsageError("--record writes into files: name the templates")
    choice = ModelChoice(model, base_url)
    if (model or base_url) and not (live or record):
        raise UsageError("recorded answers need no model: give --live or --record with it")
    wish = Wish(tuple(names or ()), only, live, record, lock, choice)
    passed = interruptible(
        lambda: run_tests(wish, home, as_json=as_json), lambda: say("interrupted")
    )
    raise typer.Exit(0 if passed else UNMET)
