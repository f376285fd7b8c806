"""A compiled template written as its long form: a text that loads to the same template again.

What the loader worked out (what a step reads, whether its condition is late) is not written; what
`extends` and the snippets brought is. Values that say what is said anyway are left out, so that a
person finds what this template says.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from crp.language.schema import (
    Check,
    Extract,
    Input,
    Output,
    OutputField,
    Pick,
    Repeat,
    Step,
    Template,
    Use,
)
from crp.models import Rung

Long = dict[str, Any]


def expanded(template: Template) -> Long:
    """Give the long form as data, in the order in which people write it."""
    match = _said(template.match, "keywords patterns not_keywords examples not_examples priority")
    complexity = template.complexity
    head = _said(template, "title description version license tags")
    return {
        "format": template.format,
        "template": template.template,
        **head,
        **_if("match", match),
        "complexity": _some(base=complexity.base, add=[_plain(r) for r in complexity.add]),
        **_if("inputs", {i.name: _input(i) for i in template.inputs}),
        **_if("extract", {e.name: _list(e) for e in template.extract}),
        "steps": {s.id: step(s) for s in template.steps},
        **({"synthesize": step(template.synthesize)} if template.synthesize else {}),
        **_said(template, "probe approve"),
        **_if("scaffolds", _said(template.scaffolds, "light medium heavy")),
        **_ladder(template.on_fail),
        **_if("quality", _quality(template)),
        **_if("few_shot", _said(template.few_shot, "traces min_quality max_tokens")),
        "limits": _plain(template.limits),
    }


def written(data: Long) -> str:
    """Write the long form as YAML: texts of several lines as blocks."""
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=96,
        default_flow_style=False,
    )


# -- the parts ------------------------------------------------------------------------------------


def step(one: Step) -> Long:
    """Give one step's long form."""
    return {
        "title": one.title,
        **_main(one),
        **_said(one, "system for_each"),
        **({"as": one.item_name} if one.item_name != "item" else {}),
        **_said(one, "order when needs fresh"),
        "output": output(one.output),
        **_said(one, "max_tokens samples vote temperature model facts"),
        **_if("checks", [check(c) for c in one.checks]),
        **_said(one, "scaffold"),
        **_if("scaffolds", _said(one.scaffolds, "light medium heavy")),
        **_ladder(one.on_fail),
        **({"repeat": _repeat(one.repeat)} if one.repeat else {}),
        **({"few_shot": _few_shot(one)} if one.few_shot is not None else {}),
    }


def _main(one: Step) -> Long:
    if one.pick is not None:
        about = {} if one.pick.by else _some(about=one.text)
        return {"pick": {**_pick(one.pick), **about}}
    if one.use is not None:
        return {"use": {**_use(one.use), **_some(task=one.text)}}
    return {one.kind: one.text}


def _pick(pick: Pick) -> Long:
    return {"from": pick.source, **_said(pick, "by order where"), "top": pick.top}


def _use(use: Use) -> Long:
    return {"template": use.template, **_if("inputs", use.inputs)}


def _repeat(repeat: Repeat) -> Long:
    critique = {"critique": step(repeat.critique)} if repeat.critique else {}
    return {"until": repeat.until, "max": repeat.max, **critique}


def _few_shot(one: Step) -> Long | int:
    shown = _said(one.few_shot, "traces min_quality max_tokens") if one.few_shot else {}
    return shown or {"max_tokens": 600}


def _input(one: Input) -> Long:
    return {"type": one.type, **_said(one, "help default choice required")}


def _list(one: Extract) -> Long:
    source = {"from": list(one.source) or "none"} if one.source != ("task",) else {}
    otherwise = f"use {one.otherwise_use}" if one.otherwise_use else one.otherwise
    return {
        **_said(one, "find"),
        **source,
        **_said(one, "ask min_capability model"),
        "min": one.min,
        "max": one.max,
        **_said(one, "must_appear"),
        **({"otherwise": _plain(otherwise)} if otherwise is not None else {}),
        **_if("examples", _plain(one.examples)),
    }


def output(one: Output) -> Any:
    """Give an output as it is written: `bullets 3-7`, or its fields, columns, options, schema."""
    if one.kind == "fields":
        return {"fields": {f.name: _field(f) for f in one.fields}}
    if one.kind == "table":
        return {"table": list(one.columns)}
    if one.kind == "choice":
        return {"choice": list(one.options)}
    if one.kind == "schema":
        return {"schema": one.json_schema}
    return f"{one.kind} {_range(one.low, one.high)}".strip()


def _field(one: OutputField) -> str:
    if one.kind == "list":
        word = "list of text"
    elif one.kind == "choice":
        options = " | ".join(one.options)
        word = f"one of {'{{ ' + one.options_from + ' }}' if one.options_from else options}"
    else:
        word = f"{one.kind} {_range(one.low, one.high)}".strip()
    return word + ("?" if one.optional else "")


def _range(low: float | None, high: float | None) -> str:
    shown = [_number(x) for x in (low, high) if x is not None]
    return "-".join(dict.fromkeys(shown))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def check(one: Check) -> Any:
    """Give a check as it is written: a word alone, or its value and what follows from it."""
    more = _said(one, "at_least weight when hint otherwise")
    if one.value is None and not more:
        return one.kind
    return {one.kind: True if one.value is None else one.value, **more}


def rung(one: Rung) -> Any:
    return one.action if one.value is None else {one.action: one.value}


def _ladder(rungs: tuple[Rung, ...] | None) -> Long:
    return {} if rungs is None else {"on_fail": [rung(r) for r in rungs]}


def _quality(template: Template) -> Long:
    rules = template.quality
    return {**_said(rules, "store_above"), **_if("score", [check(c) for c in rules.score])}


# -- data -----------------------------------------------------------------------------------------


def _said(model: BaseModel, names: str) -> Long:
    """The fields that differ from their default."""
    fields = type(model).model_fields
    values = ((name, getattr(model, name)) for name in names.split())
    return {
        n: _plain(v) for n, v in values if v != fields[n].get_default(call_default_factory=True)
    }


def _some(**values: Any) -> Long:
    return {name: value for name, value in values.items() if value}


def _if(name: str, value: Any) -> Long:
    return {name: value} if value else {}


def _plain(value: Any) -> Any:
    """Models and tuples as what JSON has."""
    if isinstance(value, BaseModel):
        return {name: _plain(entry) for name, entry in value}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value


class _Dumper(yaml.SafeDumper):
    """No aliases: the language has none."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
