"""Problems as SARIF: what the standard requires, and places that are right."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from crp.authoring.sarif import sarif
from crp.language.codes import CODES
from crp.language.load import lint

TEXT: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string", "minLength": 1}},
}
POSITION = {"type": "integer", "minimum": 1}
REQUIRED: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id"],
                                            "properties": {"shortDescription": TEXT},
                                        },
                                    }
                                },
                            }
                        }
                    },
                    "results": {
                        "items": {
                            "required": ["message", "ruleId", "locations"],
                            "properties": {
                                "message": TEXT,
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "locations": {
                                    "items": {
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "region": {
                                                        "properties": {
                                                            "startLine": POSITION,
                                                            "startColumn": POSITION,
                                                            "endColumn": POSITION,
                                                        }
                                                    }
                                                },
                                            }
                                        }
                                    }
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}
"""The part of the standard's schema that this output is held to."""


@pytest.mark.parametrize(
    "text", ["template: t\nsteps:\n  a: '{{ x }}'\n", "steps: {a: x}", "template: t\nsteps: {a: x}"]
)
def test_it_has_what_the_standard_requires(text: str) -> None:
    made = sarif(lint(text, "a b.yaml"), "1.2.3")
    jsonschema.validate(made, REQUIRED)


def test_a_mistake_is_a_result_with_its_rule_and_its_place() -> None:
    run = sarif(lint("template: t\nsteps:\n  a: '{{ nope }}'\n", "a b.yaml"), "1")["runs"][0]
    (result,) = run["results"]
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] == "T003"
    assert rule["shortDescription"]["text"] == CODES["T003"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.yaml"
    assert place["region"] == {"startLine": 3, "startColumn": 10, "endColumn": 14}
