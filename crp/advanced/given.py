"""What a caller gives the engine, checked: a mistake names its argument and the way out. Pure."""

from __future__ import annotations

import math

from pydantic import ValidationError

from crp.errors import ConfigError, UsageError
from crp.models import MetaLearningConfig, Pressure, Task


def whole(name: str, value: object, low: int, high: int) -> int:
    """Give a whole number of a range, or raise ConfigError."""
    right = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not right or not isinstance(value, int):
        raise ConfigError(f"{name} is a whole number from {low} to {high}, not {value!r}")
    return value


def quality(name: str, value: object) -> float:
    """Give a number from 0 to 1, or raise ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} is a number from 0 to 1, not {value!r}")
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name} is a number from 0 to 1, not {value!r}")
    return float(value)


def config(value: MetaLearningConfig | None) -> MetaLearningConfig:
    """Give the configuration, the default one for None, or raise ConfigError."""
    if value is None:
        return MetaLearningConfig()
    if not isinstance(value, MetaLearningConfig):
        raise ConfigError(f"config must be a MetaLearningConfig, not {type(value).__name__}")
    return value


def task(value: str | Task, context: str = "") -> Task:
    """Give a task; `context` adds to the facts of one that is made already."""
    if isinstance(value, Task):
        joined = "\n\n".join(part for part in (value.context, context) if part)
        return value.model_copy(update={"context": joined})
    try:
        return Task(text=value, context=context)
    except ValidationError as error:
        raise UsageError(f"this is no task: {error.errors()[0]['msg']}") from None


def chain(value: str | Task, complexity: object, pressure: str | Pressure) -> Task:
    """Give a task that asks for ORC, with the complexity and pressure that the caller knows."""
    return task(value).model_copy(
        update={
            "orc": "on",
            "complexity": whole("task_complexity", complexity, 1, 5),
            "pressure": Pressure.named(pressure),
        }
    )
