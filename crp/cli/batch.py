"""`crp batch`: many tasks as durable jobs, a few at a time, with a line for each result."""

from __future__ import annotations

from typing import Annotated

import typer

from crp.cli.options import BaseUrl, Capability, Home, Model, PriorityKey


def batch(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="JSONL or CSV with a task a line, `-` for stdin; with --task the files to ask "
            "about.",
        ),
    ],
    task: Annotated[
        str, typer.Option("--task", help="Ask this of every FILE: its text is the facts.")
    ] = "",
    template: Annotated[
        str, typer.Option("--template", "-t", help="Of the tasks that name none.")
    ] = "",
    model: Model = "",
    base_url: BaseUrl = "",
    capability: Capability = None,
    out: Annotated[
        str, typer.Option("--out", "-o", help="Where results go: a JSONL file, `-` for stdout.")
    ] = "",
    name: Annotated[
        str, typer.Option("--name", help="The batch's name; another one asks everything anew.")
    ] = "",
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=1000, help="Most jobs under way at once.")
    ] = 50,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Start at most so many tasks this time.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Start those again that failed before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would cost; starts nothing.")
    ] = False,
    max_calls: Annotated[
        int | None, typer.Option("--max-calls", min=1, help="Most model calls of the batch.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Most tokens of the batch.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, help="Most money of the batch.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", min=0, help="Start no job after so long.")
    ] = None,
    job_calls: Annotated[
        int | None, typer.Option("--job-max-calls", min=1, help="Most model calls of each job.")
    ] = None,
    job_tokens: Annotated[
        int | None, typer.Option("--job-max-tokens", min=1, help="Most tokens of each job.")
    ] = None,
    job_cost: Annotated[
        float | None, typer.Option("--job-max-cost", min=0, help="Most money of each job.")
    ] = None,
    job_seconds: Annotated[
        float | None, typer.Option("--job-max-seconds", min=0, help="Most time of each job.")
    ] = None,
    priority: PriorityKey = None,
    fairness_key: Annotated[
        str,
        typer.Option("--fairness-key", help="Takes turns with other keys; else the batch's name."),
    ] = "",
    cancel_on_interrupt: Annotated[
        bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C ends the jobs under way, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    home: Home = None,
) -> None:
    """Run many tasks, each as a durable job, and write a line of JSON for each that has ended.

    A line of FILE has `task`, and may have `id`, `template`, `model`, `input`, `context` and
    `context_file`; a CSV file has columns of these names, and `input.NAME`. Results go to
    FILE.results.jsonl. The same command again goes on where it stopped, and starts nothing twice.
    Ctrl-C leaves the jobs that were started running. Exit code 1: some tasks failed or were not
    started.

    \b
    Examples:
      crp batch tasks.jsonl
      crp batch tasks.csv --dry-run
      crp batch "notes/*.md" --task "Summarise this in three sentences" --at-once 8
      crp batch tasks.jsonl --max-calls 500 --job-max-calls 20 --out monday.jsonl
      crp batch tasks.jsonl --retry-failed
      crp batch tasks.jsonl --json | jq .failed
    """
    from dataclasses import replace

    from crp.batching.spending import Limits
    from crp.batching.task import Terms
    from crp.cli.asking import ModelChoice, budget_of, fair
    from crp.cli.batch_input import read
    from crp.errors import UsageError

    if out == "-" and as_json:
        raise UsageError("--json and --out -: stdout can only have one of them")
    choice = ModelChoice(model, base_url, capability)
    budget = budget_of(job_calls, job_tokens, job_cost, job_seconds, of="job-")
    terms = Terms(budget, priority, fair(fairness_key))
    given = read(home, files, about=task, template=template, choice=choice, name=name, out=out)
    given = replace(given, batch=replace(given.batch, terms=terms))
    limits = Limits(max_calls, max_tokens, max_cost, max_seconds)
    if (max_cost is not None or job_cost is not None) and not given.has_prices:
        raise UsageError("--max-cost: no model of these tasks has a price in the settings")
    if dry_run:
        from crp.cli.batch_plan import show_costs

        show_costs(given, limit=limit, retry_failed=retry_failed, as_json=as_json)
        return
    from crp.cli.batch_run import BatchCommand

    BatchCommand(
        given,
        limits,
        at_once=at_once,
        limit=limit,
        retry_failed=retry_failed,
        cancel_on_interrupt=cancel_on_interrupt,
        as_json=as_json,
    ).run()
