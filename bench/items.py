"""The tasks of `bench templates --live`: one file a template, read with the language's own reader.

    template: comparison
    guards: [no_refusal, complete]      what may only lower a score; all of them when left out
    items:
      two kettles:
        task: Compare the kettles Zeno and Quillon ...
        context: |
          facts to answer from
        inputs: {audience: students}
        names: {kettles: [Zeno, Quillon]}         lists for `covers:`
        checks: [mentions: "1.7 litres", words: 40-120]
        python_passes: ["f(2) == 4"]              for code: what must be true of it

Checks are those of templates and mean the same. They are fair to a direct answer: a form that is
checked is asked for in the task.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from crp.errors import NotFound, TemplateError
from crp.language import checks as words
from crp.language import parts
from crp.language.makers import listed, one_of
from crp.language.reader import Read, Reader
from crp.language.schema import Check
from crp.language.source import Node, Source
from crp.models import Wire

FOLDER = Path(__file__).parent / "templates" / "items"
GUARDS = tuple(guard.kind for guard in words.GUARDS)


class Item(Wire):
    """One task with the checks that say how good an answer to it is."""

    name: str
    task: str
    context: str = ""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    names: dict[str, JsonValue] = Field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    guards: tuple[str, ...] = GUARDS
    python_passes: tuple[str, ...] = ()

    @property
    def question_sha256(self) -> str:
        """What a model is asked: the same question need not be asked again."""
        return _sha256(self.task, self.context, str(sorted(self.inputs.items())))

    @property
    def sha256(self) -> str:
        """The whole item, scoring included."""
        return _sha256(self.model_dump_json())


@dataclass(frozen=True)
class ItemFile:
    """All items for one template."""

    template: str
    items: tuple[Item, ...]


def load_items(only: tuple[str, ...] = (), folder: Path = FOLDER) -> list[ItemFile]:
    """Read the files of these templates, or all. Raises NotFound, TemplateError."""
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for name in only:
        if name not in paths:
            raise NotFound(f"there are no items for {name!r}: there are {', '.join(paths)}")
    return [read_items(paths[name]) for name in only or paths]


def read_items(path: Path) -> ItemFile:
    """Read one file, or raise TemplateError with every mistake and its place."""
    source = Source(path.read_text("utf-8"), path.name)
    reader = Reader(source)
    root = source.node()
    values = reader.fields(root, "a file of items", _FILE) or {}
    if not (values.get("items") and "template" in values):
        reader.error(root, "a file of items needs `template` and `items`", "F003")
    if errors := [p for p in reader.problems if p.severity == "error"]:
        raise TemplateError(errors)
    guards = {"guards": values["guards"]} if "guards" in values else {}
    return ItemFile(values["template"], tuple(Item(**item, **guards) for item in values["items"]))


def _items(reader: Reader, node: Node) -> list[dict[str, Any]]:
    return [_item(reader, entry.key.raw, entry.value) for entry in node.entries.values()]


def _item(reader: Reader, name: str, node: Node) -> dict[str, Any]:
    values = reader.fields(node, "an item", _ITEM) or {}
    if "task" not in values or not ("checks" in values or "python_passes" in values):
        reader.error(node, "an item needs `task`, and `checks` or `python_passes`", "F003")
    return {"name": name, **values}


def _values(reader: Reader, node: Node) -> dict[str, JsonValue]:
    return {key: _value(entry.value) for key, entry in node.entries.items()}


def _value(node: Node) -> JsonValue:
    return [_value(item) for item in node.items] if node.kind == "list" else node.value


def _sha256(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


_FILE: dict[str, Read] = {
    "template": Reader.template_name,
    "guards": listed(one_of(GUARDS)),
    "items": _items,
}
_ITEM: dict[str, Read] = {
    "task": Reader.plain,
    "context": Reader.plain,
    "inputs": _values,
    "names": _values,
    "checks": parts.checks,
    "python_passes": listed(Reader.word),
}
