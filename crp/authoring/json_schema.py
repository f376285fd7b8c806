"""The JSON Schema of a template file, for editors: made from the models in `surface.py`.

Two things are special. A mapping that has a short form is one flat schema of several types, not a
choice of schemas: inside a choice, editors complete and explain less. And what pydantic adds by
itself (titles, required fields) is taken away again, since it clutters what an editor shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from crp.authoring.surface import TemplateFile
from crp.authoring.surface_types import Form

DRAFT = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]


def schema() -> Schema:
    """Make the schema of a template file."""
    made = TemplateFile.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    forms = made.pop("$defs")
    models = {form.__name__: form for form in _forms(Form)}
    root = _form(TemplateFile, made)
    definitions = {name: _form(models[name], forms[name]) for name in sorted(forms)}
    return {"$schema": DRAFT, **root, "definitions": definitions}


def text() -> str:
    """Write the schema as its file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _forms(base: type[Form]) -> Iterator[type[Form]]:
    for form in base.__subclasses__():
        yield form
        yield from _forms(form)


def _form(form: type[Form], made: Schema) -> Schema:
    """Turn what pydantic says of a model into what an editor reads best."""
    fields = {name: _field(field) for name, field in made["properties"].items()}
    if form.MERGED:
        fields = {name: _or_null(field) for name, field in fields.items()}
    null = ["null"] if form.REMOVED else []
    types = [*_types(form.SHORT), "object", *null]
    return {
        "type": types if len(types) > 1 else types[0],
        "description": _one_line(made["description"]),
        **{key: value for key, value in form.SHORT.items() if key != "type"},
        "properties": fields,
        **({"required": list(form.NEEDS)} if form.NEEDS else {}),
        "additionalProperties": made["additionalProperties"],
    }


def _field(made: Schema) -> Schema:
    """Drop titles, close mappings whose keys have a pattern, unfold descriptions."""
    field = {key: value for key, value in made.items() if key != "title"}
    if "description" in field:
        field["description"] = _one_line(field["description"])
    if "patternProperties" in field:
        field["additionalProperties"] = False
    return field


def _or_null(field: Schema) -> Schema:
    """Admit null, by which a template that `extends` another removes what it inherits.

    Not beside a choice of words: an editor would offer it, and one of the words is the default.
    """
    entries = field.get("patternProperties", {})
    if entries:
        field = field | {"patternProperties": {k: _or_null(v) for k, v in entries.items()}}
    return field | {"type": [*_types(field), "null"]} if "type" in field else field


def _types(some: Schema) -> list[str]:
    found = some.get("type", [])
    return [found] if isinstance(found, str) else list(found)


def _one_line(docstring: str) -> str:
    return " ".join(docstring.split())
