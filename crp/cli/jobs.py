"""`crp jobs`: what runs, what ran, how it went; come back to a job, end one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json, Limit, group
from crp.cli.terminal import one_line, print_json, print_table, say

if TYPE_CHECKING:
    from pathlib import Path

    from crp.client import Engine
    from crp.config import Settings

app = group("Look at jobs, come back to them, end them.")

JobId = Annotated[str, typer.Argument(help="The job's id, or its beginning.")]


@app.command("list")
def list_jobs(
    running: Annotated[bool, typer.Option("--running", help="Only those under way.")] = False,
    limit: Limit = 30,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """List jobs, newest first: those under way, then the finished ones of the trace store.

    \b
    Examples:
      crp jobs list
      crp jobs list --running
      crp jobs list --json | jq -r '.[].job_id'
    """
    from crp.cli.job_list import listed
    from crp.cli.loop import run
    from crp.config import load_settings

    rows = run(listed(load_settings(home), limit, only_running=running))
    if as_json:
        print_json(rows)
        return
    if not rows:
        say('no jobs yet: try `crp run "Compare tea and coffee"`')
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
def watch(job_id: JobId, as_json: Json = False, home: Home = None) -> None:
    """Come back to a job: its steps as they happen, then its answer on stdout.

    Starts the engine if it does not run; unfinished jobs go on with it. Ctrl-C leaves the job
    running.

    \b
    Examples:
      crp jobs watch compare-react-vue-3f2a
      crp jobs watch compare-react > answer.md
    """
    from crp.cli.loop import interruptible
    from crp.cli.watching import goodbye_to
    from crp.cli.watching import watch as watch_job
    from crp.client import find_job

    known = job_id

    async def work() -> None:
        nonlocal known
        engine = await _engine(home)
        known = await find_job(engine, job_id)
        await watch_job(engine, known, show_probe=False, as_json=as_json)

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

    async def work() -> None:
        await cancel_and_wait(await _engine(home), job_id, as_json=as_json)

    run(work())


async def _engine(home: Path | None) -> Engine:
    """The engine of this home with the models that it had: the jobs are older than this command.

    A home where nothing ever ran gets no engine for the sake of an answer that is known.
    """
    from crp.cli.stages import told
    from crp.client import connect
    from crp.config import load_settings
    from crp.errors import NotFound
    from crp.local.temporal_server import database

    settings = load_settings(home)
    if not settings.temporal.address and not database(settings.home).exists():
        raise NotFound(f"no job has run in {settings.home} yet")
    with told() as tell:
        return await connect(_as_it_was(settings), tell)


def _as_it_was(settings: Settings) -> Settings:
    from crp.local.state import read_state

    last = read_state(settings.home).models
    return settings.model_copy(update={"models": {**settings.models, **last}})
