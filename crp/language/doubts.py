"""What is allowed in a template and probably not meant. Said only when there are no mistakes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crp.language.draft import QUALITY, Draft
from crp.language.reader import Reader, TextUse
from crp.language.schema import DEFAULT_LADDER, Check, Limits, QualityRules, Step
from crp.language.tokens import Mistake
from crp.language.words import content, words

if TYPE_CHECKING:
    from crp.language.resolve import Found

TRY_AGAIN = ("retry", "heavier", "scaffold", "model", "temperature", "use")
"""Rungs that ask once more."""

_TAGS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_FEWEST = 5
"""Words that a scaffold must have before it can say the prompt again."""
_SAME = 0.75


def warn(
    reader: Reader,
    draft: Draft,
    steps: Sequence[Step],
    answer: Step | None,
    found: Sequence[Found],
) -> None:
    """Say what silently hurts."""
    for pair in found:
        _of_all_items(reader, draft, pair)
        _of_no_previous(reader, draft, pair)
    _of_unused(reader, draft, steps, answer, found)
    prompts = {step.id: step for step in steps}
    for use in reader.help_texts:
        if use.owner in prompts:
            _of_repeated_prompt(reader, prompts[use.owner], use)
    _of_many_calls(reader, draft, steps, answer)


# -- what goes into a prompt ----------------------------------------------------------------


def _of_all_items(reader: Reader, draft: Draft, found: Found) -> None:
    use, ref = found
    if use.part not in ("text", "help", "critique"):
        return
    step, other = draft.steps.get(use.owner), draft.steps.get(ref.name)
    if not (step and step.for_each and other and other.for_each == step.for_each):
        return
    if ref.index or ref.tested or step.id == other.id:
        return
    message = f'this puts the "{ref.name}" answers for ALL items into every prompt'
    help = f"for this one only: {ref.name}[{step.item_name}]"
    mistake = Mistake(ref.line, ref.column, message, "W201", help, len(ref.name))
    reader.inside(use, mistake, "warning")


def _of_no_previous(reader: Reader, draft: Draft, found: Found) -> None:
    use, ref = found
    if ref.name not in ("previous", "feedback") or ref.guarded:
        return
    step = draft.steps.get(use.owner)
    if step is None or step.repeat is None:
        return
    message = f'in the first round there is no "{ref.name}"'
    help = f"put it between {{% if {ref.name} %}} and {{% endif %}}"
    mistake = Mistake(ref.line, ref.column, message, "W206", help, len(ref.name))
    reader.inside(use, mistake, "warning")


def _of_repeated_prompt(reader: Reader, step: Step, use: TextUse) -> None:
    """A scaffold stands behind the prompt: what it says again only makes the prompt longer."""
    said = set(content(words(_TAGS.sub(" ", use.text))))
    if len(said) < _FEWEST:
        return
    again = said & set(content(words(step.text)))
    if len(again) >= _SAME * len(said):
        message = f"this says the prompt again: {len(again)} of its {len(said)} words stand there"
        reader.warn(use.node, message, "W204", "say how to do it, not once more what to do")


# -- what nobody uses -----------------------------------------------------------------------


def _of_unused(
    reader: Reader,
    draft: Draft,
    steps: Sequence[Step],
    answer: Step | None,
    found: Sequence[Found],
) -> None:
    used = {name for step in steps for name in (*step.reads, *step.reads_item)}
    used |= set(answer.reads) if answer else {steps[-1].id}
    used |= {ref.name for use, ref in found if use.owner not in draft.steps}
    used |= {name.name for name in reader.names if name.owner == QUALITY}
    for step in steps:
        if step.id not in used:
            message = f'nothing uses what step "{step.id}" gives'
            reader.warn(draft.step_nodes[step.id], message, "W202")
    used |= {ref.name for _, ref in found} | {name.name for name in reader.names}
    for name in (*draft.inputs, *draft.extracts):
        if name not in used:
            what = "input" if name in draft.inputs else "list"
            reader.warn(draft.claimed[name], f'nothing uses the {what} "{name}"', "W203")


# -- what it may cost -----------------------------------------------------------------------


def _of_many_calls(
    reader: Reader, draft: Draft, steps: Sequence[Step], answer: Step | None
) -> None:
    """Hold a limit that the author wrote against the worst case, the default against the best."""
    entry = draft.root.entries.get("limits")
    written = entry.value.entries.get("calls") if entry else None
    limits: Limits = draft.values.get("limits", Limits())
    counts = _counts(draft, steps, answer, worst=written is not None)
    total = sum(counts.values())
    if total <= limits.calls:
        return
    most = max(counts, key=lambda name: counts[name])
    node = written.value if written else draft.root.entries["steps"].key
    when = "in the worst case" if written else "with full lists"
    message = f"{when} this makes {total} calls, but limits.calls is {limits.calls}"
    reader.warn(node, message, "W301", f"the most: {most}, {counts[most]}")


def _counts(
    draft: Draft, steps: Sequence[Step], answer: Step | None, *, worst: bool
) -> dict[str, int]:
    counts = {f'step "{step.id}"': _calls(step, draft, worst=worst) for step in steps}
    if answer:
        counts["synthesize"] = _calls(answer, draft, worst=worst)
    asked = sum(bool(extract.ask) for extract in draft.extracts.values())
    counts["the lists"] = asked * (1 + worst)
    if worst:
        quality: QualityRules = draft.values.get("quality", QualityRules())
        counts["the probe"] = int(draft.values.get("probe", True))
        counts["the judges of quality"] = 3 * _judges(quality.score)
    return counts


def _calls(step: Step, draft: Draft, *, worst: bool) -> int:
    """Count the calls of a step: items x rounds x tries x samples, judges and critiques."""
    if step.kind == "use":
        return _width(step, draft)
    if step.kind != "prompt":
        return 0
    calls, critique = step.samples + _judges(step.checks), 0
    if step.repeat:
        critique = int(step.repeat.critique is not None)
    if worst:
        calls, critique = calls * _tries(step, draft), critique * 2
    rounds = 1 + step.repeat.max if step.repeat and worst else 1
    return (calls + critique) * rounds * _width(step, draft)


def _tries(step: Step, draft: Draft) -> int:
    ladder = draft.values.get("on_fail") if step.on_fail is None else step.on_fail
    return 1 + sum(r.action in TRY_AGAIN for r in (DEFAULT_LADDER if ladder is None else ladder))


def _width(step: Step, draft: Draft) -> int:
    if not step.for_each:
        return 1
    extract = draft.extracts.get(step.for_each)
    return extract.max if extract else int(draft.values.get("limits", Limits()).items)


def _judges(checks: Sequence[Check]) -> int:
    return sum(check.kind == "judge" for check in checks)
