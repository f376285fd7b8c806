"""Names and order: what can be said of a template only when all of it has been read.

The order of the steps is not written down: it follows from the names that their texts use. The
same references say which answers a step reads, of which it needs only this item's, which it can do
without, and whether its `when` must wait for its turn. Warnings are in `doubts.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from crp.language import doubts
from crp.language.draft import FACTS, POOLS, Draft
from crp.language.reader import NameUse, Reader, TextUse
from crp.language.schema import Step
from crp.language.shapes import Reference
from crp.language.source import Node
from crp.language.syntax import walked
from crp.language.tokens import Mistake
from crp.language.visible import Names

_ELSEWHERE = {
    "item": "only a step with for_each has an item",
    "index": "only a step with for_each has an item",
    "previous": "only the prompt of a step with `order: in_sequence` or `repeat` has it",
    "feedback": "only the prompt of a step whose `repeat` has a critique has it",
    "critique": "only `until`, below a `repeat` that has a critique, sees it",
    "entry": "only `by` and `where` of a pick go over entries",
}
"""Why a name that the engine has is not known in a text."""


MAX_FILLED = 80_000
"""Characters of all the texts of one template that have names to fill in."""

_OF_THE_ANSWER = ("expr", "until", "entry")
"""Parts whose names depend on what the step gives: nothing is said of them while that is unread."""


class Found(NamedTuple):
    """One use of a name in a text."""

    use: TextUse
    ref: Reference


def resolved(reader: Reader, draft: Draft) -> dict[str, Any] | None:
    """Check every name and text; give lists and steps in order, or None when that fails."""
    if draft.overflown:
        return None
    for name, step in draft.steps.items():
        _check_item_name(reader, draft, step, draft.bodies[name])
    found = check_uses(reader, draft)
    if any(p.severity == "error" for p in reader.problems):
        # An order of what is half understood would only repeat what was said.
        return None
    steps = {name: _with_reads(reader, draft, s, found) for name, s in draft.steps.items()}
    lists = _ordered_lists(reader, draft, found)
    order = _ordered_steps(reader, draft, steps)
    answer = draft.synthesize and _with_reads(reader, draft, draft.synthesize, found)
    if order is None or lists is None:
        return None
    ordered = [steps[name] for name in order]
    if reader.doubts:
        every = [one for some in found.values() for one in some]
        doubts.warn(reader, draft, ordered, answer, every)
    return {
        "extract": tuple(draft.extracts[name] for name in lists),
        "steps": tuple(ordered),
        "synthesize": answer,
    }


# -- names --------------------------------------------------------------------------------


def check_uses(reader: Reader, draft: Draft) -> dict[str, list[Found]]:
    """Check all names and texts; give the names that each owner uses, lists as `list name`."""
    for name in reader.names:
        _check_name(reader, draft, name)
    return _checked_texts(reader, draft)


def _check_name(reader: Reader, draft: Draft, use: NameUse) -> None:
    if use.name in draft.claimed:
        known = _known(draft, use)
        if use.name in known or use.name in draft.unread:
            return
    elif use.name in {"source": FACTS, "pool": POOLS}.get(use.want, ()):
        return
    known = _known(draft, use)
    help = reader.suggest(use.name, sorted(known))
    if not help and use.want == "list" and use.name in draft.step_nodes:
        help = "a list must be known before the steps run: name it under extract"
    reader.error(use.node, f'there is no {use.wanted} "{use.name[:60]}"', "R001", help)


def _check_item_name(reader: Reader, draft: Draft, step: Step, body: Node) -> None:
    """`as:` may not hide an input, a list or a step."""
    if first := draft.claimed.get(step.item_name):
        message = f'this hides the name "{step.item_name}" that stands in line {first.line}'
        reader.error(body.entries["as"].value, message, "F010")


def _known(draft: Draft, use: NameUse) -> set[str]:
    if use.want == "list":
        return draft.lists()
    if use.want == "step":
        return set(draft.step_nodes)
    return {*draft.claimed, *(FACTS if use.want == "source" else POOLS)}


def _checked_texts(reader: Reader, draft: Draft) -> dict[str, list[Found]]:
    names = Names(draft)
    found: dict[str, list[Found]] = {}
    room = MAX_FILLED
    for use in reader.texts:
        if reader.full:
            break
        room -= len(use.text) if "{" in use.text else 0
        if room < 0:
            message = f"more than {MAX_FILLED:,} characters of texts that are filled in"
            reader.error(use.node, message, "T007", "a step is a short prompt: split the template")
            break
        if use.part in _OF_THE_ANSWER and use.owner in draft.unread:
            continue
        parsed = walked(use.text, names.of(use), use.condition)
        for mistake in parsed.mistakes:
            reader.inside(use, _explained(draft, use, mistake))
        if parsed.references:
            owner = use.owner or (f"list {use.hidden}" if use.hidden else "")
            found.setdefault(owner, []).extend(Found(use, r) for r in parsed.references)
    return found


def _explained(draft: Draft, use: TextUse, mistake: Mistake) -> Mistake:
    """Say why a name that exists elsewhere is not known here."""
    if mistake.code != "T003":
        return mistake
    name = mistake.message.split('"')[1]
    help = _ELSEWHERE.get(name, mistake.help)
    if name in draft.step_nodes:
        help = "this is needed before any step runs"
    elif name == use.hidden:
        help = "a list can not be asked for with its own entries"
    return Mistake(mistake.line, mistake.column, mistake.message, "T003", help, mistake.width)


# -- what a step reads --------------------------------------------------------------------


def _with_reads(reader: Reader, draft: Draft, step: Step, found: Mapping[str, list[Found]]) -> Step:
    """Say what a step reads; of a name that is only asked about in `when`, it can do without."""
    reads: dict[str, bool] = {}
    of_item: dict[str, bool] = {}
    late = False
    for use, ref in found.get(step.id, ()):
        if use.part == "when":
            late = late or ref.name in draft.steps or ref.name in (step.item_name, "index")
        if ref.name not in draft.steps or _is_own(step, use, ref):
            continue
        is_item = bool(step.for_each) and ref.index == step.item_name
        if is_item:
            _check_same_list(reader, draft, step, use, ref)
        into = of_item if is_item else reads
        into[ref.name] = into.get(ref.name, True) and (ref.guarded or use.part == "when")
    for name in _compared(step):
        if name in draft.steps and name not in of_item:
            reads.setdefault(name, False)
    both = {**of_item, **reads}
    if not both and not late:
        return step
    return step.model_copy(
        update={
            "late": late,
            "reads": tuple(reads),
            "reads_item": tuple(n for n in of_item if n not in reads),
            "optional": tuple(n for n in both if both[n] and of_item.get(n, True)),
        }
    )


def _is_own(step: Step, use: TextUse, ref: Reference) -> bool:
    """Whether a name means the step's own answer, or a field of it."""
    if use.part == "expr" and any(f.name == ref.name for f in step.output.fields):
        return True
    return ref.name == step.id and use.part in ("critique", "until", "expr")


def _compared(step: Step) -> Iterable[str]:
    """Give the steps that a step reads without naming them in a text."""
    for one in step.checks:
        if one.kind in ("grounded_in", "keeps", "agrees_with"):
            yield from one.value if isinstance(one.value, list) else [str(one.value)]  # type: ignore[misc]
    if step.pick:
        yield step.pick.source


def _check_same_list(
    reader: Reader, draft: Draft, step: Step, use: TextUse, ref: Reference
) -> None:
    other = draft.steps[ref.name]
    if other.for_each == step.for_each:
        return
    if other.for_each:
        message = f'"{ref.name}" goes over "{other.for_each}", this step over "{step.for_each}"'
    else:
        message = f'"{ref.name}" has one answer, not one for each item'
    mistake = Mistake(ref.line, ref.column, message, "R013", width=len(ref.name))
    reader.inside(use, mistake)


# -- order --------------------------------------------------------------------------------


def _ordered_lists(
    reader: Reader, draft: Draft, found: Mapping[str, list[Found]]
) -> list[str] | None:
    needs = {
        name: {f.ref.name for f in found.get(f"list {name}", ())} & draft.extracts.keys()
        for name in draft.extracts
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
            if len(path) == 2:
                message = f"this {what[:-1]} waits for itself: {' -> '.join(path)}"
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
