"""`crp jobs retry` and `fork`: a new job out of an old one, whose answers are not paid again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import (
    Context,
    Detach,
    FairnessKey,
    Home,
    Inputs,
    JobId,
    Json,
    MaxCalls,
    MaxCost,
    MaxSeconds,
    MaxTokens,
    Model,
    PriorityKey,
    Stream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crp.client import Engine
    from crp.config import Settings
    from crp.models import Library, ModelProfile, TemplateSource


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(retry)
    app.command()(fork)


def retry(
    job_id: JobId,
    step: Annotated[str, typer.Argument(help="Only this step; all that failed if empty.")] = "",
    detach: Detach = False,
    stream: Stream = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Ask anew what failed in a job that ended, with all that depends on it.

    Makes a new job, which gets all other answers of the old one free, and follows it. A cancelled
    job is gone on with; a job that ended for want of a budget gets the same budget again.

    \b
    Examples:
      crp jobs retry compare-react-vue-3f2a
      crp jobs retry compare-react profile/Vue --detach
    """
    from crp.control import retry as retry_job

    _follow(lambda engine, old: retry_job(engine, old, step), job_id, home, detach, stream, as_json)


def fork(
    job_id: JobId,
    step: Annotated[
        str, typer.Option("--from", metavar="STEP", help="Ask this step and what needs it anew.")
    ] = "",
    template: Annotated[
        str, typer.Option("--template", "-t", metavar="FILE|NAME", help="Use another template.")
    ] = "",
    model: Model = "",
    inputs: Inputs = None,
    context_file: Context = "",
    approve: Annotated[
        bool, typer.Option("--approve", help="Let nothing of the plan run before you approve it.")
    ] = False,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_seconds: MaxSeconds = None,
    priority: PriorityKey = None,
    fairness_key: FairnessKey = "",
    detach: Detach = False,
    stream: Stream = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Make a new job out of an old one, with something changed, and follow it.

    All answers of the old job are given again free; asked anew is the step of --from with all that
    depends on it, and what the old job has no answer to. `--from synthesize` is the last step. With
    another template and no --from, the steps that it asks otherwise are asked anew.

    \b
    Examples:
      crp jobs fork compare-react-vue-3f2a --from contrast
      crp jobs fork compare-react --from profile/Vue --model big
      crp jobs fork compare-react --from contrast --template mine.yaml
      crp jobs fork compare-react --from profile --context newer-facts.md --max-calls 20
    """
    from crp.cli.asking import budget_of, fair, inputs_of, read_context
    from crp.cli.terminal import say
    from crp.config import load_settings
    from crp.control import Changes
    from crp.control import fork as fork_job

    settings = load_settings(home)
    source, library = _template(settings, template) if template else (None, None)
    changes = Changes(
        template=source,
        library=library,
        models=_models(settings, model) if model else {},
        inputs=inputs_of(inputs or []),
        context=read_context(context_file) if context_file else None,
        budget=budget_of(max_calls, max_tokens, max_cost, max_seconds),
        approve=approve,
        priority=priority,
        fairness_key=fair(fairness_key),
    )
    if changes.needs_step and not step:
        say("note: without --from STEP, all answers of the old job are given again")
    _follow(
        lambda engine, old: fork_job(engine, old, changes, step),
        job_id,
        home,
        detach,
        stream,
        as_json,
    )


def _template(settings: Settings, given: str) -> tuple[TemplateSource, Library]:
    """A template by its file or its name, with the library that it is found in."""
    from crp.cli.approving import compiled, read_text
    from crp.templates import find_library

    shelf = find_library(settings, Path.cwd())
    path = Path(given)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return compiled(read_text(path), path.name, shelf.library), shelf.library
    shelf.get(given)
    source = shelf.library.get(given)
    assert source is not None  # both are filled together
    return source, shelf.library


def _models(settings: Settings, alias: str) -> dict[str, ModelProfile]:
    from crp.cli.asking import ModelChoice, choose_model
    from crp.cli.reaching import as_it_was

    _, models = choose_model(as_it_was(settings), ModelChoice(alias))
    return {name: models[name] for name in (alias, "default")}


def _follow(
    make: Callable[[Engine, str], Awaitable[str]],
    given: str,
    home: Path | None,
    detach: bool,
    stream: bool,
    as_json: bool,
) -> None:
    """Start the new job and watch it as `crp run` does."""
    from crp.cli.loop import interruptible
    from crp.cli.reaching import reach
    from crp.cli.terminal import out, print_json, say
    from crp.cli.watching import goodbye_to, watch
    from crp.client import find_job
    from crp.errors import JobFailed

    job_id: str | None = None

    async def work() -> None:
        nonlocal job_id
        engine = await reach(home)
        old = await find_job(engine, given)
        job_id = await make(engine, old)
        if detach:
            print_json({"job_id": job_id, "origin": old}) if as_json else out(job_id)
            goodbye_to(job_id)
            return
        say(f"job {job_id}, made of {old}")
        failed: JobFailed | None = None
        try:
            await watch(engine, job_id, show_probe=False, as_json=as_json, stream=stream)
        except JobFailed as error:
            failed = error
        await _tell_reused(engine, job_id, old)
        if failed:
            raise failed

    interruptible(work, lambda: goodbye_to(job_id))


async def _tell_reused(engine: Engine, job_id: str, old: str) -> None:
    from crp.cli.terminal import say
    from crp.control import history, past

    was = past(await history(engine, job_id))
    say(f"reused: {was.reused} answers of {old}, free; {was.attempts - was.reused} asked anew")
