"""What a template is once it has been read and checked: frozen models, one thing each.

The loader (`load.py`) builds these from YAML and reports every mistake with its place; nothing
else creates them from user text. Prompt texts are kept as written and parsed by `text.py`.
Names follow ../shared/templates.md section 4: a field is called here what it is called in YAML.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from crp.models import Capability, Complexity, LevelWord, Quality, Rung, Wire

OutputKind = Literal[
    "text",
    "line",
    "markdown",
    "bullets",
    "numbered",
    "list",
    "number",
    "integer",
    "yes_no",
    "json",
    "code",
    "choice",
    "fields",
    "table",
    "schema",
]

FindWord = Literal[
    "things", "aspects", "sentences", "texts", "choices", "fields", "parts", "sections", "topic"
]
"""What code can look for to make a list."""


class OutputField(Wire):
    """One entry of `fields:`; `kind` is text, number, yes_no, date, list or choice."""

    name: str
    kind: Literal["text", "number", "yes_no", "date", "list", "choice"]
    optional: bool = False
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    options_from: str = ""
    """The name of a list whose items are the options (`one of {{ items }}`)."""


class Output(Wire):
    """What a step must give back."""

    kind: OutputKind = "text"
    low: float | None = None
    """Fewest entries, or the smallest number."""
    high: float | None = None
    options: tuple[str, ...] = ()
    """For `choice`."""
    fields: tuple[OutputField, ...] = ()
    columns: tuple[str, ...] = ()
    """For `table`; an entry `{{ items }}` stands for one column an item."""
    json_schema: dict[str, JsonValue] = Field(default_factory=dict)
    """For `schema`: the JSON Schema of the answer, of the keywords that the loader allows."""

    @property
    def label(self) -> str:
        """The kind as a template's author writes it: `bullets 3-7`."""
        if self.low is None and self.high is None:
            return self.kind
        low, high = (format(x, "g") if x is not None else "" for x in (self.low, self.high))
        return f"{self.kind} {low}-{high}" if low != high else f"{self.kind} {low}"


class Check(Wire):
    """One check: a word, its value, and what follows from it.

    `kind` is one of CHECK_KINDS; `value` is what stands behind the word, None for words alone.
    """

    kind: str
    value: JsonValue = None
    at_least: Quality | None = None
    weight: float = Field(default=1.0, ge=0)
    when: str = ""
    """A condition over the names of the step; the check counts only where it holds."""
    hint: str = ""
    otherwise: Literal["retry", "warn", "stop"] = "retry"

    @property
    def label(self) -> str:
        if self.value is None:
            return self.kind
        value = ", ".join(map(str, self.value)) if isinstance(self.value, list) else self.value
        return f"{self.kind}: {value}"


class Scaffolds(Wire):
    """Help texts by level; None means: the library's default text."""

    light: str | None = None
    medium: str | None = None
    heavy: str | None = None


class FewShot(Wire):
    traces: int = Field(default=50, ge=0, le=50)
    """Where a template says nothing, the engine's `icml_max_examples` decides."""
    min_quality: Quality | None = None
    max_tokens: int = Field(default=600, ge=0)


class ExtractExample(Wire):
    task: str
    gives: tuple[str, ...]


class Extract(Wire):
    """A list to find before the plan is made: by code where it stands in the request or in the
    facts, by the model otherwise."""

    name: str
    ask: str = ""
    """Empty: never ask the model."""
    source: tuple[Literal["task", "context"], ...] = ("task",)
    """`from:` where code looks for it; empty (`from: none`): code does not look."""
    find: FindWord = "things"
    """What code looks for. `things` stand behind the verb (Compare A, B and C; A or B) or as
    headings of the facts; `aspects` stand behind `on`, `by`, `in terms of`, `across`, `regarding`,
    or as labels that every passage of the facts has; `sentences` are those of the text that the
    request brings along, or of the facts; `texts` its list entries, or all of it as one; `choices`
    and `fields` are what the request leaves to choose from (classify as A or B) and asks for
    (extract A and B from); `parts` are the pieces of
    a long text, to which `facts: "{{ item }}"` gives the piece; `sections` are those that a brief
    names, or the headings of the facts."""
    min: int = Field(default=1, ge=0, le=10_000)
    max: int = Field(default=10, ge=1, le=10_000)
    must_appear: bool = False
    """Every entry must stand in the request or in the facts."""
    otherwise: tuple[str, ...] | None = None
    """The list to use when too little was found."""
    otherwise_use: str = ""
    """The template to use when too little was found."""
    examples: tuple[ExtractExample, ...] = ()
    model: str = "default"
    min_capability: Capability = 0
    """Weaker models are not asked: for them the list is that of the nearest example, by the words
    that its task and the request share, or `otherwise`."""


class Pick(Wire):
    """`pick:` choose passages or entries by code. The result is a list, the best first; with
    `top: 1` it is one text."""

    source: str = "facts"
    """`from:` `facts` (the passages of the context), `sentences` (those of the context, or in a
    fan-out over parts of this part), or the name of a list, an input or a step."""
    by: str = ""
    """An expression over `entry` and all other names that gives the value to rank by, such as
    `sheet[entry].price`. Empty: by the words that an entry shares with `about`. Sentences
    come in the order of the text; without an `about`, those whose words the others use most."""
    order: Literal["highest", "lowest"] = "highest"
    where: str = ""
    """A condition over `entry`: others are left out before the ranking."""
    top: int = Field(default=3, ge=1, le=50)


class Use(Wire):
    """`use:` another template solves a part of the task; its answer is the step's output."""

    template: str
    inputs: dict[str, str] = Field(default_factory=dict)
    """Inputs and lists of that template, as texts."""


class Repeat(Wire):
    """`repeat:` ask again until an answer is good enough.

    A round is: the step, its critique, the condition. In the next round the step's texts may use
    `previous` (the last answer) and `feedback` (what the critique said); where they do not use
    `feedback`, it closes the prompt.
    """

    until: str
    """A condition over `critique`, the step's own id and all other names."""
    max: int = Field(default=2, ge=1, le=5)
    """Most rounds after the first."""
    critique: Step | None = None
    """A prompt that looks at the answer; its output is called `critique`."""


StepKind = Literal["prompt", "render", "calculate", "pick", "use"]


class Step(Wire):
    """One micro-step, or a fan-out of one over a list."""

    id: str
    title: str = ""
    kind: StepKind = "prompt"
    text: str
    """By kind: the prompt; the text to render; the text whose last line is the expression to
    work out; what passages are picked for (`about:`); the task for the other template."""
    pick: Pick | None = None
    use: Use | None = None
    system: str = ""
    when: str = ""
    """A condition. Where it reads only what is known when the plan is made (task, inputs, lists,
    sheet, complexity, capability), a step whose condition is false is left out of the plan."""
    late: bool = False
    """Its `when` reads what steps give: it is decided when the step's turn comes, for each item."""
    for_each: str = ""
    """The name of the list to fan out over."""
    order: Literal["at_once", "in_sequence"] = "at_once"
    """`in_sequence`: each item waits for the one before it, and sees in `previous` a list of
    records `{item, answer}`, or `{item, field, ...}` where the output has fields. `[1]` in an item
    stands for the answer to item 1."""
    item_name: str = "item"
    """`as:` how the texts call the current entry."""
    needs: tuple[str, ...] = ()
    """Steps that must come first although nothing of theirs is read."""
    reads: tuple[str, ...] = ()
    """Steps whose outputs the text or a check reads: all of a fan-out, worked out by the loader."""
    reads_item: tuple[str, ...] = ()
    """Fan-out steps of which only this item's output is read: `{{ profile[item] }}`."""
    optional: tuple[str, ...] = ()
    """Those of `reads` and `reads_item` that the text can do without: each use stands under
    `{% if name %}` or has a `default`."""
    output: Output = Output()
    checks: tuple[Check, ...] = ()
    scaffold: LevelWord = "auto"
    scaffolds: Scaffolds = Scaffolds()
    on_fail: tuple[Rung, ...] | None = None
    model: str = "default"
    max_tokens: int | None = None
    temperature: float | None = None
    samples: int = Field(default=1, ge=1, le=9)
    """How many answers are asked for; `vote` chooses one."""
    vote: str = ""
    """The field that is voted on; empty: the whole answer. Ties go to the earlier answer."""
    fresh: bool = False
    """The prompt is its instruction alone: no task line, no examples, and facts only where `facts`
    is written (chain-of-verification: who checks must not see what led to the answer)."""
    repeat: Repeat | None = None
    few_shot: FewShot | None = None
    """None: as the template says."""
    facts: str = "all"
    """Which facts the prompt gets: `all`, `none`, or a text: only the passages that match it."""


Repeat.model_rebuild()


class ComplexityRule(Wire):
    when: str
    """A condition over names that are known before the plan is made."""
    by: int


class ComplexityRules(Wire):
    base: Complexity = 3
    add: tuple[ComplexityRule, ...] = ()


class Input(Wire):
    name: str
    type: Literal["text", "number", "yes_no", "list of text"] = "text"
    help: str = ""
    default: JsonValue = None
    choice: tuple[str, ...] = ()
    required: bool = False


class MatchRules(Wire):
    keywords: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    """RE2."""
    not_keywords: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    not_examples: tuple[str, ...] = ()
    priority: int = 0


class QualityRules(Wire):
    store_above: Quality | None = None
    """None: the engine's setting."""
    score: tuple[Check, ...] = ()
    """Empty: the default scorer."""


class Limits(Wire):
    calls: int = Field(default=40, ge=1, le=100_000)
    items: int = Field(default=10, ge=1, le=10_000)
    tokens: int = Field(default=50_000, ge=1)


class Template(Wire):
    """One template, checked: every name in it exists and every text parses."""

    format: int = 1
    template: str
    """Its name; also the task type of its traces."""
    title: str = ""
    description: str = ""
    version: str = ""
    license: str = ""
    extends: str = ""
    """The template that this one was merged into; its texts are in here already."""
    tags: tuple[str, ...] = ()
    match: MatchRules = MatchRules()
    complexity: ComplexityRules = ComplexityRules()
    inputs: tuple[Input, ...] = ()
    extract: tuple[Extract, ...] = ()
    """In an order in which each may use the ones before it."""
    steps: tuple[Step, ...]
    """In an order in which each comes after what it needs."""
    synthesize: Step | None = None
    """How the outputs become the answer; its id is `answer`. None: the last step is the answer."""
    probe: bool = True
    """False: this template never pays for a probe."""
    approve: bool = False
    """True: a person has to approve the plan before anything of it runs."""
    scaffolds: Scaffolds = Scaffolds()
    on_fail: tuple[Rung, ...] | None = None
    quality: QualityRules = QualityRules()
    few_shot: FewShot = FewShot()
    limits: Limits = Limits()
    snippets: dict[str, str] = Field(default_factory=dict)
    """Shared texts; the loader has put them where `{{ snippets.name }}` stood."""

    def step(self, step_id: str) -> Step:
        return next(s for s in self.steps if s.id == step_id)


CHECK_KINDS: dict[str, str] = {
    "no_refusal": "the answer is not an apology or a refusal",
    "complete": "the answer is not cut off",
    "no_repetition": "no sentence, line or phrase is repeated",
    "no_placeholder": "no [brackets to fill in], TODO or lorem ipsum",
    "words": "the number of words is in the range: `words: 40-120`",
    "lines": "the number of lines that are not empty is in the range",
    "mentions": "every one of these stands in the answer",
    "mentions_any": "at least one of these stands in the answer",
    "not_mentions": "none of these stands in the answer",
    "matches": "a regular expression (RE2) is found in the answer",
    "parses": "the answer is code that can be read: `parses: python` or `parses: json`",
    "covers": "the entries of a list are spoken of: `covers: items`",
    "grounded_in": "numbers and content words come from these steps, inputs, or `facts`",
    "keeps": "the numbers and names of these facts or steps are kept in the answer",
    "no_echo": "the answer is not the prompt said again",
    "agrees_with": "the answer says the same as that step: `agrees_with: first_guess`",
    "expr": "a condition over the fields of the answer: `expr: reasons | length >= 2`",
    "judge": "a model answers this yes/no question about the answer with yes; costs a call",
}
"""Every check word that this version knows, and what it asks."""

DEFAULT_LADDER: tuple[Rung, ...] = (
    Rung(action="heavier"),
    Rung(action="heavier"),
    Rung(action="accept_best"),
)
"""Three attempts, each with more help (spec, section 4), then the best of them if it is usable."""

DEFAULT_CHECKS: tuple[Check, ...] = (Check(kind="no_refusal"), Check(kind="complete"))
"""What every prompt step is checked for even when it declares nothing."""
