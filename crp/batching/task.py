"""One task of a batch, and what all tasks of a batch share. Reads the files that tasks name.

A job's id is made of the batch's name, the task's id and a digest of what is asked of which model,
so whoever starts the same task of the same batch again finds the job that is there. A task whose
text, facts, template or model was changed is another job; one whose template was edited is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from crp.config import Settings
from crp.errors import NotFound, UsageError
from crp.language.shapes import suggest
from crp.models import Budget, Library, ModelProfile, Task
from crp.request import FAIRNESS_KEY_BYTES, Request, letters, slug

MOST_CONTEXT = 100_000_000
"""Bytes of facts: no model reads more, and they go through memory several times."""
DIGEST_LETTERS = 10
"""50 bits: the jobs of a batch of a million tasks do not collide."""


@dataclass(frozen=True)
class BatchTask:
    """What one line of a tasks file says."""

    id: str
    text: str
    template: str = ""
    model: str = ""
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    context: str = ""
    context_file: Path | None = None
    context_sha256: str = ""
    """Of the file's bytes when the batch was read."""
    place: str = ""
    """Where it stands: `tasks.jsonl:12`."""

    def task(self) -> Task:
        """Make the task. Raises NotFound, UsageError when its file was changed since."""
        return Task(
            text=self.text,
            context=self._facts(),
            inputs=dict(self.inputs),
            template=self.template or None,
        )

    def _facts(self) -> str:
        if self.context_file is None:
            return self.context
        text, sha256 = read_facts(self.context_file)
        if sha256 != self.context_sha256:
            raise UsageError(f"{self.context_file} was changed while the batch ran: run it again")
        return text


@dataclass(frozen=True)
class Terms:
    """What holds for each job of a batch."""

    budget: Budget = field(default_factory=Budget)
    priority: int | None = None
    fairness_key: str = ""
    """Empty: the batch takes turns with others under its name."""


@dataclass(frozen=True)
class Batch:
    """What all jobs of a batch share."""

    name: str
    settings: Settings
    library: Library
    models: Mapping[str, Mapping[str, ModelProfile]]
    """The models of a job by the alias that its task names; of those that name none by ''."""
    terms: Terms = field(default_factory=Terms)

    @classmethod
    def of(cls, name: str, settings: Settings, library: Library) -> Batch:
        """Make a batch whose tasks may name every model of the settings."""
        profiles = settings.profiles()
        models = {alias: {**profiles, "default": chosen} for alias, chosen in profiles.items()}
        return cls(name, settings, library, {**models, "": profiles})

    def request(self, task: BatchTask) -> Request:
        """Make what is asked for a task. Raises NotFound, UsageError."""
        models = self.models_of(task)
        config = self.settings.config(models["default"])
        return Request(
            task.task(),
            config,
            models,
            self.library,
            discreet=self.settings.encryption.on,
            budget=self.terms.budget,
            priority=self.terms.priority,
            fairness_key=self.terms.fairness_key or _cut(self.name, FAIRNESS_KEY_BYTES),
        )

    def models_of(self, task: BatchTask) -> Mapping[str, ModelProfile]:
        """Give the models of a task's job. Raises NotFound for an alias that is not there."""
        if task.model in self.models:
            return self.models[task.model]
        there = [alias for alias in self.models if alias]
        help = suggest(task.model, there) or f"there are {', '.join(there)}"
        raise NotFound(f"no model {task.model!r} in the settings: {help}")

    def digest(self, task: BatchTask) -> str:
        """The same for the same question to the same model."""
        asked = [task.id, task.text, task.template, dict(task.inputs)]
        asked += [task.context, task.context_sha256]
        model = self.models_of(task)["default"]
        text = json.dumps([*asked, model.alias, model.name], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def job_id(self, task: BatchTask, number: int = 1) -> str:
        """Name the job of a task: the same every time, `number` apart."""
        again = f"-{number}" if number > 1 else ""
        return f"{self.name}-{slug(task.id)}-{letters(self.digest(task), DIGEST_LETTERS)}{again}"


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")


def read_facts(path: Path) -> tuple[str, str]:
    """Read a text file; give its text and the sha256 of its bytes. Raises NotFound, UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_CONTEXT + 1)
    except FileNotFoundError:
        raise NotFound(f"no file {str(path)!r}") from None
    except OSError as error:
        raise UsageError(f"{str(path)!r} can not be read: {error.strerror}") from None
    if len(data) > MOST_CONTEXT:
        raise UsageError(f"{str(path)!r} is larger than {MOST_CONTEXT // 1_000_000} MB")
    try:
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} is not UTF-8 text (byte {error.start})") from None
