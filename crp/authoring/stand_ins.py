"""What stands for an answer that is not there, in the form that its step would give it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from crp.language.schema import Extract, Output, Step, Template

MADE_UP = 3
"""How many entries stand for a list that only a model can give."""


def stand_in(output: Output, label: str, names: Mapping[str, JsonValue]) -> JsonValue:
    """Give `<label>` in the form of an output: in a list, under fields, in a row."""
    match output.kind:
        case "bullets" | "numbered" | "list":
            return [f"<{label}>"]
        case "fields":
            return {
                f.name: [f"<{f.name} of {label}>"] if f.kind == "list" else f"<{f.name} of {label}>"
                for f in output.fields
            }
        case "table":
            return [dict.fromkeys(_columns(output, names), f"<{label}>")]
    return f"<{label}>"


def stand_in_list(wanted: Extract) -> list[JsonValue]:
    """Give what stands for a list of the model: its `otherwise`, or made-up names."""
    if wanted.otherwise:
        return list(wanted.otherwise)
    count = min(max(wanted.min, 1 if wanted.max == 1 else MADE_UP), wanted.max)
    return [f"<{wanted.name} {i}>" for i in range(1, count + 1)]


def outputs_for(template: Template, names: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Give a stand-in for the output of every step, by item where it fans out."""
    return {step.id: _output_of(step, names) for step in template.steps}


def _output_of(step: Step, names: Mapping[str, JsonValue]) -> JsonValue:
    if not step.for_each:
        return stand_in(step.output, f"answer of {step.id}", names)
    items = names.get(step.for_each)
    listed = [str(item) for item in items] if isinstance(items, list) else []
    return {i: stand_in(step.output, f"answer of {step.id}/{i}", names) for i in listed}


def _columns(output: Output, names: Mapping[str, JsonValue]) -> list[str]:
    columns: list[str] = []
    for column in output.columns:
        listed = names.get(column.strip("{} "))
        columns += [str(i) for i in listed] if isinstance(listed, list) else [column]
    return columns
