"""What a test expects against what was found: one line for each thing that is not so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from crp.authoring.rehearsal import Rehearsed
from crp.authoring.slots import Said
from crp.language import checks
from crp.language.scope import Scope
from crp.language.show import line
from crp.language.testing import Expect, Span, Test
from crp.models import Match, StepRecord
from crp.stages import Route

NOT = "not "
_RAN = ("done", "accepted", "failed")


def wrong_route(wanted: str, route: Route) -> Iterator[str]:
    """Say where the request goes, when that is not where it should."""
    found = route.source.name
    avoided = wanted.removeprefix(NOT)
    if (found == avoided) if wanted.startswith(NOT) else (found != wanted):
        yield f"template: expected {wanted}, found {found} ({_why(route, avoided)})"


def _why(route: Route, wanted: str) -> str:
    own = next((m for m in route.matches if m.template == wanted), None)
    first = route.matches[0] if route.matches else None
    if not route.matched or first is None:
        return f"nothing fits{_scored(own)}"
    said = f"{first.score:.2f}: {', '.join(first.reasons)}"
    return said if own is None or own is first else f"{said};{_scored(own)}"


def _scored(match: Match | None) -> str:
    return f" {match.template} {match.score:.2f}" if match else ""


def unmet(test: Test, ran: Rehearsed) -> Iterator[str]:
    """Give a line for each expectation that the run did not meet."""
    expect, result = test.expect, ran.result
    if expect.status:
        if result.status != expect.status:
            yield f"status: expected {expect.status}, found {result.status}{_error(ran)}"
    elif result.status in ("failed", "cancelled"):
        yield f"the job failed: {result.error}"
        return
    yield from _lists(expect.lists, ran.names)
    yield from _number("calls", expect.calls, result.usage.calls)
    yield from _ran(expect.ran, result.steps)
    yield from _attempts(expect.attempts, ran.said)
    yield from _number("quality", expect.quality, result.quality)
    yield from _answer(expect, test, ran)


def _error(ran: Rehearsed) -> str:
    return f" ({ran.result.error})" if ran.result.error else ""


def _lists(
    wanted: Mapping[str, tuple[str, ...] | Span], names: Mapping[str, JsonValue]
) -> Iterator[str]:
    for name, expected in wanted.items():
        found = names.get(name)
        entries = [str(e) for e in found] if isinstance(found, list) else []
        shown = f"{len(entries)} ({'; '.join(entries)})" if entries else "none"
        if isinstance(expected, Span):
            if not expected.holds(len(entries)):
                yield f"{name}: expected {expected} entries, found {shown}"
        elif list(map(_same, entries)) != list(map(_same, expected)):
            yield f"{name}: expected {'; '.join(expected)}, found {'; '.join(entries) or 'none'}"


def _same(entry: str) -> str:
    return " ".join(entry.casefold().split())


def _number(what: str, wanted: Span | None, found: float | None) -> Iterator[str]:
    if wanted is not None and (found is None or not wanted.holds(round(found, 4))):
        yield f"{what}: expected {wanted}, found {'none' if found is None else f'{found:.4g}'}"


def _ran(wanted: Sequence[str], steps: Iterable[StepRecord]) -> Iterator[str]:
    """The steps that ran are those that are named, in any order."""
    if not wanted:
        return
    of: dict[str, list[StepRecord]] = {}
    for step in steps:
        of.setdefault(step.step, []).append(step)
    for name in wanted:
        records = of.get(name, [])
        if not any(r.status in _RAN for r in records):
            why = "; ".join(dict.fromkeys(filter(None, (r.reason for r in records))))
            how = records[0].status if records else "not in the plan"
            yield f"ran: expected {name}, it was {how}{f' ({why})' if why else ''}"
    for name, records in of.items():
        if name not in wanted and any(r.status in _RAN for r in records):
            yield f"ran: {name} ran too, it is not expected"


def _attempts(wanted: Mapping[str, Span | dict[str, Span]], said: Sequence[Said]) -> Iterator[str]:
    for name, expected in wanted.items():
        each = expected if isinstance(expected, dict) else {None: expected}
        for item, tries in each.items():
            found = _tries(said, name, item)
            if not tries.holds(found):
                place = name if item is None else f"{name}/{item}"
                yield f"attempts of {place}: expected {tries}, found {found}"


def _tries(said: Sequence[Said], step: str, item: str | None) -> int:
    """How often one place was asked; of a fan-out the item that was asked most."""
    own = (s for s in said if (s.slot.step, s.slot.part, s.slot.within) == (step, "", ""))
    return max((s.number + 1 for s in own if item in (None, s.slot.item)), default=0)


def _answer(expect: Expect, test: Test, ran: Rehearsed) -> Iterator[str]:
    if not expect.answer:
        return
    scope = Scope(
        task=test.task, facts=test.context, names=dict(ran.names), outputs=dict(ran.outputs)
    )
    answer = ran.result.answer
    verdicts = checks.run(expect.answer, answer, answer, scope)
    for verdict in verdicts:
        if not verdict.passed:
            yield f"answer: expected {verdict.check}, found {_found(verdict.detail, answer)}"
    said = {verdict.check for verdict in verdicts}
    for check in expect.answer:
        if check.label not in said and not check.when:
            yield f"answer: {check.label} could not be measured"


def _found(detail: str, answer: str) -> str:
    return detail or line(answer)[:80]
