"""What the models of the surface are made of: kinds of values, and what a mapping is.

Every kind carries its piece of JSON Schema, so that the models read like the file itself.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from crp.language.schema import CHECK_KINDS, OutputKind

SCALAR = ["string", "number", "boolean"]
"""What YAML makes of a text that nobody put in quotes: `title: 2026` is a text too."""

OUTPUT_FORMS = ("choice", "fields", "table", "schema")
RUNG_WORDS = ("retry", "heavier", "accept_best", "skip", "stop")
OUTPUT_WORDS = tuple(kind for kind in get_args(OutputKind) if kind not in OUTPUT_FORMS)

NAME = "^[a-z][a-z0-9_]*$"
RANGE = r"^\s*\d+\s*(\+|-\s*\d+)?\s*$"
BOUNDS = r"-?\d+(\.\d+)?(\s*-\s*-?\d+(\.\d+)?)?"
SIZED = rf"(bullets|numbered|list|number|integer)\s+{BOUNDS}"
FIELD = rf"(text|yes_no|date|list of text|number(\s+{BOUNDS})?)\s*\??|one of\s.+"


def json_of(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema(schema)


def one_of(*words: str | bool) -> WithJsonSchema:
    return json_of(enum=list(words))


def word_like(pattern: str, *words: str) -> dict[str, Any]:
    """One word out of several, perhaps with numbers behind it.

    The words are snippets, which an editor offers; an enum would forbid the long form.
    """
    expected = f"this is not one of: {', '.join(words)}"
    return {
        "type": "string",
        "pattern": f"^({pattern})$",
        "patternErrorMessage": expected,
        "defaultSnippets": [{"label": word, "body": word} for word in words],
    }


def whole(low: int, high: int) -> WithJsonSchema:
    return json_of(type="integer", minimum=low, maximum=high)


def asks(word: str) -> Any:
    """The help of a check's word, as messages give it."""
    return Field(description=CHECK_KINDS[word][0].upper() + CHECK_KINDS[word][1:])


def or_one(words: tuple[str, ...]) -> Any:
    """A list; one entry may stand for a list of one, but is not offered."""
    pattern = f"^({'|'.join(words)})$"
    return Field(json_schema_extra={"type": ["array", "string", "object"], "pattern": pattern})


Text = Annotated[str, json_of(type=SCALAR)]
Texts = Annotated[str, json_of(type=[*SCALAR, "array"], items={"type": SCALAR})]
Name = Annotated[str, json_of(type="string", pattern=NAME)]
Names = Annotated[
    str, json_of(type=["string", "array"], pattern=NAME, items={"type": "string", "pattern": NAME})
]
Key = Annotated[str, Field(pattern=NAME)]
TemplateName = Annotated[str, json_of(type="string", pattern="^[a-z][a-z0-9-]*$")]
YesNo = Annotated[str, one_of(True, False, "yes", "no")]
Range = Annotated[str, json_of(type=["string", "integer"], pattern=RANGE)]
Share = Annotated[float, json_of(type="number", minimum=0, maximum=1)]
Temperature = Annotated[float, json_of(type="number", minimum=0, maximum=2)]
Tokens = Annotated[int, whole(1, 100_000)]
Anything = Annotated[Any, json_of()]
Level = Annotated[str, one_of("none", "light", "medium", "heavy")]
FieldKind = Annotated[
    str, json_of(**word_like(FIELD, "text", "number", "yes_no", "date", "list of text"))
]


class Form(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    SHORT: ClassVar[dict[str, Any]] = {}
    """JSON Schema of the short form; its types are others than an object."""
    NEEDS: ClassVar[tuple[str, ...]] = ()
    """Keys that must be there."""
    MERGED: ClassVar[bool] = True
    """A template that `extends` another merges it, and removes a field of it by null."""
    REMOVED: ClassVar[bool] = True
    """... and all of it."""

    def __init_subclass__(
        cls,
        *,
        short: dict[str, Any] | None = None,
        needs: tuple[str, ...] = (),
        merged: bool = True,
        removed: bool = True,
    ) -> None:
        cls.SHORT = cls.SHORT if short is None else short
        cls.NEEDS, cls.MERGED, cls.REMOVED = needs, merged, merged and removed
