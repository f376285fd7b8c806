"""Makes a recorded test of a finished job. Pure: the record is given, the test is given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from crp.authoring.recording import recorded_of
from crp.authoring.slots import Said, Slot, slot_of_attempt
from crp.errors import UsageError
from crp.language.schema import Template
from crp.models import Attempt, JobRecord

MARGIN = 0.05
"""How much worse than the job the test's answer may be."""
DIGITS = 2


def said_in(record: JobRecord, template: Template) -> list[Said]:
    """Give every answer of a job, as the model gave it, in the order of its tries."""
    given: Counter[tuple[Slot, int]] = Counter()
    found: list[Said] = []
    for attempt in record.attempts:
        if attempt.status not in ("ok", "content") or not attempt.prompt_sha256:
            continue
        slot = slot_of_attempt(attempt)
        if slot.part == "judge":
            slot = slot._replace(question=_question(attempt, record, template))
        number = given[slot, attempt.sample]
        given[slot, attempt.sample] += 1
        # A loop that was taken off had ended as it stands here.
        reason = attempt.finish_reason if attempt.finish_reason == "length" else "stop"
        text = _raw(attempt, record.blobs)
        found.append(Said(slot, number, attempt.sample, text, attempt.prompt_sha256, reason))
    return found


def as_test(record: JobRecord, template: Template) -> dict[str, JsonValue]:
    """Write a job down as a test of its template: its answers, and what it came to.

    Raises UsageError for a job that has nothing to test.
    """
    said = said_in(record, template)
    if record.result.status not in ("completed", "incomplete"):
        raise UsageError(f"the job is {record.result.status}: there is no answer to test for")
    if not said:
        raise UsageError("the job asked no model: there is nothing to record")
    task, capability = record.job.task, record.job.model("default").capability
    test: dict[str, JsonValue] = {"task": task.text}
    if task.context:
        test["context"] = task.context
    if task.inputs:
        test["inputs"] = dict(task.inputs)
    if capability != 1:
        test["capability"] = capability
    return {
        **test,
        "expect": dict(_expected(record, template, said)),
        "recorded": recorded_of(said),
    }


def _expected(
    record: JobRecord, template: Template, said: list[Said]
) -> Iterator[tuple[str, JsonValue]]:
    result = record.result
    if record.job.task.template is None:
        yield "template", result.template
    if result.status != "completed":
        yield "status", result.status
    yield from _lists(record, template)
    ran = dict.fromkeys(s.step for s in result.steps if s.status in ("done", "accepted", "failed"))
    if ran:
        yield "ran", list(ran)
    attempts = _attempts(said)
    if attempts:
        yield "attempts", attempts
    if result.quality is not None:
        yield "quality", f"{max(0.0, round(result.quality - MARGIN, DIGITS)):g}+"


def _lists(record: JobRecord, template: Template) -> Iterator[tuple[str, JsonValue]]:
    """The lists that the model was asked for; those that code found are in the request."""
    names = {wanted.name for wanted in template.extract}
    for event in record.events:
        values = event.body.get("values")
        if event.kind == "extracted" and event.step in names and isinstance(values, list):
            yield event.step, values


def _attempts(said: list[Said]) -> dict[str, JsonValue]:
    """How often the steps were asked that were asked more than once."""
    found: dict[str, JsonValue] = {}
    for one in said:
        slot = one.slot
        if one.number == 0 or slot.part or slot.within or slot.step in ("probe", "outline"):
            continue
        items = found.setdefault(slot.step, {})
        if slot.item is None:
            found[slot.step] = one.number + 1
        elif isinstance(items, dict):
            items[slot.item] = one.number + 1
    return found


def _raw(attempt: Attempt, blobs: Mapping[str, str]) -> str:
    """The untouched answer, or what is left of it when its text was purged."""
    return blobs.get(attempt.raw_sha256, attempt.output) if attempt.raw_sha256 else attempt.output


def _question(attempt: Attempt, record: JobRecord, template: Template) -> str:
    """A judge's question: the one of the template's that stands in the prompt."""
    prompt = record.blobs.get(attempt.prompt_sha256, "")
    steps = [*template.steps, *([template.synthesize] if template.synthesize else [])]
    checks = [*template.quality.score, *(c for step in steps for c in step.checks)]
    questions = [str(check.value) for check in checks if check.kind == "judge"]
    return next((q for q in questions if q in prompt), next(iter(questions), ""))
