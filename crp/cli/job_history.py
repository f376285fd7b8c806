"""`crp jobs history`: the story of a job event by event, and how it stood at any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crp.cli.options import Home, JobId, Json

if TYPE_CHECKING:
    from crp.jobs_past import Past
    from crp.models import Event


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command()(history)


def history(
    job_id: JobId,
    at: Annotated[
        int | None,
        typer.Option("--at", metavar="N", min=0, help="Show the job as it was after event N."),
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Tell everything that happened to a job, event by event; or how it stood at one of them.

    Works for a job that runs and for one that ended, with or without an engine.

    \b
    Examples:
      crp jobs history compare-react-vue-3f2a
      crp jobs history compare-react --at 12
      crp jobs history compare-react --at 12 --json | jq .steps
    """
    from crp.cli.loop import run
    from crp.cli.terminal import print_json
    from crp.config import load_settings
    from crp.jobs_past import past

    known, events = run(_events(load_settings(home), job_id))
    if at is None:
        print_json([_data(event) for event in events]) if as_json else _print_events(events)
        return
    _check(at, len(events))
    was = past(events[: at + 1])
    print_json(_past_data(known, was)) if as_json else _print_past(known, was, events)


async def _events(settings: Any, given: str) -> tuple[str, list[Event]]:
    from crp.cli.job_story import find
    from crp.control import events_of
    from crp.records import records

    store = await records(settings)
    job_id = await find(store, given)
    return job_id, await events_of(store, job_id)


def _check(at: int, count: int) -> None:
    from crp.errors import UsageError

    if at >= count:
        last = f"the last one is {count - 1}" if count else "there are none yet"
        raise UsageError(f"the job has no event {at}: {last}")


def _sentence(event: Event) -> str:
    from crp.cli.lines import line_of

    return line_of(event) or f"{event.kind} (told by another version)"


def _data(event: Event) -> dict[str, Any]:
    return {**event.model_dump(mode="json"), "said": _sentence(event)}


def _past_data(job_id: str, was: Past) -> dict[str, Any]:
    from dataclasses import asdict

    return {"job_id": job_id, **asdict(was), "steps": [asdict(s) for s in was.steps.values()]}


def _print_events(events: list[Event]) -> None:
    from crp.cli.terminal import out

    for event in events:
        out(f"{event.sequence:5}  {_after(event, events):9.2f} s  {_sentence(event)}")


def _after(event: Event, events: list[Event]) -> float:
    return (event.at - events[0].at).total_seconds()


def _print_past(job_id: str, was: Past, events: list[Event]) -> None:
    from crp.cli.terminal import one_line, out, print_table

    event = events[was.sequence]
    out(f"job       {job_id}, after event {was.sequence} of {len(events) - 1}")
    out(f"event     {_after(event, events):.2f} s  {_sentence(event)}")
    by = f" by {was.paused_by}" if was.paused_by else ""
    out(f"status    {was.status}{by}{f': {one_line(was.error)}' if was.error else ''}")
    for name, text in (("template", was.template), ("gate", was.gate)):
        out(f"{name:<9} {one_line(text, 300) or 'not decided yet'}")
    reused = f", {was.reused} of them given again" if was.reused else ""
    out(f"so far    {was.attempts} answers{reused}, {was.tokens} tokens")
    for candidate, quality in was.scores.items():
        out(f"quality   {quality:.2f} ({one_line(candidate)})")
    for note in was.notes:
        out(f"note      {one_line(note, 300)}")
    if was.steps:
        out("")
        names = ("step", "status", "attempts", "tokens", "quality", "output")
        print_table(names, [_row(step) for step in was.steps.values()])


def _row(step: Any) -> tuple[Any, ...]:
    from crp.cli.terminal import one_line

    told = one_line(step.output or step.reason, 60)
    return step.id, step.status, step.attempts, step.tokens, step.quality, told
