"""The template file as an author writes it: one model a mapping, its docstrings are the help texts.

Only `json_schema.py` uses these models. They describe the file for editors and check nothing: the
loader (`crp/language/load.py`) decides what is right, and a test keeps both together. Fields have
no defaults, since an editor would show them; what a mapping must have stands in `NEEDS`.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import ConfigDict, Field

from crp.authoring.surface_steps import (
    AnswerStep,
    Checks,
    FewShot,
    Ladder,
    Scaffolds,
    Step,
)
from crp.authoring.surface_types import (
    SCALAR,
    Anything,
    Form,
    Key,
    Names,
    Range,
    Share,
    TemplateName,
    Text,
    Texts,
    YesNo,
    json_of,
    one_of,
    whole,
)
from crp.language.schema import FindWord
from crp.models import JobStatus

STATUS = tuple(word for word in get_args(JobStatus) if word != "running")


class Extract(Form, short={"type": SCALAR}):
    """A list that is made before the steps run. The short form is what the model is asked."""

    ask: Text
    """What the model is asked for; left out: the model is never asked."""
    from_: Annotated[
        str,
        json_of(
            anyOf=[
                {"enum": ["task", "context", "none"]},
                {"type": "array", "items": {"enum": ["task", "context"]}},
            ]
        ),
    ] = Field(alias="from")
    """Where code looks first: the task, the facts (`context`), both, or nowhere (`none`)."""
    find: Annotated[str, one_of(*get_args(FindWord))]
    """What code looks for: `things` (compare A, B and C), `aspects` (on cost and speed), the
    `sentences` or `texts` of what the request brings along, `choices` (classify as A or B),
    `fields` (extract A and B from), `parts` of a long text, `sections` of a brief, the `topic`."""
    min: Annotated[int, whole(0, 10_000)]
    """Fewest entries; with fewer, `otherwise` is used."""
    max: Annotated[int, whole(1, 10_000)]
    """Most entries; the others are left out."""
    must_appear: YesNo
    """Every entry must stand in the request or in the facts."""
    min_capability: Annotated[int, whole(0, 3)]
    """Weaker models (0 to 3) are not asked."""
    otherwise: Annotated[
        str, json_of(type=["string", "array"], pattern="^use [a-z]", items={"type": SCALAR})
    ]
    """With too few entries: a fixed list, or `use other-template`."""
    examples: list[ExtractExample]
    """Tasks with the list that is right for them."""
    model: Text
    """An alias of a model: `larger`."""
    note: Text
    """A remark for people; no model sees it."""


class ExtractExample(Form, needs=("task", "gives"), merged=False):
    """A task with the list that is right for it."""

    task: Text
    """A request."""
    gives: Texts
    """The entries that are right for it."""


class Input(Form, short={"type": SCALAR}):
    """A value that comes with the task. The short form is its help text."""

    type: Annotated[str, one_of("text", "number", "yes_no", "list of text")]
    """What kind of value it is."""
    help: Text
    """What to give, for people."""
    default: Annotated[Any, json_of(type=[*SCALAR, "array"])]
    """The value when none is given."""
    choice: Texts
    """The only values that are allowed."""
    required: YesNo
    """Without it, the task is refused."""


class ComplexityRule(Form, needs=("when", "by"), merged=False):
    """One reason why a task is harder or easier."""

    when: Text
    """A condition over what is known before the steps run: `items | length > 3`."""
    by: Annotated[int, whole(-4, 4)]
    """How much is added."""


class Complexity(Form, short={"type": "integer", "minimum": 1, "maximum": 5}):
    """How hard tasks of this type are, from 1 to 5. The short form is a number."""

    base: Annotated[int, whole(1, 5)]
    """1: a small model does it alone; 5: it needs all the help there is."""
    add: list[ComplexityRule]
    """What makes a task harder or easier."""


class Match(Form, short={"type": [*SCALAR, "array"], "items": {"type": SCALAR}}):
    """Which requests this template is for. The short form is a list of keywords."""

    keywords: Texts
    """Words and phrases of such requests."""
    patterns: Texts
    """Regular expressions (RE2) that such requests match; put them in single quotes."""
    not_keywords: Texts
    """Words that speak against this template."""
    examples: Texts
    """Whole requests. They are tests too: each must lead here."""
    not_examples: Texts
    """Requests that look similar, but must lead elsewhere."""
    priority: Annotated[int, whole(-1000, 1000)]
    """Which of two templates wins when both fit; the higher one."""


class Quality(Form, short={"type": "array", "items": {"$ref": "#/definitions/Check"}}):
    """How a finished answer is scored, 0 to 1. The short form is a list of checks."""

    store_above: Share
    """Jobs that score less are not kept as examples."""
    score: Checks
    """Checks; the score is their weighted mean."""


class Limits(Form):
    """Limits of one job; nothing more is begun when one is reached."""

    calls: Annotated[int, whole(1, 100_000)]
    """Most calls to a model."""
    items: Annotated[int, whole(1, 10_000)]
    """Most entries of any list."""
    tokens: Annotated[int, whole(1, 1_000_000_000)]
    """Most tokens, asked and answered."""


class Expect(Form):
    """What must come out of a test. Other keys are names of lists: their entries or their count."""

    model_config = ConfigDict(extra="allow")

    template: Text
    """The template that the task must lead to: `comparison`, or `not comparison`."""
    calls: Range
    """How many calls to a model: `10-14`."""
    ran: Names
    """Steps that must have run."""
    attempts: dict[Key, Anything]
    """Tries of a step: `profile: 2`, or by item: `profile: {Vue: 2}`."""
    quality: Annotated[Any, json_of(type=["string", "number"])]
    """The range that the score must be in: `0.8-1`."""
    status: Annotated[str, one_of(*STATUS)]
    """How the job must end."""
    answer: Checks
    """Checks that the answer must pass."""


class Test(Form, needs=("task",)):
    """One test: a task, what must come out, and what the model answered when it was recorded."""

    task: Text
    """The request."""
    context: Text
    """The facts that come with it."""
    inputs: dict[Key, Anything]
    """Values of the template's inputs."""
    capability: Annotated[int, whole(0, 3)]
    """How able the model is whose prompts are tested, 0 to 3; 0 is the embedded one."""
    note: Text
    """A remark for people; no model sees it."""
    expect: Expect
    """What must come out."""
    recorded: dict[str, Anything]
    """Answers by list, step, `critique` and `answer`: a text, a list of texts for successive
    tries, or a mapping from items to these (`"*"` is any item)."""


class TemplateFile(Form, needs=("template",), removed=False):
    """A template: how tasks of one type are recognised, split, checked and joined."""

    format: Annotated[int, json_of(enum=[1])]
    """The version of the template language."""
    template: TemplateName
    """The name, unique in the library: a-z, 0-9 and `-`."""
    extends: TemplateName
    """Another template to take over; what stands here is added or replaces. null removes."""
    title: Text
    """A short name for people."""
    description: Text
    """What the template is for and how it works."""
    version: Text
    """The template's own version. It must grow when the content changes."""
    license: Text
    """An SPDX identifier: CC0-1.0."""
    tags: Texts
    """Words to find the template by."""
    references: Texts
    """Methods that the template builds on."""
    changelog: Texts
    """What each version changed."""
    note: Text
    """A remark for people; no model sees it."""
    match: Match
    """Which requests this template is for: keywords, or fields."""
    complexity: Complexity
    """How hard such tasks are, 1 to 5; decides how much help steps begin with."""
    inputs: dict[Key, Input]
    """Values that come with the task, by name. `task` and `context` are always there."""
    extract: dict[Key, Extract]
    """Lists that are made before the steps run, by name; `for_each` goes over them."""
    steps: dict[Key, Step]
    """The steps by name, at most 10. Their order follows from the names that their texts use."""
    synthesize: AnswerStep
    """How the answer is put together: a prompt, or fields. Left out: the last step is the
    answer."""
    probe: YesNo
    """no: never try the model out before the work begins."""
    approve: YesNo
    """yes: the job waits until a person has approved its plan."""
    scaffolds: Scaffolds
    """Help texts for all steps by level."""
    on_fail: Ladder
    """What all steps do after the first failed try, the second, and so on."""
    quality: Quality
    """How a finished answer is scored: a list of checks, or fields."""
    few_shot: FewShot
    """Examples from earlier jobs, put before prompts: a number, or fields."""
    limits: Limits
    """What one job may cost at most."""
    snippets: dict[Key, Text]
    """Texts to use in several places: `{{ snippets.name }}`."""
    tests: dict[str, Test]
    """Tests by name; they need no model. They may stand in NAME.tests.yaml instead."""
