"""Names, order and warnings: what can be said of a template only when all of it has been read.

The order of the steps is not written down: it follows from the names that their texts use. The
same references say which answers a step reads, of which it needs only this item's, and which it
can do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crp.language.reader import NameUse, Reader, TextUse
from crp.language.schema import Check, Extract, Input, Output, Step
from crp.language.shapes import ANY, NUMBER, TEXT, TEXTS, Shape, suggest
from crp.language.source import Node
from crp.language.syntax import Reference, check, references
from crp.language.tokens import Mistake
from crp.language.words import word_set

MAX_ENTRIES = 10
"""Most steps of a template, and most lists and inputs."""

MAX_PROBLEMS = 200
"""Nobody reads more at once; what is left is said when these are mended."""

ANSWER = "answer"
"""The id of `synthesize`, and the owner of its texts."""
QUALITY = "quality"

RESERVED = word_set(
    """task context item index previous feedback answer loop complexity outline snippets facts sheet
    quality true false none and or not in if else elif for is"""
)
"""Names that the engine or the syntax uses itself."""

FACTS = ("facts", "context", "task")
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
    synthesize: Step | None = None
    unread: set[str] = field(default_factory=set)
    """Names whose own definition has a mistake: using them is not another one."""
    claimed: dict[str, Node] = field(default_factory=dict)
    overflown: bool = False
    """There are too many steps or lists: nothing more is said of them."""

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


def resolved(reader: Reader, draft: Draft) -> dict[str, Any] | None:
    """Check every name and text; give lists and steps in order, or None when that fails."""
    if draft.overflown:
        return None
    for use in reader.names:
        _check_name(reader, draft, use)
    for text in reader.texts:
        if len(reader.problems) < MAX_PROBLEMS:
            _check_text(reader, draft, text)
    if any(p.severity == "error" for p in reader.problems):
        # An order of what is half understood would only repeat what was said.
        return None
    steps = {name: _with_reads(reader, draft, step) for name, step in draft.steps.items()}
    lists = _ordered_lists(reader, draft)
    order = _ordered_steps(reader, draft, steps)
    answer = draft.synthesize and _with_reads(reader, draft, draft.synthesize)
    if order is None or lists is None:
        return None
    _warn(reader, draft, [steps[n] for n in order], answer)
    return {
        "extract": tuple(draft.extracts[n] for n in lists),
        "steps": tuple(steps[n] for n in order),
        "synthesize": answer,
        "snippets": reader.snippets,
    }


# -- names --------------------------------------------------------------------------------


def _check_name(reader: Reader, draft: Draft, use: NameUse) -> None:
    known = {
        "list": draft.lists(),
        "step": set(draft.step_nodes),
        "source": {*draft.claimed, *FACTS},
    }[use.want]
    if use.name in known or use.name in draft.unread:
        return
    what = {"list": "list", "step": "step", "source": "step, list or input"}[use.want]
    help = suggest(use.name, sorted(known))
    if not help and use.want == "list" and use.name in draft.step_nodes:
        help = "a list must be known before the steps run: name it under extract"
    reader.error(use.node, f'there is no {what} "{use.name[:60]}"', "R001", help)


def _check_text(reader: Reader, draft: Draft, use: TextUse) -> None:
    names = _visible(draft, use)
    for mistake in check(use.text, names, condition=use.condition):
        reader.inside(use, _explained(draft, use, mistake))


def _explained(draft: Draft, use: TextUse, mistake: Mistake) -> Mistake:
    """Say why a name that exists elsewhere is not known here."""
    if mistake.code != "T003":
        return mistake
    name = mistake.message.split('"')[1]
    help = mistake.help
    if name in ("item", "index"):
        help = "only a step with for_each has an item"
    elif name in draft.step_nodes:
        help = "this is needed before any step runs"
    elif name == use.hidden:
        help = "a list can not be asked for with its own entries"
    return Mistake(mistake.line, mistake.column, mistake.message, "T003", help, mistake.width)


def _visible(draft: Draft, use: TextUse) -> dict[str, Shape]:
    names: dict[str, Shape] = {"task": TEXT, "context": TEXT, "complexity": NUMBER}
    names["sheet"] = ANY
    names |= {n: _input_shape(i) for n, i in draft.inputs.items()}
    names |= {n: TEXTS for n in draft.extracts if n != use.hidden}
    names |= dict.fromkeys(draft.unread, ANY)
    if not use.owner:
        for name in draft.step_nodes:
            names.pop(name, None)
        if use.part == "help":  # scaffolds for all steps: some have an item
            names |= {"item": TEXT, "index": NUMBER}
        return names
    names |= {n: step_shape(s) for n, s in draft.steps.items()}
    owner = draft.steps.get(use.owner)
    if owner is None and use.owner in draft.unread:
        names |= {"item": ANY, "index": ANY}
    if owner and owner.for_each:
        names |= {owner.item_name: TEXT, "index": NUMBER}
    return names


def _input_shape(given: Input) -> Shape:
    kinds = {"text": TEXT, "number": NUMBER, "yes_no": ANY, "list of text": TEXTS}
    return kinds[given.type]


def step_shape(step: Step) -> Shape:
    """Say what later texts see of a step's output."""
    label = f'step "{step.id}"'
    one = _output_shape(step.output, label)
    return Shape("answers", one, label=label) if step.for_each else one


def _output_shape(output: Output, label: str) -> Shape:
    if output.kind == "fields":
        kinds = {"number": NUMBER, "list": TEXTS}
        fields = {f.name: kinds.get(f.kind, TEXT) for f in output.fields}
        return Shape("record", fields=fields, label=label)
    if output.kind in ("bullets", "numbered", "list"):
        return Shape("list", TEXT, label=label)
    if output.kind == "table":
        return Shape("list", ANY, label=label)
    if output.kind in ("number", "integer"):
        return Shape("number", label=label)
    return ANY if output.kind == "json" else Shape("text", label=label)


# -- what a step reads --------------------------------------------------------------------


def _with_reads(reader: Reader, draft: Draft, step: Step) -> Step:
    reads: dict[str, bool] = {}
    of_item: dict[str, bool] = {}
    for use, ref in _uses(reader, step.id):
        if ref.name not in draft.steps:
            continue
        is_item = bool(step.for_each) and ref.index == step.item_name
        if is_item:
            _check_same_list(reader, draft, step, use, ref)
        into = of_item if is_item else reads
        into[ref.name] = into.get(ref.name, True) and ref.guarded
    for name in _checked_with(step.checks):
        if name in draft.steps and name not in of_item:
            reads.setdefault(name, False)
    found = {**of_item, **reads}
    return step.model_copy(
        update={
            "reads": tuple(reads),
            "reads_item": tuple(n for n in of_item if n not in reads),
            "optional": tuple(n for n in found if found[n] and of_item.get(n, True)),
        }
    )


def _uses(reader: Reader, owner: str) -> Iterable[tuple[TextUse, Reference]]:
    for use in reader.texts:
        if use.owner == owner:
            for ref in references(use.text, condition=use.condition):
                yield use, ref


def _checked_with(checks: Iterable[Check]) -> Iterable[str]:
    for one in checks:
        if one.kind in ("grounded_in", "keeps"):
            yield from one.value if isinstance(one.value, list) else [str(one.value)]  # type: ignore[misc]


def _check_same_list(
    reader: Reader, draft: Draft, step: Step, use: TextUse, ref: Reference
) -> None:
    other = draft.steps[ref.name]
    if other.for_each == step.for_each:
        return
    message = f'"{ref.name}" goes over "{other.for_each}", this step over "{step.for_each}"'
    mistake = Mistake(ref.line, ref.column, message, "R013", width=len(ref.name))
    reader.inside(use, mistake)


# -- order --------------------------------------------------------------------------------


def _ordered_lists(reader: Reader, draft: Draft) -> list[str] | None:
    needs = {
        name: {r.name for r in references(extract.ask)} & set(draft.extracts)
        for name, extract in draft.extracts.items()
    }
    places = {name: draft.claimed[name] for name in needs}
    return _order(reader, needs, places, "lists")


def _ordered_steps(reader: Reader, draft: Draft, steps: Mapping[str, Step]) -> list[str] | None:
    needs = {n: {*s.reads, *s.reads_item, *s.needs} for n, s in steps.items()}
    return _order(reader, needs, draft.step_nodes, "steps")


def _order(
    reader: Reader, needs: Mapping[str, set[str]], places: Mapping[str, Node], what: str
) -> list[str] | None:
    """Sort so that each comes after what it needs, otherwise as they stand in the file."""
    done: list[str] = []
    left = list(needs)
    while left:
        ready = next((name for name in left if needs[name] <= set(done)), None)
        if ready is None:
            path = _cycle(needs, left)
            message = f"these {what} wait for each other: {' -> '.join(path)}"
            reader.error(places[path[0]], message, "R010")
            return None
        done.append(ready)
        left.remove(ready)
    return done


def _cycle(needs: Mapping[str, set[str]], left: list[str]) -> list[str]:
    """Follow needs that are not met until a name comes back; begin with its first in the file."""
    path = [left[0]]
    while True:
        following = next(n for n in left if n in needs[path[-1]])
        if following in path:
            cycle = path[path.index(following) :]
            first = min(range(len(cycle)), key=lambda i: left.index(cycle[i]))
            cycle = cycle[first:] + cycle[:first]
            return [*cycle, cycle[0]]
        path.append(following)


# -- warnings -----------------------------------------------------------------------------


def _warn(reader: Reader, draft: Draft, steps: list[Step], answer: Step | None) -> None:
    for step in steps:
        if step.for_each:
            _warn_of_all_items(reader, draft, step)
    used = {name for step in steps for name in (*step.reads, *step.reads_item)}
    used |= set(answer.reads) if answer else {steps[-1].id}
    for step in steps:
        if step.id not in used:
            message = f'nothing uses what step "{step.id}" gives'
            reader.warn(draft.step_nodes[step.id], message, "W202")


def _warn_of_all_items(reader: Reader, draft: Draft, step: Step) -> None:
    for use, ref in _uses(reader, step.id):
        other = draft.steps.get(ref.name)
        if other and other.for_each == step.for_each and not ref.index:
            message = f'this puts the "{ref.name}" answers for ALL items into every prompt'
            help = f"for this one only: {ref.name}[{step.item_name}]"
            mistake = Mistake(ref.line, ref.column, message, "W201", help, len(ref.name))
            reader.inside(use, mistake, "warning")
