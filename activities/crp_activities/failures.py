"""What an activity's errors become: the one interceptor. Touches the log only.

A CRPError becomes the ApplicationError of `crp.failures`. An exception that is not ours is a bug:
it is logged with its traceback and fails the job as `InternalError`, because trying a bug again
tries it for ever.
"""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import RPCError
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from crp.errors import CRPError
from crp.failures import LONGEST_MESSAGE, to_failure


class FailureInterceptor(Interceptor):
    """Give to `Worker(interceptors=[...])`: activities may then raise CRPErrors."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except CRPError as error:
            # The message is made for people; the chain behind it only fills the history.
            raise to_failure(error) from None
        except (FailureError, RPCError):
            raise
        except Exception as error:
            if activity.is_worker_shutdown():
                raise  # what breaks while everything is taken down is worth another try
            activity.logger.exception("a bug in activity %s", activity.info().activity_type)
            raise ApplicationError(
                f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE],
                type="InternalError",
                non_retryable=True,
            ) from error
