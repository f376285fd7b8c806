"""Watch a job on the terminal until it ends or the user has seen enough; the job does not mind."""

from __future__ import annotations

from crp.cli.answers import print_answer
from crp.cli.terminal import print_json, say
from crp.cli.views import view
from crp.client import Engine
from crp.errors import JobFailed
from crp.following import Ended, follow


async def watch(
    engine: Engine, job_id: str, *, show_probe: bool, as_json: bool, stream: bool = False
) -> None:
    """Show a job until its end and print its answer. Raises JobFailed when it has none.

    `stream` shows also what the models are writing.
    """
    with view(job_id) as shown:
        engine.say = shown.note
        ended = await follow(engine, job_id, shown, shown.progress if stream else None)
    tell_end(ended, show_probe=show_probe, as_json=as_json)


def tell_end(ended: Ended, *, show_probe: bool, as_json: bool) -> None:
    """Print how a job ended; its error is raised, after what was there so far."""
    if ended.result is not None:
        if as_json:
            print_json(ended.result.model_dump(mode="json"))
        else:
            print_answer(ended.result, show_probe=show_probe)
    if not ended.recorded:
        say("the trace store does not answer: the trace is recorded as soon as it does")
    if ended.error is not None:
        raise ended.error if ended.result is None else JobFailed(str(ended.error))


def goodbye_to(job_id: str | None) -> None:
    """Say that a job goes on, and how to come back to it."""
    if job_id is None:
        say("stopped before the job began")
        return
    say(f"the job {job_id} goes on in the background")
    say(f"  come back:  crp jobs watch {job_id}")
    say(f"  stop it:    crp jobs cancel {job_id}")
