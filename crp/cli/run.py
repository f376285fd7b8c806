"""`crp run`: solve one task as a durable job, and watch it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import (
    BaseUrl,
    Capability,
    Context,
    Detach,
    FairnessKey,
    Home,
    Inputs,
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
    from crp.config import Settings
    from crp.request import Request


class Orc(StrEnum):
    """Whether the task is split into steps."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def run(
    task: Annotated[str, typer.Argument(help="What you want to know; `-` reads it from stdin.")],
    template: Annotated[str, typer.Option("--template", "-t", help="Use this template.")] = "",
    model: Model = "",
    base_url: BaseUrl = "",
    capability: Capability = None,
    context_file: Context = "",
    inputs: Inputs = None,
    orc: Annotated[
        Orc, typer.Option("--orc", help="Split the task into steps: let the gate decide, or not.")
    ] = Orc.AUTO,
    show_probe: Annotated[
        bool, typer.Option("--show-probe", help="Show what the model says without the engine.")
    ] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Show the plan; asks no model, starts nothing.")
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Let nothing of the plan run before you approve it.")
    ] = False,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_seconds: MaxSeconds = None,
    priority: PriorityKey = None,
    fairness_key: FairnessKey = "",
    stream: Stream = False,
    detach: Detach = False,
    new: Annotated[
        bool, typer.Option("--new", help="Do not go on with the same job that still runs.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Solve a task. Only the answer goes to stdout.

    Starts the engine of this machine if none runs (the first time it fetches a small model). The
    job survives whatever happens to this command: Ctrl-C leaves it running, and the same command
    goes on with it. An incomplete answer is an answer: exit code 0, and it says so.

    \b
    Examples:
      crp run "Compare React, Vue, and Angular"
      crp run "Which laptop suits a student?" -c laptops.md --show-probe
      crp run "Compare tea and coffee" --plan-only
      crp run "Why is the sky blue?" --base-url http://127.0.0.1:11434/v1 --model qwen3:4b
      crp run "Compare tea and coffee" --json | jq -r .answer
      crp run "Compare tea and coffee" --approve
      crp run "Compare tea and coffee" --max-calls 10 --max-seconds 600
      crp run "Compare tea and coffee" > answer.md
    """
    from crp.cli.asking import ModelChoice, budget_of, choose_model, fair, request_of, task_of
    from crp.config import load_settings

    settings, models = choose_model(load_settings(home), ModelChoice(model, base_url, capability))
    options = {"template": template or None, "orc": orc.value}
    wanted = task_of(
        task, context_file, inputs, **options, probe="always" if show_probe else "auto"
    )
    control = {
        "budget": budget_of(max_calls, max_tokens, max_cost, max_seconds),
        "approve": approve,
        "priority": priority,
        "fairness_key": fair(fairness_key),
    }
    request = request_of(settings, wanted, models, **control)
    if plan_only:
        from crp.cli.planning import show_plan

        show_plan(request, as_json=as_json)
    else:
        shown = {"show_probe": show_probe, "as_json": as_json, "stream": stream}
        _run(settings, request, detach=detach, new=new, **shown)


def _run(
    settings: Settings,
    request: Request,
    *,
    detach: bool,
    new: bool,
    show_probe: bool,
    as_json: bool,
    stream: bool,
) -> None:
    from crp.cli.loop import interruptible
    from crp.cli.stages import told
    from crp.cli.terminal import out, print_json, say
    from crp.cli.watching import goodbye_to, watch
    from crp.client import connect, running_job, submit

    job_id: str | None = None

    async def work() -> None:
        nonlocal job_id
        with told() as tell:
            engine = await connect(settings, tell)
        job_id = None if new else await running_job(engine, request)
        say(f"job {job_id} runs already: going on with it" if job_id else "starting the job")
        job_id = job_id or await submit(engine, request)
        if detach:
            print_json({"job_id": job_id}) if as_json else out(job_id)
            goodbye_to(job_id)
            return
        say(f"job {job_id}")
        await watch(engine, job_id, show_probe=show_probe, as_json=as_json, stream=stream)

    interruptible(work, lambda: goodbye_to(job_id))
