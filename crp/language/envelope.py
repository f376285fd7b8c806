"""ICML: the messages of one model call, fitted to the model's context window. Pure.

Order (spec, section 6): facts and task, then the help of the level, then examples; the step's own
instruction with the outputs that it needs closes the envelope. What the steps of a job share
comes first, so that a server that caches prefixes reads it once.

Data can not leave its part, see `crp.language.fencing`.

What does not fit is given up in this order: examples, facts by relevance, the middle of a task
that takes more than half of the room, outputs in proportion. Never the help or the instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue

from crp.errors import TemplateError
from crp.language import asking, examples, facts, fencing, fitting
from crp.language.asking import Question
from crp.language.outputs import json_schema, sentence
from crp.language.scaffolds import defaults, help_text, text_of
from crp.language.schema import Scaffolds
from crp.language.text import render
from crp.language.words import clean, shorten
from crp.models import Call, Level, Message, ReasoningTrace
from crp.stages import Brief

RESERVE = 48
"""Tokens kept free for the marks that a server puts around messages."""
PER_MESSAGE = 6
SMALLEST = 64
"""Tokens; no budget is smaller, however often it is halved."""
MOST_HINTS = 3
STEP = 0.75
"""By how much outputs are cut at once until they fit."""
LEAST_SHARE = 1e-5


SAMPLING = 0.7
"""Temperature of several samples where neither step nor model gives one: at 0 all are the same."""
BETWEEN = "\n\n"
"""What stands between the parts of a message."""

Origin = Literal["system", "facts", "task", "help", "examples", "instruction", "output", "reminder"]


class Part(NamedTuple):
    """A part of a prompt, and where it comes from."""

    origin: Origin
    text: str


@dataclass(frozen=True)
class Envelope:
    """One model call, ready to be sent."""

    messages: tuple[Message, ...]
    parts: tuple[Part, ...]
    """What the messages are made of, in their order: those of `system` are the system message,
    all others the user's, with BETWEEN between them."""
    schema: dict[str, Any] | None
    """JSON schema of the answer, for servers that can hold a model to it."""
    max_tokens: int
    temperature: float
    dropped: tuple[str, ...]
    """What did not fit: `examples`, `facts`, `task`, `outputs`."""
    prompt_tokens: int
    """An estimate, rather too high."""


@dataclass(frozen=True)
class _Parts:
    """The texts of a prompt, in their order."""

    facts: str
    task: str
    help: str
    examples: str
    closing: tuple[Part, ...] = ()

    @property
    def all(self) -> tuple[Part, ...]:
        more = bool(self.facts or self.help or self.examples or self.closing)
        parts = (
            Part("facts", f"Facts:\n{self.facts}" if self.facts else ""),
            Part("task", f"Task: {self.task}" if self.task and more else self.task),
            Part("help", self.help),
            Part("examples", self.examples),
            *self.closing,
        )
        return tuple(part for part in parts if part.text)

    @property
    def text(self) -> str:
        return _text(self.all)

    @property
    def size(self) -> int:
        return facts.tokens(self.text)


def _text(parts: Sequence[Part]) -> str:
    return BETWEEN.join(part.text for part in parts)


def build(brief: Brief, call: Call) -> Envelope:
    """Build the messages of one model call.

    Raises TemplateError when an instruction reads a name that nobody gave.
    """
    asked = asking.question(brief, call)
    profile = brief.job.model(call.model)
    wanted = (asked.step and asked.step.max_tokens) or profile.max_tokens
    max_tokens = min(wanted, profile.context_window // 2)
    system = _system(brief, asked)
    room = (profile.context_window - max_tokens - RESERVE) >> call.shrink
    parts, dropped = _fitted(brief, call, asked, max(SMALLEST, room - facts.tokens(_text(system))))
    messages = [Message(role="system", content=_text(system))] if system else []
    messages.append(Message(role="user", content=parts.text))
    return Envelope(
        messages=tuple(messages),
        parts=(*system, *parts.all),
        schema=json_schema(asked.output, asked.names) if profile.structured else None,
        max_tokens=max_tokens,
        temperature=_temperature(call, asked, profile.temperature),
        dropped=dropped,
        prompt_tokens=sum(facts.tokens(m.content) + PER_MESSAGE for m in messages),
    )


def _system(brief: Brief, asked: Question) -> tuple[Part, ...]:
    own = _filled(asked.step.system, asked.names) if asked.step and asked.step.system else ""
    given = fencing.inert(clean(brief.job.task.system_prompt).strip())
    return tuple(Part("system", text) for text in (given, own) if text)


def _temperature(call: Call, asked: Question, default: float) -> float:
    if call.part == "judge":
        return 0.0
    own = asked.step.temperature if asked.step else None
    if call.temperature is not None:
        return call.temperature
    if own is None and default == 0 and asked.step and asked.step.samples > 1:
        return SAMPLING
    return default if own is None else own


# -- fitting ------------------------------------------------------------------------------------


def _fitted(
    brief: Brief, call: Call, asked: Question, budget: int
) -> tuple[_Parts, tuple[str, ...]]:
    offered = _offered(brief, call, asked)
    shown = examples.fitting(offered, asked.few_shot.max_tokens if asked.few_shot else 0)
    parts = _Parts(
        facts=fencing.data(asked.facts.strip()),
        task=fencing.inert(asked.task.strip()),
        help=_help(brief, call, asked),
        examples=examples.block(shown),
    )
    parts = replace(parts, closing=_closing(call, asked, parts))
    dropped = ["examples"] if len(shown) < len(offered) else []
    if parts.size > budget and shown:
        others = replace(parts, examples="").size
        parts = replace(parts, examples=examples.block(examples.fitting(shown, budget - others)))
        dropped.append("examples")
    if parts.size > budget and parts.facts:
        room = budget - replace(parts, facts="").size - 4
        query = f"{asked.task}\n{_text(parts.closing)}"
        kept, cut = facts.select(facts.passages(parts.facts), query, max(0, room))
        parts = replace(parts, facts=kept)
        dropped += ["facts"] if cut else []
    if parts.size > budget:
        parts, more = _smaller(call, asked, parts, budget)
        dropped += more
    return parts, tuple(dict.fromkeys(dropped))


def _smaller(call: Call, asked: Question, parts: _Parts, budget: int) -> tuple[_Parts, list[str]]:
    dropped: list[str] = []
    task_inside = str(asked.names.get("task", "")) if not asked.task else ""
    most = max(budget // 2, budget - replace(parts, task="").size - 4)
    if facts.tokens(parts.task) > most:
        parts = replace(parts, task=fitting.head_and_tail(parts.task, most))
        dropped.append("task")
    elif facts.tokens(task_inside) > budget // 2:
        short = fitting.head_and_tail(task_inside, budget // 2)
        asked = replace(asked, names={**asked.names, "task": short})
        parts = replace(parts, closing=_closing(call, asked, parts))
        dropped += ["task"] if short in _text(parts.closing) else []
    before, share = parts.closing, budget / parts.size
    while parts.size > budget and asked.shrinks and share > LEAST_SHARE:
        names = fitting.scaled(asked.names, share, asked.shrinks, asked.task)
        parts = replace(parts, closing=_closing(call, replace(asked, names=names), parts))
        share *= STEP
    return parts, [*dropped, *(["outputs"] if parts.closing != before else [])]


# -- the parts ----------------------------------------------------------------------------------


def _offered(brief: Brief, call: Call, asked: Question) -> tuple[ReasoningTrace, ...]:
    """Give the traces that this call may show, the most similar first."""
    config, limits = brief.job.config, asked.few_shot
    if not (config.enabled and config.icml_enabled) or limits is None or limits.traces == 0:
        return ()
    traces = tuple(example.trace for example in brief.examples)
    if brief.job.task.examples is not None:  # chosen by hand: no limit of the template's
        return traces
    own = asked.step.few_shot if asked.step else None
    floor = limits.min_quality or 0.0
    return tuple(t for t in traces if t.quality_score >= floor)[: own.traces if own else None]


def _help(brief: Brief, call: Call, asked: Question) -> str:
    config = brief.job.config
    if call.level == Level.NONE or not (config.enabled and config.icml_enabled):
        return ""
    if call.stage in ("extract", "decompose") or call.part == "judge":
        return ""  # a list and a verdict need no help to be written
    library = defaults(brief.scaffolds)
    names = fencing.names(asked.names)
    return fencing.inert(help_text(call.level, asked.step, brief.template, library, names))


def _closing(call: Call, asked: Question, parts: _Parts) -> tuple[Part, ...]:
    instruction = _filled(asked.instruction, asked.names) if asked.instruction else ""
    if not instruction and (parts.help or parts.examples):
        instruction = "Now do the task."
    closing = (
        Part("examples", asked.lead),
        Part("instruction", instruction),
        Part("output", fencing.inert(sentence(asked.output, asked.names))),
        Part("reminder", fencing.inert(_reminder((asked.feedback, *call.hints)))),
    )
    return tuple(part for part in closing if part.text)


def _filled(text: str, names: Mapping[str, JsonValue]) -> str:
    """Fill in a text of the template; what is filled in can not look like a part of the prompt."""
    return fencing.inert(render(text, fencing.names(names)))


def _reminder(said: Sequence[str]) -> str:
    hints = [shorten(clean(hint), 300) for hint in dict.fromkeys(said) if hint.strip()]
    return f"Important: {' '.join(hints[:MOST_HINTS])}" if hints else ""


# -- for the Python API -------------------------------------------------------------------------


def scaffold_for(task: str, level: Level, library: Scaffolds) -> str:
    """Give the library's help for a task at one level, ready for a prompt; empty for none."""
    text = text_of(library, level)
    try:
        return render(text, {"task": task, "item": task}) if text else ""
    except TemplateError:
        return ""


def with_examples(base: str, scaffold: str, traces: Sequence[ReasoningTrace]) -> str:
    """Put help and worked examples behind a prompt; each is there on its own condition."""
    return "\n\n".join(part for part in (base, scaffold, examples.block(traces)) if part.strip())
