"""What a check looks at: the answer, and everything that the answer may be measured against."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from pydantic import Field, JsonValue, SkipValidation

from crp.errors import TemplateError
from crp.language.show import line, show
from crp.language.text import render
from crp.language.words import clean, sentences, stems, words
from crp.models import Wire

MOST_CHARS = 200_000
"""Only the beginning of a longer answer is measured; the verdict says so."""

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


class Scope(Wire):
    """What is known when an answer is checked."""

    task: str
    facts: str = ""
    names: SkipValidation[dict[str, JsonValue]] = Field(default_factory=dict)
    """Inputs, lists, and inside a fan-out `item`; as they are, an `Entry` stays one."""
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    """What earlier steps made, by step id."""
    prompt: str = ""
    """What the model was asked, word by word; empty when it is not known."""
    finish_reason: str = "stop"
    step: str = ""
    """The id of the step that answers; `answer` for the whole."""
    judged: dict[str, float] = Field(default_factory=dict)
    """What a judge said of the answer, 0 or 1, by its question."""

    def value(self, name: str) -> JsonValue:
        """Give what a name stands for; None when it is not known."""
        known: dict[str, JsonValue] = {"task": self.task, "facts": self.facts}
        known |= {"context": self.facts, **self.names, **self.outputs}
        return known.get(name)

    @property
    def known(self) -> dict[str, JsonValue]:
        """Everything that an expression may name."""
        return {"task": self.task, "context": self.facts, **self.outputs, **self.names}

    def entries(self, wanted: JsonValue) -> tuple[str, ...] | None:
        """Read a check's value as a list of texts; None when it names a list that is not known.

        `{{ items }}` alone is the list itself; any other text with braces is rendered.
        """
        if isinstance(wanted, list):
            parts = [self.entries(entry) for entry in wanted]
            found = tuple(entry for part in parts if part for entry in part)
            return tuple(dict.fromkeys(found)) or None
        text = line(wanted)
        if "{{" not in text and "{%" not in text:
            return (text,) if text else None
        name = _NAME.fullmatch(text.strip())
        if name:
            return listed(self.value(name[1]))
        try:
            text = render(text, {**self.outputs, **self.names, "task": self.task})
        except TemplateError:
            return None
        return (text,) if text.strip() else None

    def source(self, name: str) -> str:
        """Give the text of a step, an input or the facts; empty when there is none."""
        return clean(show(self.value(name)))


def listed(value: JsonValue) -> tuple[str, ...] | None:
    """Give the entries of a list, or the items of a fan-out; None for nothing."""
    entries: Iterable[JsonValue] = value if isinstance(value, list | dict) else [value]
    return tuple(filter(None, map(line, entries))) or None


class Finding(NamedTuple):
    """What a check found, before it is weighed."""

    score: float
    detail: str = ""
    hint: str = ""


class Answer:
    """An answer with what several checks count, counted once."""

    def __init__(self, text: str, value: JsonValue, scope: Scope) -> None:
        whole = clean(text)
        self.text = whole[:MOST_CHARS]
        self.end = whole[-2000:].rstrip()
        self.was_cut = len(whole) > MOST_CHARS
        self.value = value
        self.scope = scope
        self.asked: tuple[set[tuple[str, ...]], set[str]] | None = None
        """Runs and words of the question, once a check has worked them out."""

    @cached_property
    def words(self) -> list[str]:
        return words(self.text)

    @cached_property
    def stems(self) -> list[str]:
        return stems(self.text)

    @cached_property
    def sentences(self) -> list[str]:
        return sentences(self.text)
