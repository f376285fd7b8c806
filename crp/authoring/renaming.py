"""Another name for an input, a list, a step or a snippet: every place of it in the file. Pure."""

from __future__ import annotations

from crp.authoring.expressions import words
from crp.authoring.names import Mention, Outline, Place
from crp.errors import UsageError
from crp.language.draft import RESERVED
from crp.language.reader import NAME


def renamed(outline: Outline, mention: Mention, new: str) -> list[Place]:
    """Give every place that must change. Raises UsageError when the new name can not be had."""
    old = mention.name
    if outline.definition(mention) is None:
        raise UsageError(f'"{old}" is not made in this file')
    if outline.left_out:
        raise UsageError(f"line {outline.left_out} can not be read: mend it first")
    if not NAME.fullmatch(new):
        raise UsageError(f'the name "{new}" must begin with a-z and have only a-z, 0-9 and _')
    if new != old and new in _taken(outline, mention):
        raise UsageError(f'the name "{new}" is taken')
    return outline.places(mention)


def _taken(outline: Outline, mention: Mention) -> set[str]:
    """Give all names that mean something already, loops and entries among them."""
    if mention.kind == "snippet":
        return {*outline.reader.snippets}
    steps = outline.draft.steps.values()
    local = {
        word.text
        for use in outline.reader.texts
        for word in words(use.text, condition=use.condition)
        if word.kind == "local"
    }
    entries = {step.item_name for step in steps}
    fields = {field.name for step in steps for field in step.output.fields}
    return {*outline.definitions, *outline.draft.claimed, *RESERVED, *local, *entries, *fields}
