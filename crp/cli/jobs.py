"""`crp jobs`: what runs, what ran, how it went; come back to a job, end one."""

from __future__ import annotations

from typing import Annotated

import typer

from crp.cli import job_control, job_fork, job_history
from crp.cli.options import Home, JobId, Json, Limit, Stream, group
from crp.cli.terminal import one_line, print_json, print_table, say

app = group("Look at jobs, come back to them, steer them, end them.")


@app.command("list")
def list_jobs(
    running: Annotated[bool, typer.Option("--running", help="Only those under way.")] = False,
    where: Annotated[
        str, typer.Option("--where", help='Only those that fit: "quality < 0.8 and batch = b1".')
    ] = "",
    status: Annotated[str, typer.Option("--status", help="Only with this status.")] = "",
    template: Annotated[str, typer.Option("--template", "-t", help="Only of this template.")] = "",
    model: Annotated[str, typer.Option("--model", help="Only of the model with this name.")] = "",
    limit: Limit = 30,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """List jobs, newest first: those under way, then the finished ones of the trace store.

    --where takes task_type, template, model, status, quality, complexity, batch, job_id,
    submitted_at and finished_at; = != < <= > >= in (a, b), starts with; and, or, brackets.

    \b
    Examples:
      crp jobs list
      crp jobs list --running
      crp jobs list --where "template = 'comparison' and quality < 0.8"
      crp jobs list --status failed --where "submitted_at > 2026-11-20"
      crp jobs list --json | jq -r '.[].job_id'
    """
    from crp.cli.job_list import listed
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.where import all_of, equal, parse

    given = {"status": status, "template": template, "model": model}
    short = [equal(name, value) for name, value in given.items() if value]
    wanted = all_of(*short, parse(where) if where else None)
    rows = run(listed(load_settings(home), limit, only_running=running, where=wanted))
    if as_json:
        print_json(rows)
        return
    if not rows:
        first = 'no jobs yet: try `crp run "Compare tea and coffee"`'
        say("no job fits" if wanted or running else first)
        return
    columns = ("job_id", "status", "quality", "template", "calls", "seconds", "task")
    table = [[one_line(str(r[c]), 60) if c == "task" else r.get(c) for c in columns] for r in rows]
    print_table(("job", *columns[1:]), table)


@app.command()
def show(job_id: JobId, as_json: Json = False, home: Home = None) -> None:
    """Tell the story of a job: gate, plan, every step with its attempts, what failed, the answer.

    \b
    Examples:
      crp jobs show compare-react-vue-3f2a
      crp jobs show compare-react --json | jq .steps
    """
    from crp.cli.job_story import tell
    from crp.cli.loop import run
    from crp.config import load_settings

    run(tell(load_settings(home), job_id, as_json=as_json))


@app.command()
def watch(job_id: JobId, stream: Stream = False, as_json: Json = False, home: Home = None) -> None:
    """Come back to a job: its steps as they happen, then its answer on stdout.

    Starts the engine if it does not run; unfinished jobs go on with it. Ctrl-C leaves the job
    running.

    \b
    Examples:
      crp jobs watch compare-react-vue-3f2a
      crp jobs watch compare-react > answer.md
      crp jobs watch compare-react --stream
    """
    from crp.cli.loop import interruptible
    from crp.cli.reaching import reach
    from crp.cli.watching import goodbye_to
    from crp.cli.watching import watch as watch_job
    from crp.client import find_job

    known = job_id

    async def work() -> None:
        nonlocal known
        engine = await reach(home)
        known = await find_job(engine, job_id)
        await watch_job(engine, known, show_probe=False, as_json=as_json, stream=stream)

    interruptible(work, lambda: goodbye_to(known))


@app.command()
def cancel(job_id: JobId, as_json: Json = False, home: Home = None) -> None:
    """End a job, wait until that is recorded, and say what was there so far.

    \b
    Examples:
      crp jobs cancel compare-react-vue-3f2a
    """
    from crp.cli.cancelling import cancel_and_wait
    from crp.cli.loop import run
    from crp.cli.reaching import reach

    async def work() -> None:
        await cancel_and_wait(await reach(home), job_id, as_json=as_json)

    run(work())


job_control.register(app)
job_fork.register(app)
job_history.register(app)
