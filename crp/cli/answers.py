"""How a result is shown: the answer on stdout, what it is worth and what it cost on stderr."""

from __future__ import annotations

import sys

from crp.cli.terminal import lively, one_line, print_markdown, say
from crp.models import JobResult, Score, Verdict

_CHOSEN = {
    "direct": "one direct answer",
    "probe": "the direct answer was good enough",
    "joined": "the steps, joined",
    "synthesized": "the steps, written up by the model",
}


def print_answer(result: JobResult, *, show_probe: bool = False) -> None:
    """Print a result for people; only the answer goes to stdout."""
    if show_probe and result.probe_text is not None:
        probe = _score(result, "probe")
        say(f"--- the model alone{f', quality {probe.value:.2f}' if probe else ''}")
        print_markdown(result.probe_text, stderr=True)
        say("--- with the engine")
    if lively(sys.stderr):
        say("")
    if result.answer:
        print_markdown(result.answer)
    say("")
    for line in summary(result):
        say(line)


def summary(result: JobResult) -> list[str]:
    """Say what a result is worth, what it cost and where its trace went, a line each."""
    lines = [*_quality(result), _cost(result), _trace(result)]
    lines += [f"note: {one_line(note, 300)}" for note in result.notes]
    if result.status == "incomplete":
        lines.insert(0, "INCOMPLETE: some steps failed; the answer is made of those that did not")
    return [line for line in lines if line]


def _quality(result: JobResult) -> list[str]:
    if result.quality is None:
        return []
    chosen = _CHOSEN.get(result.chosen, result.chosen)
    others = [s for s in result.scores if s.candidate != result.chosen]
    against = "".join(f"; {s.candidate} {s.value:.2f}" for s in others)
    lines = [f"quality {result.quality:.2f} ({chosen}{against})"]
    score = _score(result, result.chosen)
    return lines + list(dict.fromkeys(_part(part) for part in (score.parts if score else ())))


def _part(part: Verdict) -> str:
    detail = f": {one_line(part.detail, 60)}" if part.detail else ""
    return f"  {part.score:.2f}  {one_line(part.check, 60)}{detail}"


def _score(result: JobResult, candidate: str) -> Score | None:
    return next((s for s in result.scores if s.candidate == candidate), None)


def _cost(result: JobResult) -> str:
    used = result.usage
    money = f", {used.cost:.4f} money" if used.cost else ""
    return (
        f"cost: {used.calls} calls, {used.tokens} tokens ({used.prompt_tokens} in, "
        f"{used.completion_tokens} out), {result.seconds:.1f} s{money}"
    )


def _trace(result: JobResult) -> str:
    if not result.trace_id:
        return f"trace: not recorded (job {result.job_id})"
    where = "in the library" if result.stored else "recorded, not in the library"
    reason = f" ({one_line(result.stored_reason, 200)})" if result.stored_reason else ""
    return f"trace: {where}{reason}\n  see it: crp jobs show {result.trace_id}"
