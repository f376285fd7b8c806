"""How errors travel through Temporal: CRPError to ApplicationError and back. Pure.

Activities raise CRPErrors and know nothing of Temporal. `to_failure` makes ApplicationErrors whose
type is the class name, so that retry policies can name them, and `from_failure` turns whatever a
workflow or a client gets back into the CRPError it was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio.client import RPCError, WorkflowFailureError
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    FailureError,
    TerminatedError,
    TimeoutError,
    TimeoutType,
)
from temporalio.service import RPCStatusCode

from crp.errors import (
    CRPError,
    EngineError,
    JobFailed,
    ModelError,
    ModelUnavailable,
    NotFound,
    RateLimited,
    StoreUnavailable,
    TemplateError,
)
from crp.models import Kept, Problem, TransportFailure
from crp.stages import STAGES

LONGEST_MESSAGE = 4000
"""Characters: failures are kept in the history and sent with every replay."""

_PROBLEMS = TypeAdapter(tuple[Problem, ...])
_TRANSPORT = TypeAdapter(tuple[TransportFailure, ...])


def to_failure(error: CRPError) -> ApplicationError:
    """Make the error that Temporal carries."""
    pause = error.retry_after if isinstance(error, RateLimited) else None
    details = _details(error)
    return ApplicationError(
        str(error)[:LONGEST_MESSAGE],
        *([details] if details else []),
        type=type(error).__name__,
        non_retryable=not error.retryable,
        next_retry_delay=timedelta(seconds=pause) if pause else None,
    )


def from_failure(exc: BaseException) -> CRPError:
    """Find the CRPError behind what a client or a workflow got from Temporal; never raises."""
    failed_activity = ""
    for error in _chain(exc):
        if isinstance(error, CRPError):
            return error
        if isinstance(error, ActivityError):
            failed_activity = error.activity_type
        if isinstance(error, ApplicationError):
            return _from_application_error(error)
        if isinstance(error, TimeoutError):
            return _from_timeout(error, failed_activity)
        if isinstance(error, CancelledError | asyncio.CancelledError):
            return JobFailed("the job was cancelled")
        if isinstance(error, TerminatedError):
            return JobFailed(f"the job was terminated: {_message(error)}")
        if isinstance(error, RPCError):
            if error.status == RPCStatusCode.NOT_FOUND:
                return NotFound(error.message)
            return EngineError(f"Temporal can not be used: {error.message}")
    return JobFailed(f"an error in the engine: {type(exc).__name__}: {exc}")


def packed(error: CRPError) -> Kept:
    """Give an error as data, for a job's next history."""
    details = json.dumps(_details(error))
    return Kept(error=type(error).__name__, message=str(error), value=details)


def unpacked(kept: Kept) -> CRPError:
    """Make the error that `packed` was given."""
    known = {cls.__name__: cls for cls in _classes(CRPError)}
    details = json.loads(kept.value)
    return _rebuilt(known.get(kept.error, JobFailed), kept.message, details)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    error: BaseException | None = exc
    while error is not None:
        yield error
        named = isinstance(error, FailureError | WorkflowFailureError)
        error = error.cause if named else error.__cause__  # type: ignore[attr-defined]


def _details(error: CRPError) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if isinstance(error, RateLimited) and error.retry_after is not None:
        details["retry_after"] = error.retry_after
    if isinstance(error, ModelError) and error.transport:
        details["transport"] = _TRANSPORT.dump_python(error.transport, mode="json")
    if isinstance(error, TemplateError):
        details["problems"] = _PROBLEMS.dump_python(error.problems, mode="json")
    return details


def _from_application_error(failure: ApplicationError) -> CRPError:
    known = {cls.__name__: cls for cls in _classes(CRPError)}
    cls = known.get(failure.type or "")
    message = _message(failure)
    if cls is None:
        bug = (
            "an error in the engine, see the worker's log"
            if failure.type == "InternalError"
            else (failure.type or "an error")
        )
        return JobFailed(f"{bug}: {message}")
    details = next((d for d in failure.details if isinstance(d, Mapping)), {})
    return _rebuilt(cls, message, details)


def _rebuilt(cls: type[CRPError], message: str, details: Mapping[str, Any]) -> CRPError:
    try:
        if issubclass(cls, TemplateError):
            return cls(_PROBLEMS.validate_python(details["problems"]))
        error = cls(message, details.get("retry_after")) if cls is RateLimited else cls(message)
        if isinstance(error, ModelError):
            error.transport = _TRANSPORT.validate_python(details.get("transport", ()))
        return error
    except (ValidationError, KeyError):  # written by another version
        return JobFailed(message) if issubclass(cls, TemplateError) else cls(message)


def _from_timeout(error: TimeoutError, failed_activity: str) -> CRPError:
    if error.type == TimeoutType.SCHEDULE_TO_START:
        return EngineError(f"no worker took {failed_activity or 'the job'} in time")
    stage = STAGES.get(failed_activity)
    message = f"{failed_activity or 'the job'} took too long: {_message(error)}"
    if stage is not None and stage.place == "model":
        return ModelUnavailable(message)
    if stage is not None and stage.place == "store":
        return StoreUnavailable(message)
    return EngineError(message)


def _message(error: FailureError) -> str:
    return error.message or type(error).__name__


def _classes(root: type[CRPError]) -> Iterator[type[CRPError]]:
    yield root
    for child in root.__subclasses__():
        yield from _classes(child)
