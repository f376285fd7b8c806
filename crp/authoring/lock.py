"""`NAME.tests.lock`: which prompts the recorded answers of a template's tests were given to.

What is stored: for each test the sha256 of each prompt when it was recorded, which answers had
been cut off by the model's limit, and which text of the template that was. What identifies a
prompt: whose it is and which try (`profile/Vue, try 2`). What must stay true: a prompt that is
not the one of the lock makes its test stale. JSON, sorted, so that changes are easy to read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from crp.authoring.slots import Said
from crp.errors import UsageError
from crp.language.schema import Template
from crp.models import Wire


class LockedTest(Wire):
    """What one test was recorded with."""

    prompts: dict[str, str] = Field(default_factory=dict)
    """sha256 of the prompt by the name of the try."""
    cut: dict[str, str] = Field(default_factory=dict)
    """Why an answer ended, where that was not by itself: `length`."""


class Lock(Wire):
    """What all tests of one template were recorded with."""

    format: int = 1
    template: str
    version: str = ""
    sha256: str = ""
    """`content_sha256` of the template when the lock was written last."""
    tests: dict[str, LockedTest] = Field(default_factory=dict)


def lock_of(said: Iterable[Said]) -> LockedTest:
    """Remember the prompts of a run."""
    said = list(said)
    return LockedTest(
        prompts={s.name: s.prompt_sha256 for s in reversed(said)},  # the first sample's wins
        cut={s.name: s.finish_reason for s in said if s.finish_reason not in ("stop", "")},
    )


def content_sha256(template: Template) -> str:
    """Hash what a template does: comments, tests and its version are left out.

    So are defaults: a field that the language gets later changes no template that does not use it.
    """
    said = template.model_dump_json(exclude={"version"}, exclude_defaults=True)
    return hashlib.sha256(said.encode()).hexdigest()


def path_of(template_file: Path) -> Path:
    """Where the lock of a template lies: beside it."""
    return template_file.with_name(f"{template_file.stem}.tests.lock")


def read(path: Path) -> Lock | None:
    """Read a lock, None when there is none. Raises UsageError for one that is damaged."""
    try:
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise UsageError(
            f"{path} can not be read: `crp templates test --lock` writes it again"
        ) from None


def written(lock: Lock) -> str:
    """Give a lock as the text of its file."""
    return json.dumps(lock.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def changes(then: LockedTest, said: Iterable[Said]) -> Iterator[str]:
    """Say what is not as it was when the answers were recorded, one line each."""
    now = lock_of(said).prompts
    for name, prompt in now.items():
        before: Mapping[str, str] = then.prompts
        if name not in before:
            yield f"{name} was not asked when it was recorded"
        elif before[name] != prompt:
            yield f"the prompt of {name} changed since it was recorded"
    for name in then.prompts:
        if name not in now:
            yield f"{name} is not asked any more"
