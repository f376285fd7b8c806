"""Dispatch functions for tests of the Python API, and an engine to try them with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crp.advanced.meta_learning import MetaLearningConfig, MetaLearningEngine
from crp.models import Library, ModelProfile, Pressure, Task
from tests.workflows.jobs import GOOD, TASK, library

CALM = Task(text=TASK, pressure=Pressure.NONE)
"""Does not depend on how busy the machine is."""
CHAIN = CALM.model_copy(update={"orc": "on"})


class Recorder:
    """A dispatch function that answers by what stands in the prompt, and remembers its calls."""

    def __init__(self, answers: dict[str, str] | None = None) -> None:
        self.answers = answers or GOOD
        self.calls: list[tuple[str, str]] = []

    def __call__(self, prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        self.calls.append((prompt, context))
        return next(text for key, text in self.answers.items() if key in prompt), {}

    @property
    def prompts(self) -> list[str]:
        return [prompt for prompt, _ in self.calls]


def engine(
    dispatch_fn: Callable[..., Any] | None = None,
    *,
    capability: int = 1,
    templates: Library | None = None,
    more: dict[str, Any] | None = None,
    **config: Any,
) -> MetaLearningEngine:
    """An engine with the garden template, that does not wait between tries."""
    return MetaLearningEngine(
        dispatch_fn,
        capability,
        MetaLearningConfig(**{"icml_hold_out": 0.0, **config}),
        library=templates or library(),
        **{"pauses": (), "profile": ModelProfile(timeout=10), **(more or {})},
    )
