"""Runs what is asynchronous in a command: quiet core, Ctrl-C and SIGTERM understood."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from crp.cli.guard import INTERRUPTED
from crp.telemetry import tracing

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    core_logs_to(None)
    # A receiver of spans that is away is no news for who waits for an answer.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    finally:
        tracing.leave()


def interruptible(work: Callable[[], Coroutine[Any, Any, T]], say_goodbye: Callable[[], None]) -> T:
    """Run a coroutine; Ctrl-C and SIGTERM stop it, say goodbye and exit with 130."""
    return run(_until_signal(work, say_goodbye))


def core_logs_to(logger: logging.Logger | None, metrics: PrometheusConfig | None = None) -> Runtime:
    """Send the warnings of temporalio's core to a logger, or nowhere; count, if somebody wants it.

    By itself it writes them to stdout, in colour, between the words of an answer. Raises ValueError
    when the metrics can not be served.
    """
    logs = None
    if logger is not None:
        level = TelemetryFilter(core_level="WARN", other_level="ERROR")
        logs = LoggingConfig(filter=level, forwarding=LogForwardingConfig(logger=logger))
    telemetry = TelemetryConfig(logging=logs, metrics=metrics, attach_service_name=False)
    runtime = Runtime(telemetry=telemetry)
    Runtime.set_default(runtime, error_if_already_set=False)
    return runtime


async def _until_signal(
    work: Callable[[], Coroutine[Any, Any, T]], say_goodbye: Callable[[], None]
) -> T:
    task = asyncio.ensure_future(work())
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        say_goodbye()
        raise typer.Exit(INTERRUPTED) from None
