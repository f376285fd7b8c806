"""One event of a job as one line for people. Pure.

Events come from workers of any version, and hold what models wrote: nothing in them is trusted to
be there, to be of its type, or to be harmless on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from crp.cli.terminal import one_line
from crp.models import Event, JobStatus, StepStatus


def why(event: Event) -> str:
    """Say why an attempt was not good enough: the checks that failed, or the error."""
    failed = event.body.get("failed")
    checks = ", ".join(map(str, failed)) if isinstance(failed, list) else ""
    return one_line(str(event.body.get("error") or checks), 160)


def line_of(event: Event) -> str:
    """Tell one event in one line; empty when nothing is known about its kind."""
    teller = _TELLERS.get(event.kind)
    if teller is None and event.kind.partition(".")[2] in _ENDINGS.get(event.kind[:4], ()):
        teller = _job_ended if event.kind.startswith("job.") else _finished
    return one_line(teller(event), 400) if teller else ""


def hint_of(kind: str, job_id: str) -> str:
    """Say what a person may type, where an event of this kind makes the job wait for one."""
    if kind == "job.paused":
        return f"it goes on with: crp jobs resume {job_id}"
    if kind == "approval.awaited":
        return f"let it run: crp jobs approve {job_id} (with --show: look at it)"
    return ""


def _routed(event: Event) -> str:
    body = event.body
    reasons = ", ".join(map(str, listed(body, "reasons")))
    fit = reasons if body.get("matched") else "no template fits this task"
    return f"template {body.get('template')}, complexity {body.get('complexity')} ({fit})"


def _retrieved(event: Event) -> str:
    examples = len(listed(event.body, "traces"))
    note = f" ({text(event.body, 'note')})" if event.body.get("note") else ""
    held = " (held out, to measure their effect)" if event.body.get("held_out") else ""
    return f"{examples} worked examples from the library{held}{note}"


def _attempt(event: Event) -> str:
    body = event.body
    what = {"probe": "whole task", "decompose": "asking for a plan"}.get(event.stage, event.stage)
    status, failed = body.get("status"), number(body.get("retried"))
    if status == "transport":
        return f"{event.step or what}: no answer in {max(1, failed):.0f} calls: {why(event)}"
    verdict = "" if status == "ok" else f", not good enough: {why(event)}"
    retried = f", {failed:.0f} calls failed before" if failed else ""
    replayed = ", from the answer journal" if body.get("replayed") else ""
    part = f"{body['part']} of " if body.get("part") else ""
    sample = f", sample {number(body['sample']) + 1:.0f}" if body.get("sample") else ""
    return (
        f"{part}{event.step or what}: attempt {event.attempt}{sample} ({_help(body)}), "
        f"{body.get('tokens')} tokens, {number(body.get('seconds')):.1f} s"
        f"{verdict}{retried}{replayed}"
    )


def _help(body: Mapping[str, object]) -> str:
    level = str(body.get("level"))
    return f"{'no' if level == 'none' else level} help"


def _gated(event: Event) -> str:
    decision = "split into steps" if event.body.get("orc") else "answer in one go"
    return f"gate: {decision}: {text(event.body, 'reason')}"


def _planned(event: Event) -> str:
    titles = [str(step.get("title")) for step in dicts(event.body, "steps")]
    return f"plan of {len(titles)} steps: {'; '.join(titles)}"


def _extracted(event: Event) -> str:
    by = {"model": "the model found", "otherwise": "taken from the template"}
    who = by.get(text(event.body, "by"), "found")
    return f"{event.step}: {', '.join(map(str, listed(event.body, 'values')))} ({who})"


def _voted(event: Event) -> str:
    sample = number(event.body.get("sample")) + 1
    return f"{event.step}: sample {sample:.0f} of {event.body.get('of')} won the vote"


def _awaited(event: Event) -> str:
    calls = number(event.body.get("calls"))
    return f"the plan waits for approval: about {calls:.0f} calls"


def _approved(event: Event) -> str:
    dropped = ", ".join(map(str, listed(event.body, "dropped")))
    without = f", without {dropped}" if dropped else ""
    return f"the plan is approved{_by(event)}{without}"


def _by(event: Event) -> str:
    by = text(event.body, "by")
    return f" by {by}" if by else ""


def _job_ended(event: Event) -> str:
    error = text(event.body, "error")
    return f"job {event.kind.removeprefix('job.')}" + (f": {error}" if error else "")


def _finished(event: Event) -> str:
    state = event.kind.removeprefix("step.")
    if state == "started":
        return f"{event.step}: running"
    quality = event.body.get("quality")
    scored = f", quality {number(quality):.2f}" if quality is not None else ""
    reason = f" ({text(event.body, 'reason')})" if event.body.get("reason") else ""
    return f"{event.step}: {state}{scored}{reason}"


_ENDINGS: dict[str, tuple[str, ...]] = {
    "job.": get_args(JobStatus),
    "step": ("started", *get_args(StepStatus)),
}
"""What may stand behind the dot of a kind, as its status."""

_TELLERS: dict[str, Callable[[Event], str]] = {
    "routed": _routed,
    "pressure.sampled": lambda e: f"resource pressure {e.body.get('pressure')}",
    "retrieved": _retrieved,
    "attempt.finished": _attempt,
    "gated": _gated,
    "planned": _planned,
    "extracted": _extracted,
    "voted": _voted,
    "scored": lambda e: f"quality of the {e.body.get('candidate')} answer: {e.body.get('quality')}",
    "noted": lambda e: f"note: {text(e.body, 'text')}",
    "curated": lambda e: f"library curated: {e.body.get('retired')} traces retired",
    "job.paused": lambda e: f"paused{_by(e)}: what runs finishes, nothing new starts",
    "job.resumed": lambda e: f"resumed{_by(e)}",
    "approval.awaited": _awaited,
    "approved": _approved,
    "job.started": lambda e: f"job started with model {e.body.get('model') or 'unnamed'}",
    "recorded": lambda e: (
        "recorded" + ("; " + text(e.body, "reason") if e.body.get("reason") else "")
    ),
}


def text(body: Mapping[str, Any], name: str) -> str:
    """Read a text of an event as one clean line."""
    return one_line(str(body.get(name) or ""), 300)


def listed(body: Mapping[str, Any], name: str) -> list[Any]:
    """Read a list of an event; anything else is an empty one."""
    value = body.get(name)
    return value if isinstance(value, list) else []


def dicts(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Read a list of records of an event."""
    return [entry for entry in listed(body, name) if isinstance(entry, dict)]


def number(value: Any) -> float:
    """Read a number of an event; anything else is 0."""
    return float(value) if isinstance(value, int | float) else 0.0
