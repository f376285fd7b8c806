"""From the options of `crp run` to a request: the task, its facts, the model, the templates."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import JsonValue, ValidationError

from crp.cli.terminal import say
from crp.config import ModelSettings, Settings
from crp.errors import NotFound, UsageError
from crp.models import Budget, ModelProfile, Task

if TYPE_CHECKING:
    from crp.request import Request

MOST_BYTES = 100_000_000
"""Of a context file: no model reads more, and it goes through memory several times."""

AD_HOC = "adhoc"
"""The same as `crp.worker.AD_HOC`, which is too heavy to import for it."""


class ModelChoice(NamedTuple):
    """Which model a command is to use, as it was typed."""

    name: str = ""
    base_url: str = ""
    capability: int | None = None


def task_of(
    text: str, context_file: str = "", inputs: list[str] | None = None, **options: Any
) -> Task:
    """Make the task. Raises UsageError, NotFound for a context file that is not there."""
    text = sys.stdin.read() if text == "-" else text
    if text_problem := _unusable(text):
        raise UsageError(text_problem)
    try:
        return Task(
            text=text,
            context=read_context(context_file) if context_file else "",
            inputs=inputs_of(inputs or []),
            **options,
        )
    except ValidationError as error:
        raise UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _unusable(text: str) -> str:
    if not text.strip():
        return "the task is empty: say what you want to know"
    if not sayable(text):
        return "the task is not UTF-8 text: give it in a file, with `crp run - < FILE`"
    return ""


def sayable(text: str) -> bool:
    """Whether the bytes of the command line were UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_context(name: str) -> str:
    """Read the facts from a file, or from stdin for `-`.

    What is not UTF-8 is replaced, and that is told.
    """
    stdin = name == "-"
    data = sys.stdin.buffer.read(MOST_BYTES + 1) if stdin else _read(Path(name).expanduser())
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"{name} is larger than {MOST_BYTES // 1_000_000} MB: give the part that matters"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        say(f"note: {name} is not UTF-8 (byte {error.start}): what can not be read became �")
        return data.decode("utf-8-sig", errors="replace")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"no context file {str(path)!r}") from None
    except IsADirectoryError:
        raise UsageError(f"{str(path)!r} is a directory: --context-file takes a file") from None
    except OSError as error:
        raise UsageError(
            f"the context file {str(path)!r} can not be read: {error.strerror}"
        ) from None


def inputs_of(given: list[str]) -> dict[str, JsonValue]:
    """Read `name=value` pairs; a name that comes twice makes a list."""
    found: dict[str, JsonValue] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--input {pair!r}: give NAME=VALUE")
        if not sayable(pair):
            raise UsageError(f"--input {pair!r} is not UTF-8 text")
        before = found.get(name.strip())
        if before is None:
            found[name.strip()] = value
        else:
            found[name.strip()] = [*(before if isinstance(before, list) else [before]), value]
    return found


def budget_of(
    calls: int | None,
    tokens: int | None,
    cost: float | None,
    seconds: float | None,
    of: str = "",
) -> Budget:
    """Make a budget of the options; raises UsageError for one that lets nothing happen."""
    for name, value in (("max-cost", cost), ("max-seconds", seconds)):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"--{of}{name} {value:g}: it is a number above 0")
    return Budget(calls=calls, tokens=tokens, cost=cost, seconds=seconds)


def fair(key: str) -> str:
    """Give a fairness key that Temporal takes. Raises UsageError."""
    from crp.request import FAIRNESS_KEY_BYTES

    if len(key.encode("utf-8", "replace")) > FAIRNESS_KEY_BYTES:
        raise UsageError(f"--fairness-key is longer than {FAIRNESS_KEY_BYTES} bytes")
    return key


def choose_model(
    settings: Settings, choice: ModelChoice
) -> tuple[Settings, dict[str, ModelProfile]]:
    """Give the models of a job, `default` first, and settings whose default needs no fetching.

    Raises NotFound for an alias that is not configured, UsageError for a wrong address.
    """
    profiles = settings.profiles()
    if choice.base_url:
        chosen = _ad_hoc(choice)
    elif choice.name:
        chosen = _configured(profiles, choice.name)
    else:
        chosen = profiles["default"]
    if choice.capability is not None:
        chosen = chosen.model_copy(update={"capability": choice.capability})
    if chosen.provider != "embedded" and chosen.alias != "default":
        settings = _without_embedded_default(settings, chosen)
    return settings, {**profiles, chosen.alias: chosen, "default": chosen}


def _ad_hoc(choice: ModelChoice) -> ModelProfile:
    if not choice.base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {choice.base_url!r}: it begins with http:// or https://")
    return ModelProfile(alias=AD_HOC, name=choice.name, base_url=choice.base_url)


def _configured(profiles: dict[str, ModelProfile], alias: str) -> ModelProfile:
    if alias in profiles:
        return profiles[alias]
    from crp.language.shapes import suggest

    there = suggest(alias, profiles) or f"there are {', '.join(profiles)}"
    raise NotFound(
        f"no model {alias!r} in the settings: {there}; with --base-url it is the name at that "
        "server"
    )


def _without_embedded_default(settings: Settings, chosen: ModelProfile) -> Settings:
    """The engine need not fetch and serve a model that this job does not ask.

    Keys are not copied: they are found by the alias that has them.
    """
    elsewhere = ModelSettings(base_url=chosen.base_url, name=chosen.name)
    return settings.model_copy(update={"models": {**settings.models, "default": elsewhere}})


def request_of(
    settings: Settings, task: Task, models: dict[str, ModelProfile], **more: Any
) -> Request:
    """Freeze everything that the job needs. Raises NotFound for a template that is not there."""
    from crp.request import Request
    from crp.templates import find_library

    shelf = find_library(settings, Path.cwd())
    if task.template is not None:
        shelf.get(task.template)
    for note in shelf.notes:
        say(f"note: {note}: see `crp templates lint`")
    config, discreet = settings.config(models["default"]), settings.encryption.on
    return Request(task, config, models, shelf.library, discreet, **more)
