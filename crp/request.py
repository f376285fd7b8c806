"""What a job is asked, before it has an id; and how ids are made. Pure but for chance and clock.

An id is the task's first words, four characters of the request and five of chance:
`compare-react-vue-tzkxzznww`. The four make a running job of the same request easy to find.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from crp.models import Job, Library, MetaLearningConfig, ModelProfile, Task

_STOP_WORDS = ("a", "an", "and", "do", "does", "how", "is", "of", "or", "the", "to", "vs", "which")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without characters that look like others."""


@dataclass(frozen=True)
class Request:
    """What a job is made of, before it has an id."""

    task: Task
    config: MetaLearningConfig
    models: Mapping[str, ModelProfile]
    library: Library

    @property
    def digest(self) -> str:
        """The same for the same task with the same options and templates."""
        parts = [self.task.model_dump_json(), self.config.model_dump_json()]
        parts += [f"{k}={m.model_dump_json()}" for k, m in sorted(self.models.items())]
        parts += [t.sha256 for t in self.library.templates]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def prefix(self) -> str:
        """What the ids of all jobs with this request begin with: readable, then four characters."""
        return f"{slug(self.task.text)}-{_letters(self.digest)}"

    def job(self) -> Job:
        """Make a job with an id of its own."""
        made = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        return Job(
            job_id=self.prefix + made,
            task=self.task,
            config=self.config,
            models=dict(self.models),
            submitted_at=datetime.now(UTC),
        )


def slug(text: str, words: int = 3) -> str:
    """Give the first telling words of a task, for ids."""
    found = re.findall(r"[a-z0-9]+", text[:400].lower())
    telling = [word[:14] for word in found if word not in _STOP_WORDS] or ["job"]
    return "-".join(telling[:words])


def _letters(digest: str) -> str:
    number, letters = int(digest[:10], 16), ""
    for _ in range(4):
        number, place = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[place]
    return letters
