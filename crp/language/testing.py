"""Tests of a template: what they are, and reading them from `tests:` or from `NAME.tests.yaml`.

A test has a task, what is expected of the job, and the answers that the model gave when it was
recorded. Names of templates, lists and steps in it are checked. Running them is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, ClassVar, get_args

from pydantic import Field, JsonValue

from crp.errors import TemplateError
from crp.language import parts, resolve
from crp.language.data import json_value
from crp.language.draft import QUALITY, Draft
from crp.language.makers import listed, one_of, whole
from crp.language.reader import TEMPLATE_NAME, Read, Reader
from crp.language.schema import Check, Template
from crp.language.source import Node, Source
from crp.models import Capability, JobStatus, Wire

RECORDED = ("critique", "judge", "answer", "probe", "outline")
"""What can be recorded beside lists and steps."""

_SPAN = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:(\+)|-\s*(\d{1,9}(?:\.\d{1,9})?)|)\s*")
_STATUS = tuple(word for word in get_args(JobStatus) if word != "running")


class Span(Wire):
    """A range of numbers, as in `calls: 10-14`, `quality: 0.8+`, `items: 3`."""

    low: float
    high: float | None = None
    """None: no end."""

    def holds(self, value: float) -> bool:
        return self.low <= value and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low:g}+"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"


class Expect(Wire):
    """What must come out of a test; what is not said may be anything."""

    template: str = ""
    """`comparison`, or `not comparison`."""
    status: str = ""
    calls: Span | None = None
    quality: Span | None = None
    ran: tuple[str, ...] = ()
    attempts: dict[str, Span | dict[str, Span]] = Field(default_factory=dict)
    """Tries of a step, or of a step by item."""
    lists: dict[str, tuple[str, ...] | Span] = Field(default_factory=dict)
    """Entries of a list, or how many."""
    answer: tuple[Check, ...] = ()


class Test(Wire):
    """One test of a template."""

    __test__: ClassVar[bool] = False  # pytest must not collect it

    name: str
    task: str
    context: str = ""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    capability: Capability = 1
    """Of the model whose prompts are tested; 0 is the embedded model."""
    expect: Expect = Expect()
    recorded: dict[str, JsonValue] = Field(default_factory=dict)
    """By list, step, or one of RECORDED: a text, a list of texts (successive tries), or a mapping
    from items to these. Empty: this test was not recorded."""
    line: int = 1
    """Where it stands in its file."""


def load_tests(text: str | bytes, file: str, template: Template | None) -> tuple[Test, ...]:
    """Read the tests of a template file, or of a file beside it; raise TemplateError.

    Without the template, names of lists and steps are taken as they are.
    """
    source = Source(text, file)
    root = source.node()
    reader = Reader(source)
    tests: tuple[Test, ...] = ()
    if not _is_template(root):
        tests = read_tests(reader, root, template)
    elif "tests" in root.entries:
        tests = read_tests(reader, root.entries["tests"].value, template)
    errors = sorted(
        (p for p in reader.problems if p.severity == "error"), key=lambda p: (p.line, p.column)
    )
    if errors:
        raise TemplateError(errors)
    return tests


def _is_template(root: Node) -> bool:
    entry = root.entries.get("template")
    return entry is not None and entry.value.kind == "scalar"


def read_tests(reader: Reader, node: Node, template: Template | None) -> tuple[Test, ...]:
    """Read the mapping of tests; problems go to the reader."""
    if node.kind != "map":
        reader.error(node, "tests must be fields: `name: {task: ...}`", "F002")
        return ()
    inner = Reader(reader.source, doubts=reader.doubts)
    inner.problems = reader.problems
    inner.snippets = reader.snippets
    reading = _Reading(inner, template)
    found = [reading.test(e.key, e.value) for e in node.entries.values()]
    reading.check_names()
    return tuple(test for test in found if test is not None)


class _Reading:
    """Reads tests of one template."""

    def __init__(self, reader: Reader, template: Template | None) -> None:
        self.reader = reader
        self.template = template
        self.lists = {e.name for e in template.extract} if template else set()
        self.inputs = {i.name for i in template.inputs} if template else set()
        self.steps = {s.id: s for s in template.steps} if template else {}

    def test(self, key: Node, node: Node) -> Test | None:
        name = " ".join(key.raw.split())
        if not name or len(name) > 200:
            self.reader.error(key, "a test needs a name of at most 200 characters", "F008")
            return None
        known: dict[str, Read] = {
            "task": Reader.plain,
            "context": Reader.plain,
            "note": Reader.plain,
            "inputs": self._inputs,
            "capability": whole(0, 3),
            "expect": self._expect,
            "recorded": self._recorded,
        }
        values = self.reader.fields(node, f'test "{name[:60]}"', known)
        if values is None:
            return None
        if "task" not in node.entries:
            self.reader.error(key, f'test "{name[:60]}" needs "task"', "F003")
        values.pop("note", None)
        return Test(name=name, line=key.line, **values) if "task" in values else None

    def check_names(self) -> None:
        """Check the names in the checks of `answer`."""
        if self.template is not None:
            resolve.check_uses(self.reader, Draft.of(self.template))

    def _known(self, node: Node, name: str, known: Collection[str], what: str) -> bool:
        """Report a name that there is not; without a template every name is known."""
        if self.template is None or name in known:
            return True
        help = self.reader.suggest(name, known)
        self.reader.error(node, f'{what} "{name[:60]}"', "R001", help)
        return False

    def _inputs(self, reader: Reader, node: Node) -> dict[str, JsonValue] | None:
        if node.kind != "map":
            reader.error(node, "inputs must be fields: `name: value`", "F002")
            return None
        known = [*self.inputs, *self.lists]
        for key, entry in node.entries.items():
            self._known(entry.key, key, known, "the template has no input")
        return {key: json_value(entry.value) for key, entry in node.entries.items()}

    # -- what is expected -----------------------------------------------------------------------

    def _expect(self, reader: Reader, node: Node) -> Expect | None:
        own = {**_EXPECT, "ran": listed(self._step_name), "attempts": self._attempts}
        if node.kind == "map" and self.template is None:
            lists = [key for key in node.entries if key not in own]
        else:
            lists = list(self.lists)
        known: dict[str, Read] = {**dict.fromkeys(lists, _list), **own}
        values = reader.fields(node, "expect", known)
        if values is None:
            return None
        found = {key: values.pop(key) for key in lists if key in values}
        return Expect(lists=found, **values)

    def _step_name(self, reader: Reader, node: Node) -> str | None:
        word = reader.word(node)
        if word is None or not self._known(node, word, self.steps, "there is no step"):
            return None
        return word

    def _attempts(self, reader: Reader, node: Node) -> dict[str, Span | dict[str, Span]] | None:
        if node.kind != "map":
            reader.error(node, "attempts must be fields: `step: number of tries`", "F002")
            return None
        found: dict[str, Span | dict[str, Span]] = {}
        for key, (at, value) in node.entries.items():
            if not self._known(at, key, [*self.steps, *self.lists, "answer"], "there is no step"):
                continue
            if value.kind == "map":
                of_items = {k: _span(reader, e.value) for k, e in value.entries.items()}
                found[key] = {k: span for k, span in of_items.items() if span is not None}
            elif (span := _span(reader, value)) is not None:
                found[key] = span
        return found

    # -- what was recorded ----------------------------------------------------------------------

    def _recorded(self, reader: Reader, node: Node) -> dict[str, JsonValue] | None:
        if node.kind != "map":
            reader.error(node, "recorded must be fields: `step: answer`", "F002")
            return None
        known = [*self.lists, *self.steps, *RECORDED]
        for key, (at, value) in node.entries.items():
            if self._known(at, key, known, "nothing can be recorded for"):
                self._check_answers(at, key, value)
        return {key: _answers(reader, entry.value) for key, entry in node.entries.items()}

    def _check_answers(self, at: Node, key: str, value: Node) -> None:
        step = self.steps.get(key)
        if step is None:
            return
        if step.kind not in ("prompt", "use"):
            message = f'step "{key}" asks no model: nothing is recorded for it'
            self.reader.warn(at, message, "W205")
        elif value.kind == "map" and step.kind == "prompt" and not step.for_each:
            message = f'step "{key}" has one answer, not one for each item'
            self.reader.error(at, message, "F013")


def _answers(reader: Reader, node: Node) -> JsonValue:
    """Give recorded answers: texts as they are written, numbers too."""
    if node.kind == "list":
        return [_answers(reader, item) for item in node.items]
    if node.kind == "map":
        return {key: _answers(reader, entry.value) for key, entry in node.entries.items()}
    if node.empty:
        reader.error(node, "a recorded answer is missing here", "F002")
    return node.raw


def _template(reader: Reader, node: Node) -> str | None:
    """Read `comparison` or `not comparison`."""
    word = reader.word(node)
    if word is None or TEMPLATE_NAME.fullmatch(word.removeprefix("not ")):
        return word
    reader.error(node, "this must be a template's name, or `not` and a name", "F008")
    return None


def _span(reader: Reader, node: Node) -> Span | None:
    """Read `10-14`, `10+` or one number."""
    found = _SPAN.fullmatch(node.raw) if node.kind == "scalar" else None
    if found:
        low = float(found[1])
        high = None if found[2] else float(found[3] or low)
        if high is None or low <= high:
            return Span(low=low, high=high)
    reader.error(node, "this must be a range such as 10-14", "F011")
    return None


def _list(reader: Reader, node: Node) -> Any:
    """Read the entries of a list, or how many there must be."""
    if node.kind == "scalar" and _SPAN.fullmatch(node.raw):
        return _span(reader, node)
    return _WORDS(reader, node)


def _answer(reader: Reader, node: Node) -> tuple[Check, ...] | None:
    reader.owner = QUALITY
    found = parts.checks(reader, node)
    reader.owner = ""
    return found


_WORDS: Read = listed(Reader.word)
_EXPECT: dict[str, Read] = {
    "template": _template,
    "status": one_of(_STATUS),
    "calls": _span,
    "quality": _span,
    "answer": _answer,
}
