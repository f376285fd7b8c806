"""Everything that reads what models write, on hostile answers."""

from __future__ import annotations

import json
from random import Random

from pydantic import JsonValue

from crp.language import calculate, checks, outputs
from crp.language.outline import parse_outline
from crp.language.pick import picked
from crp.language.schema import CHECK_KINDS, Check, Output, OutputField, Pick
from crp.language.scope import Scope
from crp.language.vote import elect
from crp.language.words import clean
from tests.support.fuzz.hostile import SCHEMAS, said
from tests.support.fuzz.limits import must, timed, told

_FIELDS = (
    OutputField(name="a", kind="text"),
    OutputField(name="n", kind="number", low=0, high=1),
    OutputField(name="b", kind="yes_no"),
    OutputField(name="d", kind="date", optional=True),
    OutputField(name="l", kind="list"),
    OutputField(name="c", kind="choice", options_from="items"),
)
_OUTPUTS = (
    *(Output(kind=kind) for kind in ("text", "line", "markdown", "number", "integer", "yes_no")),
    *(Output(kind=kind, low=2, high=4) for kind in ("bullets", "numbered", "list")),
    *(Output(kind=kind) for kind in ("json", "code", "bullets", "list")),
    Output(kind="number", low=-5, high=0.5),
    Output(kind="choice", options=("yes", "{{ items }}")),
    Output(kind="fields", fields=_FIELDS),
    Output(kind="fields", fields=_FIELDS[:1]),
    Output(kind="table", columns=("a", "{{ items }}")),
    *(Output(kind="schema", json_schema=s) for s in SCHEMAS if "$ref" not in s),
)
_VALUES: dict[str, JsonValue] = {
    "words": "3-40",
    "lines": "1+",
    "mentions": ["A", "{{ items }}"],
    "mentions_any": ["A", "3.5"],
    "not_mentions": ["sorry", "{{ task }}"],
    "matches": "(a+)+$",
    "parses": "python",
    "covers": "items",
    "grounded_in": ["facts", "first"],
    "keeps": ["facts"],
    "agrees_with": "first",
    "expr": "answer | length > 3 and items[0] != answer",
    "judge": "Is it good?",
}
_CHECKS = tuple(Check(kind=kind, value=_VALUES.get(kind)) for kind in CHECK_KINDS)


def read_all(text: str, rng: Random) -> str:
    """Give a hostile answer to everything that reads answers."""
    other = said(rng)
    names: dict[str, JsonValue] = {
        "items": ["A", "B", clean(said(rng)[:50])],
        "context": other,
    }
    values: list[JsonValue] = []
    for output in _OUTPUTS:
        with timed(f"parse {output.kind}"):
            parsed = outputs.parse(output, text, names)
        again = outputs.Parsed.model_validate_json(parsed.model_dump_json())
        must(again == parsed, "an answer goes through JSON")
        values.append(parsed.value)
    with timed("work_out"), told():
        worked = calculate.work_out(text)
        json.dumps([calculate.number(worked), calculate.shown(worked)])
    for pick in (Pick(), Pick(source="items", by="entry | length"), Pick(source="sentences")):
        with timed("picked"), told():
            picked(pick, rng.choice((text, "", "price of A")), {**names, "sentences": other})
    with timed("elect"):
        elect(values)
    with timed("parse_outline"):
        parse_outline(text)
    scope = Scope(
        task="Which is better, A or B?",
        facts=other,
        names=names,
        outputs={"first": rng.choice(values)},
    )
    for check in _CHECKS:
        with timed(f"check {check.kind}"):
            checks.run([check], text, rng.choice(values), scope)
    return "answered"
