"""Everything that can go wrong, by whose move it is.

CRPError                      one clear message, an exit code, never a traceback
├── UsageError           2    the command or the call was wrong
│   └── ConfigError      2    a setting is wrong
├── TemplateError        3    a template has mistakes; carries every one with its position
├── NotFound             4    a job, template, trace or model that does not exist
├── EngineError          5    the embedded engine or Temporal can not be used
│   └── KeyMissing            what was encrypted with a key that is not here: tried again
├── ModelError           6    the language model
│   ├── ModelUnavailable      time-out, connection, 5xx, half an answer: worth another try
│   ├── RateLimited           429: worth another try, after `retry_after` seconds
│   ├── ModelRefused          a 4xx that will never work: wrong key, no such model
│   └── ContextOverflow       the prompt is longer than the model's window
├── StoreError           7    the trace store
│   ├── StoreUnavailable      it is down or the disk is full: worth another try
│   ├── StoreTooNew           written by a newer version of this project
│   └── QueryError            the analyst's SQL was refused or failed
└── JobFailed            1    the job ended without an answer

`NON_RETRYABLE` names the types that Temporal must not try again; everything else it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from crp.models import Problem, TransportFailure


class CRPError(Exception):
    """An error that a person can act on: `str()` of it is the one line to show."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False


class UsageError(CRPError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class TemplateError(CRPError):
    """A template that can not be used. `problems` has every mistake, first one first."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotFound(CRPError):
    exit_code = 4


class EngineError(CRPError):
    exit_code = 5


class KeyMissing(EngineError):
    """A worker that has the key may come: nothing is lost meanwhile."""

    retryable = True


class ModelError(CRPError):
    exit_code = 6
    transport: tuple[TransportFailure, ...] = ()
    """The calls with the same prompt that did not answer, this one last; set by `dispatch`."""


class ModelUnavailable(ModelError):
    retryable = True


class OutOfTime(ModelError):
    """No answer came, and the job's time is up: it is not tried again."""


class RateLimited(ModelError):
    """The server asked for a pause. `retry_after` is in seconds, None when it did not say."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ModelRefused(ModelError):
    pass


class ContextOverflow(ModelError):
    pass


class StoreError(CRPError):
    exit_code = 7


class StoreUnavailable(StoreError):
    retryable = True


class StoreTooNew(StoreError):
    pass


class QueryError(StoreError):
    pass


class JobFailed(CRPError):
    exit_code = 1


def _all_types(root: type[CRPError]) -> list[type[CRPError]]:
    return [root, *(t for child in root.__subclasses__() for t in _all_types(child))]


NON_RETRYABLE: tuple[str, ...] = tuple(
    sorted(
        {t.__name__ for t in _all_types(CRPError) if not t.retryable}
        # Raised by the SDK when a result is larger than the server takes: trying again would
        # pay for the same model call for ever.
        | {"PayloadsTooLarge", "PayloadSizeError"}
    )
)
"""Error type names for every RetryPolicy of the project."""
