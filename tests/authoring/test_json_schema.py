"""The JSON Schema of a template file: it is the committed one, and it says what the loader says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from crp.authoring import json_schema
from crp.authoring.starting import SCHEMA as SCHEMA_FILE
from crp.language.data import json_value
from crp.language.load import lint
from crp.language.schema import CHECK_KINDS
from crp.language.source import read
from crp.templates import is_template

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema.schema()
EDITOR = jsonschema.Draft7Validator(SCHEMA)

SHIPPED = [path for path in sorted((ROOT / "templates").glob("*.yaml")) if is_template(path)]
EXAMPLES = sorted((ROOT / "tests" / "language" / "examples").glob("*.yaml"))


def complaints(text: str) -> list[str]:
    """What an editor would underline."""
    errors = EDITOR.iter_errors(json_value(read(text, "x.yaml")))
    return [f"{error.json_path}: {error.message}" for error in errors]


def test_the_committed_schema_is_the_one_that_the_models_make() -> None:
    committed = (ROOT / "templates" / SCHEMA_FILE).read_text("utf-8")
    assert committed == json_schema.text(), "crp templates schema writes it"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_nothing_that_pydantic_adds_is_left() -> None:
    def keywords(some: Any) -> set[str]:
        if isinstance(some, list):
            return {word for one in some for word in keywords(one)}
        if not isinstance(some, dict):
            return set()
        return {*some}.union(*(keywords(one) for one in some.values()))

    fields = {"title", "default"}  # are also names of fields, below `properties`
    assert not {"allOf", "oneOf", "$defs"} & keywords(SCHEMA)
    for form in (SCHEMA, *SCHEMA["definitions"].values()):
        assert not fields & {*form}
        assert not [name for name, one in form["properties"].items() if fields & {*one}]


def test_every_field_has_help() -> None:
    forms = {"template": SCHEMA, **SCHEMA["definitions"]}
    silent = [
        f"{name}.{field}"
        for name, form in forms.items()
        for field, made in form["properties"].items()
        if len(made.get("description", "")) < 10
    ]
    assert not silent


@pytest.mark.parametrize("path", [*SHIPPED, *EXAMPLES], ids=lambda path: f"{path.stem}")
def test_a_template_that_is_right_is_right_in_an_editor(path: Path) -> None:
    assert complaints(path.read_text("utf-8")) == []


HEAD = "template: x\nsteps:\n  a: b\n"


@pytest.mark.parametrize(
    "text",
    [
        "template: x\nmatch: word\nsteps: {a: b}\nsynthesize: c\nquality: [no_echo]\nfew_shot: 0\n",
        "template: 'x'\nversion: 1.10\ntitle: 2026\nsteps: {a: {prompt: b, checks: no_refusal}}\n",
        "template: x\nsteps: {a: {prompt: b, on_fail: retry, checks: {words: 3}}}\n",
        f"{HEAD}  c: {{prompt: d, output: number 0-10}}\n",
        f"{HEAD}  c: {{prompt: d, output: {{choice: [e, f]}}}}\n",
        f"{HEAD}  c: {{prompt: d, output: {{fields: {{e: text?, f: one of g | h}}}}}}\n",
        f"{HEAD}  c: {{prompt: d, checks: [no_echo: yes, {{no_refusal: true, weight: 2}}]}}\n",
        "template: x\nextends: y\nsteps: {a: null, b: {checks: null}}\nquality: null\n",
    ],
)
def test_short_forms_are_right_in_an_editor(text: str) -> None:
    assert complaints(text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("template: x\nstepz: {}\n", "$"),
        ("template: X y\n", "$.template"),
        ("steps: {a: b}\n", "$"),
        ("template: x\nsteps: {A: b}\n", "$.steps"),
        ("template: x\nsteps: {a: {promt: b}}\n", "$.steps.a"),
        ("template: x\nsteps: {a: {prompt: b, output: bulets}}\n", "$.steps.a.output"),
        ("template: x\nsteps: {a: {prompt: b, output: text 3}}\n", "$.steps.a.output"),
        ("template: x\nsteps: {a: {prompt: b, output: {feilds: {}}}}\n", "$.steps.a.output"),
        ("template: x\nsteps: {a: {prompt: b, checks: [no_refusl]}}\n", "$.steps.a.checks[0]"),
        ("template: x\nsteps: {a: {prompt: b, checks: [{wordz: 3}]}}\n", "$.steps.a.checks[0]"),
        ("template: x\nsteps: {a: {prompt: b, checks: [words: a]}}\n", "$.steps.a.checks[0].words"),
        ("template: x\nsteps: {a: {prompt: b, on_fail: [hevier]}}\n", "$.steps.a.on_fail[0]"),
        ("template: x\nsteps: {a: {prompt: b, samples: 12}}\n", "$.steps.a.samples"),
        ("template: x\nlimits: {cals: 3}\n", "$.limits"),
        ("template: x\nextract: {a: {aks: b}}\n", "$.extract.a"),
    ],
)
def test_a_mistake_has_its_place(text: str, place: str) -> None:
    assert [found.split(": ")[0] for found in complaints(text)] == [place]


# -- the schema and the loader ------------------------------------------------------------

UNKNOWN = "zzzzzz"
"""No field is spelled like this, so that the loader answers with all the fields that there are."""
STEP = "template: x\nsteps: {{a: {{prompt: b, {}}}}}\n"

PLACES = {
    "TemplateFile": f"{HEAD}{UNKNOWN}: 1\n",
    "Match": f"{HEAD}match: {{{UNKNOWN}: 1}}\n",
    "Complexity": f"{HEAD}complexity: {{{UNKNOWN}: 1}}\n",
    "ComplexityRule": f"{HEAD}complexity: {{add: [{{when: a, by: 1, {UNKNOWN}: 1}}]}}\n",
    "Input": f"{HEAD}inputs: {{i: {{{UNKNOWN}: 1}}}}\n",
    "Extract": f"{HEAD}extract: {{i: {{{UNKNOWN}: 1}}}}\n",
    "ExtractExample": f"{HEAD}extract: {{i: {{examples: [{{{UNKNOWN}: 1}}]}}}}\n",
    "Step": STEP.format(f"{UNKNOWN}: 1"),
    "AnswerStep": f"{HEAD}synthesize: {{prompt: b, {UNKNOWN}: 1}}\n",
    "Output": STEP.format(f"output: {{{UNKNOWN}: 1}}"),
    "AnswerSchema": STEP.format(f"output: {{schema: {{{UNKNOWN}: 1}}}}"),
    "Rung": STEP.format(f"on_fail: [{UNKNOWN}: 1]"),
    "Scaffolds": STEP.format(f"scaffolds: {{{UNKNOWN}: 1}}"),
    "FewShot": STEP.format(f"few_shot: {{{UNKNOWN}: 1}}"),
    "Pick": f"template: x\nsteps: {{a: {{pick: {{{UNKNOWN}: 1}}}}}}\n",
    "Use": f"template: x\nsteps: {{a: {{use: {{{UNKNOWN}: 1}}}}}}\n",
    "Repeat": STEP.format(f"repeat: {{{UNKNOWN}: 1}}"),
    "Critique": STEP.format(f"repeat: {{critique: {{{UNKNOWN}: 1}}}}"),
    "Quality": f"{HEAD}quality: {{{UNKNOWN}: 1}}\n",
    "Limits": f"{HEAD}limits: {{{UNKNOWN}: 1}}\n",
    "Expect": f"{HEAD}tests: {{one: {{task: t, expect: {{{UNKNOWN}: 1}}}}}}\n",
    "Test": f"{HEAD}tests: {{one: {{task: t, {UNKNOWN}: 1}}}}\n",
}
"""Where each form of the schema stands in a template."""


def known_to_the_loader(text: str) -> set[str]:
    found = [p for p in lint(text, "x.yaml") if p.code == "F001" and UNKNOWN in p.message]
    assert len(found) == 1, lint(text, "x.yaml")
    listed = re.fullmatch(r"there are: (.+)", found[0].help)
    assert listed, found[0].help
    return set(listed[1].split(", "))


@pytest.mark.parametrize("form", PLACES)
def test_an_editor_offers_the_fields_that_the_loader_reads(form: str) -> None:
    made = SCHEMA if form == "TemplateFile" else SCHEMA["definitions"][form]
    assert set(made["properties"]) == known_to_the_loader(PLACES[form])


def test_every_form_of_the_schema_is_compared_with_the_loader() -> None:
    assert {*SCHEMA["definitions"]} - {*PLACES} == {"Check"}


def test_an_editor_offers_the_checks_that_the_loader_reads() -> None:
    text = STEP.format(f"checks: [{{words: 3, {UNKNOWN}: 1}}]")
    offered = set(SCHEMA["definitions"]["Check"]["properties"])
    assert offered == {*CHECK_KINDS} | known_to_the_loader(text)


@pytest.mark.parametrize("word", CHECK_KINDS)
def test_a_check_that_stands_alone_is_offered_alone(word: str) -> None:
    alone = lint(STEP.format(f"checks: [{word}]"), "x.yaml") == []
    assert (complaints(STEP.format(f"checks: [{word}]")) == []) == alone
