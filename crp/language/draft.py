"""A template while it is read: what was understood of it, and where that stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crp.language.reader import Reader
from crp.language.schema import Extract, Input, Step, Template
from crp.language.source import Node
from crp.language.words import word_set

MAX_ENTRIES = 10
"""Most steps of a template, and most lists and inputs."""

ANSWER = "answer"
"""The id of `synthesize`, and the owner of its texts."""
QUALITY = "quality"

RESERVED = word_set(
    """task context item index previous feedback answer loop complexity capability outline snippets
    facts sheet quality entry critique true false none and or not in if else elif for is"""
)
"""Names that the engine or the syntax uses itself."""

FACTS = ("facts", "context", "task")
POOLS = ("facts", "sentences")
"""What a check may compare with beside steps, lists and inputs."""


@dataclass
class Draft:
    """A template while it is read: what was understood, and where it stands."""

    root: Node
    values: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    extracts: dict[str, Extract] = field(default_factory=dict)
    list_nodes: dict[str, Node] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    step_nodes: dict[str, Node] = field(default_factory=dict)
    """The keys of the steps; `bodies` has what stands below them."""
    bodies: dict[str, Node] = field(default_factory=dict)
    synthesize: Step | None = None
    unread: set[str] = field(default_factory=set)
    """Names whose own definition has a mistake: using them is not another one."""
    claimed: dict[str, Node] = field(default_factory=dict)
    overflown: bool = False
    """There are too many steps or lists: nothing more is said of them."""

    @classmethod
    def of(cls, template: Template) -> Draft:
        """Make the draft of a template that is whole, so that other texts can use its names."""
        root = Node("map", 1, 1, 1, 1)
        draft = cls(root, inputs={i.name: i for i in template.inputs})
        draft.extracts = {e.name: e for e in template.extract}
        draft.steps = {s.id: s for s in template.steps}
        draft.step_nodes = dict.fromkeys(draft.steps, root)
        draft.claimed = dict.fromkeys((*draft.inputs, *draft.extracts, *draft.steps), root)
        return draft

    def claim(self, reader: Reader, name: str, key: Node) -> bool:
        """Take a name for an input, a list or a step; one name means one thing."""
        if name in RESERVED:
            reader.error(key, f'the name "{name}" is taken by the engine', "F009")
            return False
        if first := self.claimed.get(name):
            message = f'the name "{name}" already stands in line {first.line}'
            reader.error(key, message, "F010")
            return False
        self.claimed[name] = key
        return True

    def entries(self, reader: Reader, node: Node, what: str) -> list[tuple[str, Node]]:
        """Give the named entries of a mapping, and take their names."""
        if node.kind != "map":
            reader.error(node, f"{what} must be fields: `name: value`", "F002")
            return []
        if len(node.entries) > MAX_ENTRIES:
            found = len(node.entries)
            reader.error(node, f"at most {MAX_ENTRIES} {what}, not {found}", "F004")
            self.overflown = True
            return []
        pairs = ((reader.name(e.key), e) for e in node.entries.values())
        return [(n, e.value) for n, e in pairs if n is not None and self.claim(reader, n, e.key)]

    def lists(self) -> set[str]:
        """Everything that a fan-out can go over."""
        given = {n for n, i in self.inputs.items() if i.type == "list of text"}
        return given | set(self.extracts)
