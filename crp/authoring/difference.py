"""What is different between two templates, in the words of the language.

Compared is what they mean (their long forms): comments, the order of keys and short forms make no
difference. A text that changed is shown line by line with [-what went-] and {+what came+}.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

from crp.authoring.expanding import expanded
from crp.language.schema import Check, Extract, FewShot, Input, Limits, MatchRules, Step, Template
from crp.language.words import shorten
from crp.models import Wire

_SECTIONS = {"steps": "step", "extract": "list", "inputs": "input"}
_ALONE = {"synthesize": "answer"}
_SHORT = 60
_DEFAULTS: dict[str, Any] = {
    name: field.default
    for model in (Template, MatchRules, Input, Extract, FewShot, Limits, Step, Check)
    for name, field in model.model_fields.items()
    if isinstance(field.default, str | int | float)
}
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


class Change(Wire):
    """One difference."""

    where: str
    """`step table`, `list items`, `answer`, or a field of the template."""
    field: str = ""
    old: JsonValue = None
    new: JsonValue = None
    said: str
    """`samples 1 -> 3`, `prompt changed`."""
    text: tuple[str, ...] = ()
    """The lines of a text that changed."""

    def __str__(self) -> str:
        return f"{self.where}: {self.said}"


def differences(old: Template, new: Template) -> list[Change]:
    """List every difference, in the order of the long form."""
    before, after = expanded(old), expanded(new)
    return [
        c for key in _keys(before, after) for c in _of_key(key, before.get(key), after.get(key))
    ]


def _of_key(key: str, old: Any, new: Any) -> Iterator[Change]:
    if key in _SECTIONS:
        yield from _of_section(_SECTIONS[key], old or {}, new or {})
    elif key in _ALONE:
        yield from _of_one(_ALONE[key], old, new)
    elif isinstance(old, dict) or isinstance(new, dict):
        yield from _of_fields(key, old or {}, new or {})
    else:
        yield from _of_value(key, "", _default(key, old), _default(key, new))


def _of_section(what: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for name in _keys(old, new):
        yield from _of_one(f"{what} {name}", old.get(name), new.get(name))


def _of_one(where: str, old: Any, new: Any) -> Iterator[Change]:
    if old is None or new is None:
        if old != new:
            said = "added" if old is None else "removed"
            yield Change(where=where, old=old, new=new, said=said)
        return
    yield from _of_fields(where, old, new)


def _of_fields(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for field in _keys(old, new):
        yield from _of_value(where, field, old.get(field), new.get(field))


def _of_value(where: str, field: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in _keys(old, new):
            yield from _of_value(where, f"{field}.{key}", old.get(key), new.get(key))
        return
    said, text = _said(field, old, new)
    yield Change(where=where, field=field, old=old, new=new, said=said, text=tuple(text))


def _said(field: str, old: Any, new: Any) -> tuple[str, list[str]]:
    if isinstance(old, list) or isinstance(new, list):
        return f"{field} {_of_list(old or [], new or [])}".strip(), []
    first, last = (_shown(field, value) for value in (old, new))
    if max(len(first), len(last)) > _SHORT or "\n" in f"{first}{last}":
        return f"{field} changed".strip(), list(word_difference(first, last))
    return f"{field} {first or 'nothing'} -> {last or 'nothing'}".strip(), []


def _shown(field: str, value: Any) -> str:
    value = _default(field.rpartition(".")[2], value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else _line(value) if isinstance(value, dict) else str(value)


def _default(field: str, value: Any) -> Any:
    """What an absent value means."""
    return _DEFAULTS.get(field) if value is None else value


def _of_list(old: list[Any], new: list[Any]) -> str:
    gone = [_line(entry) for entry in old if entry not in new]
    come = [_line(entry) for entry in new if entry not in old]
    said = [f"- {entry}" for entry in gone] + [f"+ {entry}" for entry in come]
    return ", ".join(said) or "in another order"


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return shorten(", ".join(f"{k}: {_line(v)}" for k, v in value.items()), _SHORT)
    if isinstance(value, list):
        return shorten(", ".join(map(_line, value)), _SHORT)
    return shorten(str(value), _SHORT)


def word_difference(old: str, new: str) -> Iterator[str]:
    """Give the lines that changed, with the words that went and came marked."""
    marked = "".join(_marked(_WORDS.findall(old), _WORDS.findall(new)))
    for line in marked.splitlines():
        if "[-" in line or "-]" in line or "{+" in line or "+}" in line:
            yield line


def _marked(old: list[str], new: list[str]) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            yield "".join(new[c:d])
            continue
        yield from _each_line("[-", "".join(old[a:b]), "-]")
        yield from _each_line("{+", "".join(new[c:d]), "+}")


def _each_line(opening: str, text: str, closing: str) -> Iterator[str]:
    """Mark a text line by line, so that each line stands for itself."""
    for line in text.splitlines(keepends=True):
        words = line.rstrip("\n")
        end = line[len(words) :]
        yield f"{opening}{words}{closing}{end}" if words else f"{opening}¶{closing}{end}"


def _keys(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys((*old, *new)))
