"""What a step sees of what came before it: the items before this one, or the last round.

`order: in_sequence` gives `previous`, a list of records, and puts the answer to item 1 where `[1]`
stands in an item: small models are bad at carrying references. `repeat` gives `previous`, the last
answer, and `feedback`, what the critique said of it. Pure.
"""

from __future__ import annotations

import re

from pydantic import JsonValue

from crp.language.schema import Step
from crp.language.show import line, show
from crp.language.text import Entry
from crp.models import Call
from crp.stages import Brief

NO_WORDS = "The last answer was not good enough."
"""What is said where a critique only grades: the same prompt again would be answered the same."""

_MARK = re.compile(r"\[(\d{1,2})\]")
_VERDICTS = ("yes_no", "number", "choice", "date")
"""Kinds of fields that grade an answer and do not say what is wrong with it."""


def names_of(step: Step, call: Call, listed: JsonValue) -> dict[str, JsonValue]:
    """Give the names that speak of earlier items and rounds; `listed` is the list of the step."""
    names: dict[str, JsonValue] = {}
    if step.repeat:
        names |= {"previous": call.draft, "critique": call.critique}
        names["feedback"] = feedback(step, call.critique)
        if call.part or call.round:
            names[step.id] = call.draft
    if step.order == "in_sequence":
        names["previous"] = _records(step, call, listed)
    return names


def feedback(step: Step, critique: JsonValue) -> str:
    """Write what a critique says in words; of fields, those that do not only grade."""
    if not isinstance(critique, dict):
        return show(critique)
    asked = step.repeat.critique if step.repeat else None
    fields = asked.output.fields if asked else ()
    graded = {field.name for field in fields if field.kind in _VERDICTS}
    said = [show(value) for name, value in critique.items() if name not in graded]
    return "\n".join(filter(None, said)) or NO_WORDS


def lists(brief: Brief, call: Call) -> dict[str, JsonValue]:
    """Give the lists whose entries refer to answers that are there: `[1]` is the answer to item 1.

    The answers are those of a step in sequence over the list. A number whose answer is not there
    stays as it is, and an entry is still looked up as it was.
    """
    found: dict[str, JsonValue] = {}
    for step in brief.template.steps:
        answers = call.outputs.get(step.id)
        if step.order == "in_sequence" and isinstance(answers, dict):
            items = _items(brief, step)
            said = [_answer(answers.get(item)) for item in items]
            found[step.for_each] = [_entry(item, said[:n]) for n, item in enumerate(items)]
    return found


def entry_of(listed: JsonValue, item: str) -> str:
    """Give the entry of a list that was called so."""
    entries = listed if isinstance(listed, list) else []
    return next((e for e in entries if isinstance(e, Entry) and e.key == item), item)


def _entry(item: str, before: list[str]) -> JsonValue:
    def answer(mark: re.Match[str]) -> str:
        place = int(mark[1]) - 1
        return (before[place] if 0 <= place < len(before) else "") or mark.group()

    replaced = _MARK.sub(answer, item)
    return Entry(replaced, item) if replaced != item else item


def _answer(value: JsonValue) -> str:
    """Give the answer that a value holds: its field `answer`, else the first, in one line."""
    if isinstance(value, dict):
        value = value.get("answer", next(iter(value.values()), None))
    return line(value)


def _records(step: Step, call: Call, listed: JsonValue) -> list[JsonValue]:
    """Give the items before this one with their answers; one that failed has empty ones, so that
    the others keep their numbers."""
    answers = call.outputs.get(step.id)
    given = answers if isinstance(answers, dict) else {}
    before = listed[: call.index] if isinstance(listed, list) else []
    return [_record(item, given.get(getattr(item, "key", str(item))), step) for item in before]


def _record(item: JsonValue, value: JsonValue, step: Step) -> dict[str, JsonValue]:
    if isinstance(value, dict):
        return {"item": item, **value}
    if step.output.kind == "fields":
        return {"item": item, **{field.name: None for field in step.output.fields}}
    return {"item": item, "answer": value}


def _items(brief: Brief, step: Step) -> list[str]:
    listed = brief.names.get(step.for_each)
    return [str(entry) for entry in listed] if isinstance(listed, list) else []
