"""What is decided before a model is asked: template, gate, plan, and what a person says of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crp.models.base import Inputs, Level, Pressure, Wire
from crp.models.tasks import TemplateSource


class Problem(Wire):
    """One mistake or warning in a template, with its place (1-based)."""

    file: str
    line: int
    column: int
    severity: Literal["error", "warning"] = "error"
    message: str
    code: str
    help: str = ""
    source_line: str = ""
    width: int = 1

    def __str__(self) -> str:
        head = (
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.code}]"
        )
        parts = [head]
        if self.source_line:
            gutter = f" {self.line} | "
            parts.append(gutter + self.source_line)
            parts.append(
                " " * (len(gutter) - 2) + "| " + " " * (self.column - 1) + "^" * self.width
            )
        if self.help:
            parts.append(f"     = help: {self.help}")
        return "\n".join(parts)


class Match(Wire):
    """How well one template fits a request, and why."""

    template: str
    score: float
    reasons: tuple[str, ...] = ()


class Reading(Wire):
    """What the machine that would run the steps says of itself."""

    pressure: Pressure
    reason: str
    memory_used: float = 0.0
    """Share of memory in use, 0..1."""
    load: float = 0.0
    """Running processes per core."""
    wait: float = 0.0
    """Seconds that model calls currently wait for a slot."""
    note: str = ""
    """What a person should know about it."""


class GateDecision(Wire):
    """Whether ORC runs, which rule said so, and whether a probe is still needed."""

    orc: bool
    rule: Literal[
        "disabled",
        "forced",
        "pressure",
        "capability_floor",
        "complexity",
        "probe",
        "evidence",
        "open",
    ]
    reason: str
    needs_probe: bool = False


class Rung(Wire):
    """One rung of the ladder: what to do after a failed attempt."""

    action: Literal[
        "retry", "heavier", "scaffold", "model", "temperature", "use", "accept_best", "skip", "stop"
    ]
    value: str | float | None = None


class PlannedStep(Wire):
    """One micro-step of a plan: a template step, or one item of a fan-out of it."""

    id: str
    """`table`, or `profile/Vue` for one item of a fan-out."""
    step: str
    item: str | None = None
    index: int = 0
    """Position in the fan-out, from 0."""
    title: str
    description: str = ""
    kind: Literal["prompt", "render", "calculate", "pick", "use"] = "prompt"
    needs: tuple[str, ...] = ()
    """Ids of the planned steps whose outputs it reads."""
    optional_needs: tuple[str, ...] = ()
    """Needs that it can do without when they failed."""
    late: bool = False
    """Its `when` is decided when its turn comes."""
    level: Level = Level.NONE
    model: str = "default"
    ladder: tuple[Rung, ...] = ()
    max_tokens: int = 512


class Plan(Wire):
    """The steps of a job, fixed from the moment it is made."""

    steps: tuple[PlannedStep, ...] = ()
    made_by: Literal["template", "model", "fallback"] = "template"
    cut: tuple[str, ...] = ()
    """Titles of steps that were cut to stay under the cap."""
    calls_likely: int = 0
    calls_worst: int = 0
    tokens_likely: int = 0
    tokens_worst: int = 0

    def step(self, step_id: str) -> PlannedStep:
        return next(s for s in self.steps if s.id == step_id)


class Approval(Wire):
    """What a person says of a plan: go on, and with which changes."""

    by: str = ""
    drop: tuple[str, ...] = ()
    """Steps to leave out, by their id or by that of their template's step."""
    template: TemplateSource | None = None
    """The template as the person wants it; the plan is made again from it."""
    inputs: Inputs = Field(default_factory=dict)
    """Inputs and lists to use instead of those that were found."""


class Standing(Wire):
    """How a job that is under way stands."""

    paused_by: str = ""
    awaits_approval: Plan | None = None
    under_way: int = 0
    """Effects that run now."""
