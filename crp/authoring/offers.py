"""What can be written at a place of a template: names, fields, filters, tags. Pure.

The place is found in the text alone, so that it works in a line that nobody could read yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crp.authoring.expressions import TAGS, Locals, shape_of, typing
from crp.authoring.glances import ENGINE, FILTERS, summary
from crp.authoring.names import Outline
from crp.language.draft import FACTS
from crp.language.reader import Part, TextUse
from crp.language.shapes import Shape

_CONDITIONS: dict[str, Part] = {
    "when": "when",
    "until": "until",
    "expr": "expr",
    "by": "entry",
    "where": "entry",
}
_NAMED = {
    "for_each": ("list",),
    "covers": ("list",),
    "needs": ("step",),
    "ran": ("step",),
    "agrees_with": ("step",),
    "grounded_in": ("step", "list", "input", *FACTS),
    "keeps": ("step", "list", "input", *FACTS),
    "from": ("step", "list", "input", "facts"),
}
"""Fields that hold names, with what they may name: kinds of names, and words."""
_FIELD = re.compile(r"(?:^\s*(?:-\s+)*|[{,]\s*)(?P<key>\w+):\s+(?P<value>.*)$")


class Offer(NamedTuple):
    """One thing that fits."""

    label: str
    kind: str
    """`input`, `list`, `step`, `snippet`, `name`, `field`, `filter` or `tag`."""
    detail: str = ""


def offers(outline: Outline, text: str, line: int, column: int) -> list[Offer]:
    """Give what fits at a place; line and column count from 1."""
    lines = text.split("\n")
    before = lines[line - 1][: column - 1] if line <= len(lines) else ""
    owner = outline.owner(line)
    start = _start_of(outline, line)
    written = "\n".join([*lines[start - 1 : line - 1], before])
    found = typing(written, len(written))
    use = outline.text_at(line) or _imagined(outline, owner, "text")
    if found is not None:
        return list(_of_typing(outline, use, found.kind, found.before, found.locals))
    field = _FIELD.search(before)
    if field is None:
        return []
    key, value = field["key"], field["value"].lstrip("'\"")
    if key in _CONDITIONS:
        found = typing(value, len(value), condition=True)
        use = use if use.condition else _imagined(outline, owner, _CONDITIONS[key])
        return list(_of_typing(outline, use, found.kind, found.before, {})) if found else []
    if key in _NAMED and not (key == "from" and not owner):
        return list(_of_names(outline, _NAMED[key], owner))
    if key == "vote" and (step := outline.draft.steps.get(owner)):
        return [Offer(f.name, "field", f.kind) for f in step.output.fields]
    return []


def _start_of(outline: Outline, line: int) -> int:
    """Give the line where the entry of this line begins: no loop reaches over it."""
    starts = [d.place.line for d in outline.definitions.values()]
    starts += [e.key.line for e in outline.draft.root.entries.values()]
    return max((start for start in starts if start <= line), default=1)


def _imagined(outline: Outline, owner: str, part: Part) -> TextUse:
    """Stand for a text that could not be read."""
    return TextUse(outline.draft.root, "", owner, part != "text", part, "")


def _of_typing(
    outline: Outline, use: TextUse, kind: str, before: str, local: Locals
) -> Iterator[Offer]:
    names = outline.visible(use)
    if kind == "filter":
        yield from (Offer(name, "filter", what) for name, what in FILTERS.items())
    elif kind == "tag":
        yield from (Offer(name, "tag") for name in TAGS)
    elif before == "snippets":
        yield from _snippets(outline)
    elif kind == "field":
        shape = shape_of(before, names, local)
        yield from (Offer(n, "field", _kind(one)) for n, one in shape.fields.items())
    else:
        yield from (Offer(n, "name", f"each of {over}") for n, over in local.items())
        own = use.owner if use.part in ("text", "help", "when") else ""
        yield from _visible(outline, {n: one for n, one in names.items() if n != own})
        if local:
            yield Offer("loop", "name", ENGINE["loop"])
        if outline.snippets or outline.reader.snippets:
            yield Offer("snippets", "name", ENGINE["snippets"])


def _visible(outline: Outline, names: Mapping[str, Shape]) -> Iterator[Offer]:
    """Give the names that a text sees: the template's own first."""
    own = [name for name in names if name in outline.definitions]
    for name in own:
        definition = outline.definitions[name]
        yield Offer(name, definition.kind, summary(outline, definition))
    for name, shape in names.items():
        if name not in own:
            yield Offer(name, "name", ENGINE.get(name, _kind(shape)))


def _snippets(outline: Outline) -> Iterator[Offer]:
    for name, text in outline.reader.snippets.items():
        yield Offer(name, "snippet", " ".join(text.split())[:80])


def _of_names(outline: Outline, wanted: tuple[str, ...], owner: str) -> Iterator[Offer]:
    lists = outline.draft.lists()
    for name, definition in outline.definitions.items():
        is_list = "list" in wanted and name in lists
        if name != owner and (definition.kind in wanted or is_list):
            yield Offer(name, definition.kind, summary(outline, definition))
    yield from (Offer(word, "name", ENGINE[word]) for word in wanted if word in ENGINE)


def _kind(shape: Shape) -> str:
    return {"answers": "one answer for each item", "any": ""}.get(shape.kind, shape.kind)
