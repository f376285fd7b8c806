"""Whose answer it is: the one way to name a model call in recorded tests, locks and messages. Pure.

In a test, `recorded` has an answer under the name of its list or step, and under `answer` (the
synthesis), `probe`, `outline` (a plan of the model's own), `critique` and `judge`:

    text                   the answer to the first try; every time, under `critique` and `judge`
    [text, text]           the successive tries, rounds of `repeat` counted on; an entry that is a
                           list has one text for each of `samples`
    {item: text or list}   for each item of a fan-out; `"*"` is any other item

Under `critique` and `judge` the keys of a mapping may be an item, a step or `step/item`; under
`judge` also the question. A step that uses another template has that template's names below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from crp.models import Attempt, Call

_BY_STAGE = {"probe": "probe", "decompose": "outline", "synthesize": "answer"}
_PARTS = ("critique", "judge")
ANY = "*"


class Slot(NamedTuple):
    """One place where answers come from; several tries and samples share it."""

    step: str
    """A list, a step, `answer`, `probe` or `outline`."""
    item: str | None = None
    part: str = ""
    """`critique` or `judge`."""
    question: str = ""
    """A judge's."""
    within: str = ""
    """The planned step that another template works for, as `outer>inner/item`."""

    @property
    def planned(self) -> str:
        return self.step if self.item is None else f"{self.step}/{self.item}"

    @property
    def name(self) -> str:
        """How people are told: `profile/Vue`, `draft critique`."""
        whole = f"{self.within}>{self.planned}" if self.within else self.planned
        if self.part == "judge":
            return f'{whole} judge "{self.question}"'
        return f"{whole} {self.part}".strip()


class Said(NamedTuple):
    """One answer that a model gave, or that stood in for one."""

    slot: Slot
    number: int
    """How many answers this place gave before, in the same sample."""
    sample: int
    text: str
    prompt_sha256: str
    finish_reason: str = "stop"

    @property
    def name(self) -> str:
        """The slot with its try; samples of one try have the same prompt."""
        return self.slot.name if self.number == 0 else f"{self.slot.name}, try {self.number + 1}"


def slot_of(call: Call) -> Slot:
    """Name the place of a call."""
    return Slot(
        step=_BY_STAGE.get(call.stage, call.step),
        item=call.item,
        part=call.part if call.part in _PARTS else "",
        question=call.question,
        within=call.within,
    )


def slot_of_attempt(attempt: Attempt) -> Slot:
    """Name the place of a recorded attempt. A judge's question is not known any more."""
    within, _, last = attempt.step.rpartition(">")
    step, slash, item = last.partition("/")
    return Slot(
        step=_BY_STAGE.get(attempt.stage, step),
        item=item if slash else None,
        part=attempt.part if attempt.part in _PARTS else "",
        within=within,
    )


def find(recorded: Mapping[str, JsonValue], slot: Slot, number: int, sample: int = 0) -> str | None:
    """Give the recorded answer to one try; None when there is none."""
    for planned in slot.within.split(">") if slot.within else ():
        recorded = _inside(recorded, planned)
    node = recorded.get(slot.part or slot.step)
    if slot.part == "judge":
        node = _chosen(node, slot.question)
    if slot.part:
        node = _chosen(node, slot.planned, slot.item, slot.step)
    elif slot.item is not None:
        node = _chosen(node, slot.item)
    return _nth(node, number, sample, lasting=bool(slot.part))


def _inside(recorded: Mapping[str, JsonValue], planned: str) -> Mapping[str, JsonValue]:
    """What is recorded for the template that a step uses."""
    step, slash, item = planned.partition("/")
    node = recorded.get(step)
    if slash:
        node = _chosen(node, item)
    return node if isinstance(node, Mapping) else {}


def _chosen(node: JsonValue, *keys: str | None) -> JsonValue:
    if not isinstance(node, Mapping):
        return node
    known = {_plain(key): value for key, value in node.items()}
    wanted = (_plain(key) for key in keys if key is not None)
    return next((known[key] for key in (*wanted, ANY) if key in known), None)


def _plain(key: str) -> str:
    """Items are told apart by their words: a list loses the marks at the ends of its entries."""
    return key if key == ANY else " ".join(key.casefold().split()).rstrip(".,;:!?")


def _nth(node: JsonValue, number: int, sample: int, *, lasting: bool) -> str | None:
    if isinstance(node, list):
        node = node[number] if number < len(node) else None
        if isinstance(node, list):
            node = node[sample] if sample < len(node) else None
    elif number > 0 and not lasting:
        return None
    return node if isinstance(node, str) else None
