"""A template's text to a checked `Template`, or to every mistake in it with its place.

Three passes: `source.py` reads the YAML, this file reads fields into frozen models, `resolve.py`
checks names and works out the order. Short forms become long ones here and nowhere else:
`steps: {id: prompt text}`, `match: [keywords]`, `extract: {items: text}`, `few_shot: 2`,
`complexity: 3`, `quality: [checks]`, `synthesize: text`, `inputs: {audience: help text}`.

Beyond the design of format 1 the language has: `facts:` on a step (`all`, `none`, or a text: only
passages of the facts that match it), `find: things | aspects` and `from: task | context | none` on
a list (where code looks before a model is asked; a list without `ask` never asks), `probe: no`
on a template, and the checks `keeps` and `no_echo`.

Fields of format 1 that this version does not run are refused one by one (F007), so that a template
never runs differently from what its author wrote.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from crp.errors import TemplateError
from crp.language import given, parts, resolve, steps
from crp.language.reader import Reader
from crp.language.resolve import Draft
from crp.language.schema import (
    ComplexityRule,
    ComplexityRules,
    Limits,
    MatchRules,
    QualityRules,
    Template,
)
from crp.language.source import Node, Source
from crp.models import Problem

LATER = ("extends", "tests")


def load(text: str | bytes, file: str) -> Template:
    """Read a template, or raise TemplateError with every mistake, first one first."""
    template, problems = _loaded(text, file)
    if template is None:
        raise TemplateError(problems)
    return template


def lint(text: str | bytes, file: str) -> list[Problem]:
    """List a template's errors or, when it has none, its warnings."""
    return _loaded(text, file)[1]


def _loaded(text: str | bytes, file: str) -> tuple[Template | None, list[Problem]]:
    try:
        source = Source(text, file)
        root = source.node()
    except TemplateError as error:
        return None, list(error.problems)
    reader = Reader(source)
    draft = _draft(reader, root)
    template = _compiled(reader, root, draft) if draft else None
    errors = _sorted(p for p in reader.problems if p.severity == "error")
    if errors or template is None:
        return None, errors
    return template, _sorted(reader.problems)


def _sorted(problems: Any) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda p: (p.line, p.column, p.code))


def _compiled(reader: Reader, root: Node, draft: Draft) -> Template | None:
    ordered = resolve.resolved(reader, draft)
    if ordered is None or any(p.severity == "error" for p in reader.problems):
        return None
    try:
        return Template(**{**draft.values, **ordered})
    except ValidationError as error:  # a range that no reader knows
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reader.error(root, f"{where}: {first['msg']}", "F004")
        return None


# -- the top level ------------------------------------------------------------------------


def _draft(reader: Reader, root: Node) -> Draft | None:
    if root.kind != "map":
        reader.error(root, "a template must be fields: `name: value`", "F002")
        return None
    _snippets_first(reader, root)
    draft = Draft(root)
    values = reader.fields(root, "a template", _top(reader, draft), later=LATER)
    draft.values = {k: v for k, v in (values or {}).items() if k not in _DROPPED}
    for needed in ("template", "steps"):
        if needed not in root.entries:
            reader.error(root.first_key(), f'a template needs "{needed}"', "F003")
    given.cap_lists(reader, draft)
    return draft


_DROPPED = ("note", "references", "changelog", "steps", "extract", "synthesize", "snippets")


def _top(reader: Reader, draft: Draft) -> dict[str, Any]:
    words = reader.listed(reader.word)
    return {
        "format": lambda n: _format(reader, n),
        "template": reader.template_name,
        "title": reader.word,
        "description": reader.plain,
        "version": reader.word,
        "license": reader.word,
        "tags": words,
        "note": reader.plain,
        "references": words,
        "changelog": words,
        "match": lambda n: _match(reader, n),
        "complexity": lambda n: _complexity(reader, n),
        "inputs": lambda n: given.inputs(reader, draft, n),
        "extract": lambda n: given.extracts(reader, draft, n),
        "steps": lambda n: steps.steps(reader, draft, n),
        "synthesize": lambda n: steps.synthesize(reader, draft, n),
        "probe": reader.yes_no,
        "scaffolds": lambda n: parts.scaffolds(reader, n),
        "on_fail": lambda n: parts.ladder(reader, n),
        "quality": lambda n: _quality(reader, n),
        "few_shot": lambda n: parts.few_shot(reader, n),
        "limits": lambda n: _limits(reader, n),
        "snippets": lambda n: None,
    }


def _format(reader: Reader, node: Node) -> int | None:
    if node.value == 1:
        return 1
    reader.error(node, f"this version reads format 1, not {node.raw[:20]}", "F004")
    return None


def _snippets_first(reader: Reader, root: Node) -> None:
    """Snippets are put into the other texts, so they are read before them."""
    entry = root.entries.get("snippets")
    if entry is None:
        return
    if entry.value.kind != "map":
        reader.error(entry.value, "snippets must be fields: `name: text`", "F002")
        return
    for snippet in entry.value.entries.values():
        name, text = reader.name(snippet.key), reader.plain(snippet.value)
        if name and text is not None:
            reader.snippets[name] = text


def _match(reader: Reader, node: Node) -> MatchRules | None:
    texts = reader.listed(reader.word)
    if node.kind != "map":
        words = texts(node)
        return None if words is None else MatchRules(keywords=words)
    known = {
        "keywords": texts,
        "patterns": reader.listed(reader.pattern),
        "not_keywords": texts,
        "examples": texts,
        "not_examples": texts,
        "priority": reader.whole(-1000, 1000),
    }
    values = reader.fields(node, "match", known)
    return None if values is None else MatchRules(**values)


def _complexity(reader: Reader, node: Node) -> ComplexityRules | None:
    base = reader.whole(1, 5)
    if node.kind == "scalar":
        value = base(node)
        return None if value is None else ComplexityRules(base=value)
    known = {"base": base, "add": reader.listed(lambda n: _rule(reader, n))}
    values = reader.fields(node, "complexity", known)
    return None if values is None else ComplexityRules(**values)


def _rule(reader: Reader, node: Node) -> ComplexityRule | None:
    known = {"when": reader.condition, "by": reader.whole(-4, 4)}
    values = reader.fields(node, "a complexity rule", known)
    if values is None:
        return None
    for needed in known:
        if needed not in node.entries:
            reader.error(node, f'a complexity rule needs "{needed}"', "F003")
    return ComplexityRule(**values) if len(values) == 2 else None


def _quality(reader: Reader, node: Node) -> QualityRules | None:
    reader.owner = resolve.QUALITY
    if node.kind != "map":
        checks = parts.checks(reader, node)
        values: dict[str, Any] | None = None if checks is None else {"score": checks}
    else:
        known = {
            "store_above": reader.number(0, 1),
            "score": lambda n: parts.checks(reader, n),
        }
        values = reader.fields(node, "quality", known)
    reader.owner = ""
    return None if values is None else QualityRules(**values)


def _limits(reader: Reader, node: Node) -> Limits | None:
    known = {
        "calls": reader.whole(1, 1000),
        "items": reader.whole(1, 50),
        "tokens": reader.whole(1, 100_000_000),
    }
    values = reader.fields(node, "limits", known)
    return None if values is None else Limits(**values)
