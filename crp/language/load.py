"""A template's text to a checked `Template`, or to every mistake in it with its place.

Three passes: `source.py` reads the YAML (and `extends.py` lays it over another template), this
file reads fields into frozen models, `resolve.py` checks names and works out the order. Short
forms become long ones here and nowhere else: `steps: {id: prompt text}`, `match: [keywords]`,
`extract: {items: text}`, `few_shot: 2`, `complexity: 3`, `quality: [checks]`, `synthesize: text`,
`inputs: {audience: help text}`.

Beyond the design of format 1 the language has: `facts:` on a step (`all`, `none`, or a text: only
passages of the facts that match it), `find:` and `from: task | context | none` on a list (what code
looks for, and where, before a model is asked; a list without `ask` never asks), `probe: no` on a
template, and the checks `keeps` and `no_echo`. Every code is explained in `codes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from crp.errors import TemplateError
from crp.language import given, parts, resolve, steps, testing
from crp.language.draft import QUALITY, Draft
from crp.language.extends import extended, merged
from crp.language.makers import condition, listed, number, whole
from crp.language.reader import Read, Reader
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

__all__ = ["drafted", "extended", "lint", "load"]


def load(text: str | bytes, file: str, *, base: str = "", snippets: str = "") -> Template:
    """Read a template, or raise TemplateError with every mistake, first one first.

    `base` is the text of the template that it extends, `snippets` that of `_snippets.yaml`.
    """
    template, problems = _loaded(text, file, base, snippets, doubts=False)
    if template is None:
        raise TemplateError(problems)
    return template


def lint(text: str | bytes, file: str, *, base: str = "", snippets: str = "") -> list[Problem]:
    """List a template's errors or, when it has none, its warnings."""
    return _loaded(text, file, base, snippets, doubts=True)[1]


def _loaded(
    text: str | bytes, file: str, base: str, snippets: str, *, doubts: bool
) -> tuple[Template | None, list[Problem]]:
    try:
        shared = shared_snippets(snippets) if snippets else {}
        source = Source(text, file)
        root = source.node()
    except TemplateError as error:
        return None, list(error.problems)
    reader = Reader(source, doubts=doubts)
    reader.snippets.update(shared)
    template = _read(reader, root, base, snippets)
    errors = _sorted(p for p in reader.problems if p.severity == "error")
    if errors or template is None:
        return None, errors
    return template, _sorted(reader.problems)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    unique = {(p.line, p.column, p.code, p.message): p for p in problems}
    return [unique[key] for key in sorted(unique)]


def _read(reader: Reader, root: Node, base: str, snippets: str) -> Template | None:
    if root.kind != "map":
        reader.error(root, "a template must be fields: `name: value`", "F002")
        return None
    if "extends" in root.entries:
        whole_root = _with_base(reader, root, base, snippets)
        if whole_root is None:
            return None
        root = whole_root
    draft = drafted(reader, root)
    template = _compiled(reader, root, draft)
    if template is not None and "tests" in root.entries:
        testing.read_tests(reader, root.entries["tests"].value, template)
    return template


def _with_base(reader: Reader, root: Node, base: str, snippets: str) -> Node | None:
    """Lay a template over the one that it extends, if that one is there and good."""
    place = root.entries["extends"].value
    name = reader.template_name(place)
    if name is None:
        return None
    problem = ""
    if not base:
        problem = f'the template "{name}" that this one extends is not there'
    elif extended(base):
        problem = f'"{name}" extends a template itself: one level only'
    elif errors := _loaded(base, name, "", snippets, doubts=False)[1]:
        problem = f'"{name}" has a mistake in line {errors[0].line}: {errors[0].message}'
    if problem:
        reader.error(place, problem, "R002")
        return None
    return merged(reader, root, Source(base, name).node())


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


def drafted(reader: Reader, root: Node) -> Draft:
    """Read the fields of a template, as far as they can be read; mistakes go to the reader."""
    _own_snippets(reader, root)
    draft = Draft(root)
    late = {key: _into(draft, read) for key, read in _INTO_DRAFT.items()}
    values = reader.fields(root, "a template", {**_TOP, **late}) or {}
    draft.values = {k: v for k, v in values.items() if k not in _DROPPED}
    for needed in ("template", "steps"):
        if needed not in root.entries:
            reader.error(root.first_key(), f'a template needs "{needed}"', "F003")
    given.cap_lists(reader, draft)
    return draft


def _into(draft: Draft, read: Callable[[Reader, Draft, Node], Any]) -> Read:
    return lambda reader, node: read(reader, draft, node)


def _skip(reader: Reader, node: Node) -> None:
    """Tests are read when the rest is."""


def _format(reader: Reader, node: Node) -> int | None:
    if node.value == 1:
        return 1
    reader.error(node, f"this version reads format 1, not {node.raw[:20]}", "F004")
    return None


def _match(reader: Reader, node: Node) -> MatchRules | None:
    if node.kind != "map":
        words = _WORDS(reader, node)
        return None if words is None else MatchRules(keywords=words)
    values = reader.fields(node, "match", _MATCH)
    return None if values is None else MatchRules(**values)


def _complexity(reader: Reader, node: Node) -> ComplexityRules | None:
    if node.kind == "scalar":
        value = _BASE(reader, node)
        return None if value is None else ComplexityRules(base=value)
    values = reader.fields(node, "complexity", _COMPLEXITY)
    return None if values is None else ComplexityRules(**values)


def _rule(reader: Reader, node: Node) -> ComplexityRule | None:
    values = reader.fields(node, "a complexity rule", _RULE)
    if values is None:
        return None
    for needed in _RULE:
        if needed not in node.entries:
            reader.error(node.first_key(), f'a complexity rule needs "{needed}"', "F003")
    return ComplexityRule(**values) if len(values) == 2 else None


def _quality(reader: Reader, node: Node) -> QualityRules | None:
    reader.owner = QUALITY
    if node.kind == "map":
        values = reader.fields(node, "quality", _QUALITY)
    else:
        checks = parts.checks(reader, node)
        values = None if checks is None else {"score": checks}
    reader.owner = ""
    return None if values is None else QualityRules(**values)


def _limits(reader: Reader, node: Node) -> Limits | None:
    values = reader.fields(node, "limits", _LIMITS)
    return None if values is None else Limits(**values)


# -- snippets -----------------------------------------------------------------------------


def _own_snippets(reader: Reader, root: Node) -> None:
    """Snippets are put into the other texts, so they are read before them."""
    if entry := root.entries.get("snippets"):
        reader.snippets.update(_snippets(reader, entry.value))


def _snippets(reader: Reader, node: Node) -> dict[str, str]:
    if node.kind != "map":
        reader.error(node, "snippets must be fields: `name: text`", "F002")
        return {}
    pairs = [(reader.name(e.key), reader.plain(e.value)) for e in node.entries.values()]
    return {name: text for name, text in pairs if name and text is not None}


def _kept_snippets(reader: Reader, node: Node) -> dict[str, str]:
    return {k: v for k, v in reader.snippets.items() if k in node.entries}


@lru_cache(maxsize=64)
def shared_snippets(text: str) -> Mapping[str, str]:
    """Read `_snippets.yaml`, or raise TemplateError with every mistake in it."""
    source = Source(text, "_snippets.yaml")
    reader = Reader(source)
    found = _snippets(reader, source.node())
    errors = [p for p in reader.problems if p.severity == "error"]
    if errors:
        raise TemplateError(errors)
    return found


# -- the fields ---------------------------------------------------------------------------

_WORDS: Read = listed(Reader.word)
_BASE: Read = whole(1, 5)
_DROPPED = (
    "note",
    "references",
    "changelog",
    "steps",
    "extract",
    "synthesize",
    "tests",
)
_INTO_DRAFT: dict[str, Callable[[Reader, Draft, Node], Any]] = {
    "inputs": given.inputs,
    "extract": given.extracts,
    "steps": steps.steps,
    "synthesize": steps.synthesize,
}
_TOP: dict[str, Read] = {
    "format": _format,
    "template": Reader.template_name,
    "title": Reader.word,
    "description": Reader.plain,
    "version": Reader.word,
    "license": Reader.word,
    "extends": Reader.word,
    "tags": _WORDS,
    "note": Reader.plain,
    "references": _WORDS,
    "changelog": _WORDS,
    "match": _match,
    "complexity": _complexity,
    "probe": Reader.yes_no,
    "approve": Reader.yes_no,
    "scaffolds": parts.scaffolds,
    "on_fail": parts.ladder,
    "quality": _quality,
    "few_shot": parts.few_shot,
    "limits": _limits,
    "snippets": _kept_snippets,
    "tests": _skip,
}
_MATCH: dict[str, Read] = {
    "keywords": _WORDS,
    "patterns": listed(Reader.pattern, most=50),
    "not_keywords": _WORDS,
    "examples": _WORDS,
    "not_examples": _WORDS,
    "priority": whole(-1000, 1000),
}
_RULE: dict[str, Read] = {"when": condition("text"), "by": whole(-4, 4)}
_COMPLEXITY: dict[str, Read] = {"base": _BASE, "add": listed(_rule)}
_QUALITY: dict[str, Read] = {"store_above": number(0, 1), "score": parts.checks}
_LIMITS: dict[str, Read] = {
    "calls": whole(1, 100_000),
    "items": whole(1, 10_000),
    "tokens": whole(1, 1_000_000_000),
}
