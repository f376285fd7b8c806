"""What a job is asked, before it has an id; and how ids are made. Pure but for chance and clock.

An id is the task's first words, four characters of the request and five of chance:
`compare-react-vue-tzkxzznww`. The four make a running job of the same request easy to find.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crp.models import Budget, Job, Library, MetaLearningConfig, ModelProfile, Origin, Task

_STOP_WORDS = ("a", "an", "and", "do", "does", "how", "is", "of", "or", "the", "to", "vs", "which")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without characters that look like others."""


FAIRNESS_KEY_BYTES = 64
"""The most that Temporal takes."""


@dataclass(frozen=True)
class Request:
    """What a job is made of, before it has an id."""

    task: Task
    config: MetaLearningConfig
    models: Mapping[str, ModelProfile]
    library: Library
    discreet: bool = False
    """Keep the task's words out of the id: ids are never encrypted."""
    budget: Budget = field(default_factory=Budget)
    approve: bool = False
    """Whether a person has to approve the plan before anything of it runs."""
    origin: Origin | None = None
    """Of a fork: whose answers are given again."""
    priority: int | None = None
    """1 to 5; lower runs sooner. Not part of the digest, as it changes no answer."""
    fairness_key: str = ""
    """Jobs of one key take turns with those of another. Not part of the digest."""

    @property
    def digest(self) -> str:
        """The same for the same task with the same options and templates."""
        parts = [self.task.model_dump_json(), self.config.model_dump_json()]
        parts += [f"{k}={m.model_dump_json()}" for k, m in sorted(self.models.items())]
        parts += [t.sha256 for t in self.library.templates]
        parts += [self.budget.model_dump_json(), f"approve={self.approve}"]
        parts += [self.origin.model_dump_json()] if self.origin else []
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def first_line(self) -> str:
        """How people are told what is asked: the beginning of the task."""
        return self.task.text.strip().splitlines()[0][:200]

    @property
    def prefix(self) -> str:
        """What the ids of all jobs with this request begin with: readable, then four characters."""
        return f"{'job' if self.discreet else slug(self.task.text)}-{letters(self.digest[:10])}"

    def job(self, job_id: str = "") -> Job:
        """Make a job with this id, or with one of its own."""
        return Job(
            job_id=job_id or self.prefix + chance(),
            task=self.task,
            config=self.config,
            models=dict(self.models),
            submitted_at=datetime.now(UTC),
            budget=self.budget,
            approve=self.approve,
            origin=self.origin,
        )


def chance(count: int = 5) -> str:
    """Give a few letters that tell jobs apart."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def slug(text: str, words: int = 3) -> str:
    """Give the first telling words of a task, for ids."""
    found = re.findall(r"[a-z0-9]+", text[:400].lower())
    telling = [word[:14] for word in found if word not in _STOP_WORDS] or ["job"]
    return "-".join(telling[:words])


def letters(digest: str, count: int = 4) -> str:
    """Shorten a digest in hex to a few letters for an id; each is worth five bits of it."""
    number, made = int(digest, 16), ""
    for _ in range(count):
        number, place = divmod(number, len(_ALPHABET))
        made += _ALPHABET[place]
    return made
