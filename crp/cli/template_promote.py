"""`crp templates promote`: a finished job becomes a recorded test, or an example for others."""

from __future__ import annotations

from typing import Annotated

import typer

from crp.cli.template_shelf import Home


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("promote")(promote)


def promote(
    job: Annotated[str, typer.Argument(help="The job's id, or its beginning.")],
    as_test: Annotated[
        bool, typer.Option("--as-test", help="Write its answers down as a test of its template.")
    ] = False,
    as_example: Annotated[
        bool, typer.Option("--as-example", help="Put its trace into the library of examples.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="The test's name; else the job's id.")] = "",
    home: Home = None,
) -> None:
    """Make a test, or an example for later jobs, of a job that ended.

    --as-test writes every answer of the model into NAME.tests.yaml beside the template (into the
    template's file, if its tests stand there) with what the job came to as expectations, runs the
    test once and writes its lock. Look at the expectations: they say what happened, not what
    should.

    --as-example puts the job's trace into the trace store's library, whatever its quality. Jobs
    are shown only examples of the quality that their template asks for (`few_shot.min_quality`)
    and the settings (`rtl_min_quality_for_storage`).

    \b
    Examples:
      crp templates promote compare-react-vue-3f2a --as-test --name "two frameworks"
      crp templates promote compare-react --as-example
    """
    from crp.cli.loop import run
    from crp.cli.promoting import promote_to_example, promote_to_test
    from crp.config import load_settings
    from crp.errors import UsageError

    if as_test == as_example:
        raise UsageError("give either --as-test or --as-example")
    settings = load_settings(home)
    run(promote_to_test(settings, job, name) if as_test else promote_to_example(settings, job))
