"""The levels of help, and taking off what they make a model write around its answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language.schema import Scaffolds, Step, Template
from crp.language.source import read
from crp.language.text import render
from crp.models import Level

_MARK = re.compile(
    r"(?im)^[ \t>#*_-]*(?:final[ \t]+)?(?:answer|result|final[ \t]+(?:text|version))"
    r"[ \t*_]*:[ \t*_]*"
)
_PART = re.compile(
    r"(?im)^[ \t>#*_]*(?:(?:step|part)[ \t]+)?(?:[1-5][.):][ \t]*)?[*_]{0,2}"
    r"(?P<part>key concepts|relevant facts|facts|organi[sz]ed by theme|themes?|draft|review)"
    r"(?:[ \t]+(?:answer|for completeness|of the answer))?[ \t*_]*(?::[ \t*_]*|$)"
)
PARTS_NEEDED = 3
"""Headings of the five-part structure that must stand in a text before its draft is taken out:
two of them may well be headings of the answer itself."""


@lru_cache(maxsize=16)
def defaults(text: str) -> Scaffolds:
    """Read scaffolds.yaml: the library's help text of each level. An empty text gives none.

    Raises TemplateError with the place of a mistake.
    """
    if not text.strip():
        return Scaffolds()
    root = read(text, "scaffolds.yaml")
    texts = {name: entry.value for name, entry in root.entries.items()}
    known = {name: texts[name].raw for name in Scaffolds.model_fields if name in texts}
    return Scaffolds(**known)


def help_text(
    level: Level,
    step: Step | None,
    template: Template,
    library: Scaffolds,
    names: Mapping[str, JsonValue],
) -> str:
    """Give the help of one level: the step's own text, else the template's, else the library's.

    `step` is None for the whole task. A text that reads a name which is not known here, such as
    the item of a fan-out in the probe, is passed over.
    """
    owners = (*([step.scaffolds] if step else []), template.scaffolds, library)
    for text in (text_of(scaffolds, level) for scaffolds in owners):
        if text is not None:
            with suppress(TemplateError):  # it reads what is not known here, such as `item`
                return render(text, names)
    return ""


def text_of(scaffolds: Scaffolds, level: Level) -> str | None:
    """Give the text for a level; None when the level has none of its own."""
    texts = {
        Level.LIGHT: scaffolds.light,
        Level.MEDIUM: scaffolds.medium,
        Level.HEAVY: scaffolds.heavy,
    }
    return texts.get(level)


def take_off(level: Level, text: str) -> str:
    """Give the answer without what the help made the model write around it.

    Behind the heavy help that is everything before the last line that begins with `Answer:`, and
    where nothing is marked so, the other parts of the five. A reasoning model's `<think>` block
    goes at every level. A text that is not empty stays so.
    """
    text = _spoken(text) or text
    if level != Level.HEAVY:
        return text
    for mark in reversed(list(_MARK.finditer(text))):
        if answer := text[mark.end() :].strip():
            return answer
    return _draft(text) or text


def _spoken(text: str) -> str:
    start = text[:200].lstrip().lower()
    if not start.startswith(("<think>", "<thinking>")):
        return ""
    _, closed, rest = text.partition("</think>" if start[6] == ">" else "</thinking>")
    return rest.strip() if closed else ""


def _draft(text: str) -> str:
    """Give what stands under the last `Draft` heading of the five-part structure."""
    parts = list(_PART.finditer(text))
    if len({part["part"].lower() for part in parts}) < PARTS_NEEDED:
        return ""
    for part, end in zip(parts[::-1], [len(text), *(p.start() for p in parts[:0:-1])], strict=True):
        if part["part"].lower() == "draft":
            return text[part.end() : end].strip()
    return ""
