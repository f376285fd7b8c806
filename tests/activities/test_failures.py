"""Failures: what an activity raises is what a client gets, and a bug does not repeat for ever."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import RPCError, WorkflowFailureError
from temporalio.converter import DataConverter
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    RetryState,
    TerminatedError,
    TimeoutError,
    TimeoutType,
)
from temporalio.service import RPCStatusCode
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from crp import errors
from crp.errors import (
    NON_RETRYABLE,
    CRPError,
    EngineError,
    JobFailed,
    ModelUnavailable,
    NotFound,
    RateLimited,
    StoreUnavailable,
    TemplateError,
)
from crp.failures import from_failure, to_failure
from crp.models import Problem, TransportFailure
from crp_activities.failures import FailureInterceptor

PROBLEM = Problem(file="a.yaml", line=3, column=1, message="no steps", code="steps")
TYPES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, CRPError)
]


def made(cls: type[CRPError]) -> CRPError:
    return cls([PROBLEM]) if issubclass(cls, TemplateError) else cls("one clear line")


def under_activity(cause: BaseException, name: str = "execute") -> WorkflowFailureError:
    """What a client gets when an activity of a workflow has failed."""
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="worker",
        activity_type=name,
        activity_id="1",
        retry_state=RetryState.NON_RETRYABLE_FAILURE,
    )
    error.__cause__ = cause
    return WorkflowFailureError(cause=error)


async def over_the_wire(error: BaseException) -> BaseException:
    """Send a failure through Temporal's own encoding and back."""
    from temporalio.api.failure.v1 import Failure

    failure = Failure()
    await DataConverter.default.encode_failure(error, failure)
    return await DataConverter.default.decode_failure(failure)


async def run(fn: Any) -> Any:
    """Run an activity under the interceptor, as a worker does."""

    class Innermost(ActivityInboundInterceptor):
        def __init__(self) -> None:
            pass

        async def execute_activity(self, input: ExecuteActivityInput) -> Any:
            return await input.fn()

    inbound = FailureInterceptor().intercept_activity(Innermost())
    input = ExecuteActivityInput(fn=fn, args=[], executor=None, headers={})
    return await ActivityEnvironment().run(inbound.execute_activity, input)


@pytest.mark.parametrize("cls", TYPES, ids=lambda cls: cls.__name__)
async def test_every_error_of_ours_comes_back_as_it_went(cls: type[CRPError]) -> None:
    error = made(cls)
    failure = to_failure(error)
    assert failure.non_retryable is not error.retryable
    assert failure.non_retryable is (cls.__name__ in NON_RETRYABLE)
    back = from_failure(under_activity(await over_the_wire(failure)))
    assert type(back) is cls
    assert str(back) == str(error)


async def test_details_survive_the_journey() -> None:
    limited = RateLimited("slow down", 1.5)
    limited.transport = (
        TransportFailure(at=datetime.now(UTC), kind="RateLimited", message="m", retry_after=1.5),
    )
    failure = to_failure(limited)
    assert failure.next_retry_delay == timedelta(seconds=1.5)
    back = from_failure(await over_the_wire(failure))
    assert isinstance(back, RateLimited)
    assert (back.retry_after, back.transport) == (1.5, limited.transport)

    template = from_failure(await over_the_wire(to_failure(TemplateError([PROBLEM, PROBLEM]))))
    assert isinstance(template, TemplateError)
    assert template.problems == (PROBLEM, PROBLEM)


async def test_an_error_raised_in_an_activity_becomes_a_typed_failure() -> None:
    async def refuses() -> None:
        raise ModelUnavailable("http://x broke off")

    with pytest.raises(ApplicationError) as caught:
        await run(refuses)
    assert caught.value.type == "ModelUnavailable"
    assert caught.value.message == "http://x broke off"
    assert caught.value.__cause__ is None


async def test_a_bug_fails_the_job_and_leaves_its_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def buggy() -> None:
        raise KeyError("oops")

    with caplog.at_level(logging.ERROR), pytest.raises(ApplicationError) as caught:
        await run(buggy)
    assert caught.value.non_retryable
    assert caught.value.type == "InternalError"
    assert "KeyError: 'oops'" in caplog.text
    assert "in buggy" in caplog.text
    back = from_failure(await over_the_wire(caught.value))
    assert type(back) is JobFailed
    assert "see the worker's log: KeyError" in str(back)


async def test_what_is_temporals_own_passes_unchanged() -> None:
    own = ApplicationError("mine", type="Mine")

    async def raises_own() -> None:
        raise own

    async def is_cancelled() -> None:
        raise asyncio.CancelledError

    async def answers() -> str:
        return activity.info().activity_type

    with pytest.raises(ApplicationError) as caught:
        await run(raises_own)
    assert caught.value is own
    with pytest.raises(asyncio.CancelledError):
        await run(is_cancelled)
    assert await run(answers) == "unknown"


def timeout(kind: TimeoutType) -> TimeoutError:
    return TimeoutError("activity StartToClose timeout", type=kind, last_heartbeat_details=[])


@pytest.mark.parametrize(
    ("error", "cls", "words"),
    [
        (under_activity(timeout(TimeoutType.HEARTBEAT)), ModelUnavailable, "execute took too long"),
        (
            under_activity(timeout(TimeoutType.START_TO_CLOSE), "record"),
            StoreUnavailable,
            "record took too long",
        ),
        (
            under_activity(timeout(TimeoutType.START_TO_CLOSE), "score"),
            EngineError,
            "score took too long",
        ),
        (
            under_activity(timeout(TimeoutType.SCHEDULE_TO_START)),
            EngineError,
            "no worker took execute in time",
        ),
        (WorkflowFailureError(cause=CancelledError()), JobFailed, "the job was cancelled"),
        (WorkflowFailureError(cause=TerminatedError("by me")), JobFailed, "terminated: by me"),
        (RPCError("no such job", RPCStatusCode.NOT_FOUND, b""), NotFound, "no such job"),
        (RPCError("down", RPCStatusCode.UNAVAILABLE, b""), EngineError, "can not be used: down"),
        (ApplicationError("x", type="Strange"), JobFailed, "Strange: x"),
        (ApplicationError("x"), JobFailed, "an error: x"),
        (ApplicationError("x", type="TemplateError"), JobFailed, "x"),
        (ApplicationError("x", "odd", type="RateLimited"), RateLimited, "x"),
        (ValueError("x"), JobFailed, "ValueError: x"),
    ],
)
def test_every_end_has_one_clear_line(
    error: BaseException, cls: type[CRPError], words: str
) -> None:
    back = from_failure(error)
    assert type(back) is cls
    assert words in str(back)


def test_a_long_message_is_cut() -> None:
    assert len(to_failure(ModelUnavailable("x" * 100_000)).message) == 4000
