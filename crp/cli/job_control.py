"""`crp jobs pause`, `resume` and `approve`: steer a job that is under way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crp.cli.options import Home, Inputs, JobId, Json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crp.client import Engine
    from crp.models import Approval

By = Annotated[str, typer.Option("--by", help="Who does this; the user of this machine if empty.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(pause)
    app.command()(resume)
    app.command()(approve)


def pause(job_id: JobId, by: By = "", as_json: Json = False, home: Home = None) -> None:
    """Let what runs finish, and start nothing new until `crp jobs resume`.

    It may stay so for weeks; the time does not count for --max-seconds.

    \b
    Examples:
      crp jobs pause compare-react-vue-3f2a
    """
    from crp import control

    _steer(control.pause, "paused", job_id, by, home, as_json=as_json)


def resume(job_id: JobId, by: By = "", as_json: Json = False, home: Home = None) -> None:
    """Let a paused job go on.

    \b
    Examples:
      crp jobs resume compare-react-vue-3f2a
      crp jobs resume compare-react && crp jobs watch compare-react
    """
    from crp import control

    _steer(control.resume, "resumed", job_id, by, home, as_json=as_json)


def _steer(
    steer: Callable[[Engine, str, str], Awaitable[None]],
    done: str,
    given: str,
    by: str,
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    from crp.cli.loop import run
    from crp.cli.reaching import reach
    from crp.cli.terminal import out, print_json
    from crp.client import find_job
    from crp.control import standing

    async def work() -> None:
        engine = await reach(home)
        job_id, who = await find_job(engine, given), _who(by)
        await steer(engine, job_id, who)
        stands = await standing(engine, job_id)
        if as_json:
            print_json({"job_id": job_id, **stands.model_dump(mode="json")})
            return
        still = f"; {stands.under_way} still under way" if stands.under_way else ""
        out(f"{job_id}: {done} by {who}{still}")

    run(work())


def approve(
    job_id: JobId,
    show: Annotated[
        bool, typer.Option("--show", help="Show the plan that waits, and change nothing.")
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="STEP", help="Leave a step out; repeatable."),
    ] = None,
    inputs: Inputs = None,
    template: Annotated[
        Path | None,
        typer.Option("--template", "-t", metavar="FILE", help="Make the plan of this file."),
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Change the job's template in $VISUAL or $EDITOR.")
    ] = False,
    by: By = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Let the plan that waits for a person run, as it is or changed.

    A job waits where it was started with --approve, or where its template says `approve: yes`.
    A changed template or input makes the plan anew; a template with mistakes is not sent.

    \b
    Examples:
      crp jobs approve compare-react --show
      crp jobs approve compare-react
      crp jobs approve compare-react --drop contrast
      crp jobs approve compare-react --input items=React --input items=Vue
      crp jobs approve compare-react --edit
    """
    from crp.cli.loop import run
    from crp.cli.reaching import reach
    from crp.client import find_job
    from crp.errors import UsageError

    if edit and template:
        raise UsageError("give one of --edit and --template")

    async def work() -> None:
        from crp.cli.approving import edited, from_file, show_waiting, wanted_plan

        engine = await reach(home)
        known = await find_job(engine, job_id)
        plan = await wanted_plan(engine, known)
        if show:
            show_waiting(known, plan, as_json=as_json)
            return
        said = _approval(by, drop, inputs)
        if template:
            source = await from_file(engine, known, template)
            await _send(engine, known, said.model_copy(update={"template": source}), as_json)
        elif edit:
            async with edited(engine, known) as source:
                await _send(engine, known, said.model_copy(update={"template": source}), as_json)
        else:
            await _send(engine, known, said, as_json)

    run(work())


def _approval(by: str, drop: list[str] | None, inputs: list[str] | None) -> Approval:
    from crp.cli.asking import inputs_of
    from crp.models import Approval

    return Approval(by=_who(by), drop=tuple(drop or ()), inputs=inputs_of(inputs or []))


async def _send(engine: Engine, job_id: str, said: Approval, as_json: bool) -> None:
    from crp.cli.terminal import out, print_json, say
    from crp.control import approve as approve_job

    done = await approve_job(engine, job_id, said)
    if as_json:
        told: dict[str, Any] = said.model_dump(mode="json", exclude={"template"})
        print_json({"job_id": job_id, **told, "changed_template": said.template is not None})
        return
    without = f", without {', '.join(said.drop)}" if said.drop else ""
    out(f"{job_id}: approved by {said.by}{without}")
    if not done:
        say("  the job has your word and makes the new plan as soon as it can")
    say(f"  follow it:  crp jobs watch {job_id}")


def _who(by: str) -> str:
    """Who types this; a container may have no name for its user."""
    import getpass

    from crp.cli.terminal import one_line

    try:
        return one_line(by or getpass.getuser(), 80)
    except (OSError, KeyError, ImportError):
        return "somebody"
