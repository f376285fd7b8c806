"""Steps as an author writes them: models for `surface.py`, which says what they are for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crp.authoring.surface_types import (
    OUTPUT_WORDS,
    RUNG_WORDS,
    SCALAR,
    SIZED,
    Anything,
    FieldKind,
    Form,
    Key,
    Level,
    Name,
    Names,
    Range,
    Share,
    Temperature,
    TemplateName,
    Text,
    Texts,
    Tokens,
    YesNo,
    asks,
    json_of,
    one_of,
    or_one,
    whole,
    word_like,
)
from crp.language.form import LANGUAGES
from crp.language.parts import ALONE


class Scaffolds(Form):
    """Help texts by level."""

    light: Text
    """A short nudge, put after the prompt at the level `light`."""
    medium: Text
    """A form to fill in, put after the prompt at the level `medium`."""
    heavy: Text
    """Every move spelled out, put after the prompt at the level `heavy`."""


class FewShot(Form, short={"type": "integer", "minimum": 0, "maximum": 20}):
    """Examples from earlier jobs, put before the prompt."""

    traces: Annotated[int, whole(0, 20)]
    """Most examples; 0 for none."""
    min_quality: Share
    """Only jobs that scored at least this."""
    max_tokens: Annotated[int, whole(0, 100_000)]
    """Room for all examples together."""


class Rung(Form, short=word_like("|".join(RUNG_WORDS), *RUNG_WORDS), merged=False):
    """One thing to do after a failed try."""

    scaffold: Level
    """Ask again with this level of help."""
    model: Text
    """Ask another model, by its alias: `model: larger`."""
    temperature: Temperature
    """Ask again with this temperature."""
    use: TemplateName
    """Let another template solve the step's prompt."""


Ladder = Annotated[list[Rung], or_one(RUNG_WORDS)]


class Check(Form, short=word_like("|".join(ALONE), *ALONE), merged=False):
    """One check: exactly one word, and what follows from it."""

    no_refusal: YesNo = asks("no_refusal")
    complete: YesNo = asks("complete")
    no_repetition: YesNo = asks("no_repetition")
    no_placeholder: YesNo = asks("no_placeholder")
    no_echo: YesNo = asks("no_echo")
    words: Range = asks("words")
    lines: Range = asks("lines")
    mentions: Texts = asks("mentions")
    mentions_any: Texts = asks("mentions_any")
    not_mentions: Texts = asks("not_mentions")
    matches: Text = asks("matches")
    parses: Annotated[str, one_of(*LANGUAGES)] = asks("parses")
    covers: Name = asks("covers")
    grounded_in: Names = asks("grounded_in")
    keeps: Names = asks("keeps")
    agrees_with: Name = asks("agrees_with")
    expr: Text = asks("expr")
    judge: Text = asks("judge")
    at_least: Share
    """The score from 0 to 1 that passes."""
    weight: Annotated[float, json_of(type="number", minimum=0, maximum=100)]
    """How much the check counts in `quality`."""
    when: Text
    """A condition; the check counts only where it holds."""
    hint: Text
    """What the model is told when the check fails and it is asked again."""
    otherwise: Annotated[str, one_of("retry", "warn", "stop")]
    """What a failed check does: the next rung (`retry`), nothing but a note (`warn`), or the end
    of the step (`stop`)."""


Checks = Annotated[list[Check], or_one(ALONE)]


class AnswerSchema(Form, merged=False):
    """A part of JSON Schema."""

    type: Annotated[
        str,
        one_of("object", "array", "string", "number", "integer", "boolean", "null"),
    ]
    """The type of the value."""
    title: Text
    """A short name for people."""
    description: Text
    """What the value means; the model reads it."""
    properties: dict[str, AnswerSchema]
    """The fields of an object."""
    required: list[Text]
    """Fields that must be there."""
    additionalProperties: Annotated[bool, json_of(type="boolean")]
    """false: no other fields than `properties`."""
    items: AnswerSchema
    """What each entry of a list looks like."""
    anyOf: list[AnswerSchema]
    """One of these must fit."""
    enum: list[Anything]
    """The values that are allowed."""
    const: Anything
    """The only value that is allowed."""
    minimum: Annotated[float, json_of(type="number")]
    """The smallest number."""
    maximum: Annotated[float, json_of(type="number")]
    """The largest number."""
    minItems: Annotated[int, json_of(type="integer", minimum=0)]
    """Fewest entries of a list."""
    maxItems: Annotated[int, json_of(type="integer", minimum=0)]
    """Most entries of a list."""
    minLength: Annotated[int, json_of(type="integer", minimum=0)]
    """Fewest characters of a text."""
    maxLength: Annotated[int, json_of(type="integer", minimum=0)]
    """Most characters of a text."""


class Output(Form, short=word_like("|".join((*OUTPUT_WORDS, SIZED)), *OUTPUT_WORDS), removed=False):
    """What must come back: a word such as `bullets 3-7`, or exactly one of these."""

    fields: dict[Key, FieldKind]
    """Named values: `winner: one of {{ items }}`, `sure: yes_no`, `source: text?` (may be
    missing), `reasons: list of text`, `score: number 0-10`."""
    table: Texts
    """The columns of a table; an entry `"{{ items }}"` stands for one column an item."""
    choice: Texts
    """The words to choose from; `"{{ items }}"` stands for the entries of a list."""
    schema_: AnswerSchema = Field(alias="schema")
    """A JSON Schema for the answer; the usual keywords."""


class Critique(Form, short={"type": SCALAR}):
    """A prompt that looks at the answer of a round."""

    prompt: Text
    """What is asked about the answer, which stands here by the step's own id."""
    system: Text
    """The system message."""
    title: Text
    """A short name for people."""
    note: Text
    """A remark for people; no model sees it."""
    facts: Text
    """Which facts the prompt gets: `all`, `none`, or a text that passages must match."""
    output: Output
    """What the critique gives; `until` reads it as `critique`."""
    model: Text
    """An alias of a model: `larger`, `verifier`."""
    max_tokens: Tokens
    """Most tokens of the critique."""
    temperature: Temperature
    """0 always gives the same, 1 varies."""


class Repeat(Form):
    """Rounds: the step, a critique of its answer, and a condition that ends them."""

    until: Text
    """A condition over `critique` and the step's own id: `critique.ok == "yes"`."""
    max: Annotated[int, whole(1, 5)]
    """Most rounds after the first."""
    critique: Critique
    """A prompt that looks at the answer. Its text stands in the next round's `feedback`."""


class Pick(Form, short={"type": "string"}):
    """Choose passages or entries by code."""

    from_: Name = Field(alias="from")
    """`facts` (the passages of the context), or the name of a list, an input or a step."""
    about: Text
    """A text; entries that share words with it come first. Left out: the task."""
    by: Text
    """An expression over `entry` to rank by: `sheet[entry].price`."""
    order: Annotated[str, one_of("highest", "lowest")]
    """Which end of the ranking comes first."""
    where: Text
    """A condition over `entry`; others are left out."""
    top: Annotated[int, whole(1, 50)]
    """How many are kept; with 1 the output is one text."""


class Use(Form, short={"type": "string", "pattern": "^[a-z][a-z0-9-]*$"}):
    """Let another template solve a part of the task."""

    template: TemplateName
    """The name of the other template."""
    task: Text
    """Its task; left out: this one's."""
    inputs: dict[Key, Text]
    """Inputs and lists of the other template, as texts."""


class AnswerStep(Form, short={"type": SCALAR}):
    """How the answer is put together."""

    prompt: Text
    """What the model is asked. `{{ name }}` puts in an input, a list or another step's output; the
    order of the steps follows from these names."""
    render: Text
    """A text that is put together without a model."""
    title: Text
    """A short name for people."""
    note: Text
    """A remark for people; no model sees it."""
    system: Text
    """The system message."""
    output: Output
    """What must come back: one word such as `bullets 3-7`, or fields, a table, a choice, a JSON
    Schema. It adds a sentence to the prompt, and it is parsed and checked."""
    checks: Checks
    """What the answer must pass. A failed check leads to the next rung of `on_fail`."""
    scaffold: Annotated[str, one_of("auto", "none", "light", "medium", "heavy")]
    """The level of help to begin with; `auto` follows from model and task."""
    scaffolds: Scaffolds
    """Help texts of this step by level."""
    on_fail: Ladder
    """What to do after the first failed try, the second, and so on."""
    model: Text
    """An alias of a model (`larger`, `verifier`), never a vendor's name."""
    max_tokens: Tokens
    """Most tokens of one answer."""
    temperature: Temperature
    """0 always gives the same, 1 varies."""
    few_shot: FewShot
    """Examples from earlier jobs, put before the prompt: a number, or fields."""
    facts: Text
    """Which facts the prompt gets: `all`, `none`, or a text that passages must match."""


class Step(AnswerStep):
    """One step: a prompt, or a text that needs no model. The short form is the prompt alone."""

    calculate: Text
    """Exact arithmetic without a model: a text whose last line holds an expression."""
    pick: Pick
    """Choose passages or entries by code: `pick: facts`."""
    use: Use
    """Let another template solve a part: `use: direct-question`."""
    when: Text
    """A condition; where it is false the step is left out: `items | length > 3`."""
    for_each: Name
    """The name of a list: the step is done for each entry, which its texts call `item`."""
    as_: Name = Field(alias="as")
    """Another word for `item`."""
    order: Annotated[str, one_of("at_once", "in_sequence")]
    """`in_sequence`: each entry waits for the one before it, and sees those in `previous`."""
    needs: Names
    """Steps that must come first although no text names them."""
    samples: Annotated[int, whole(1, 9)]
    """How many answers are asked for; they vote."""
    vote: Name
    """The field that is voted on; left out: the whole answer."""
    fresh: YesNo
    """The prompt alone: no task line, no examples, no facts that the step does not ask for."""
    repeat: Repeat
    """Ask again until the answer is good enough."""
