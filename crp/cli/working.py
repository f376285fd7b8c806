"""A worker process: connects when Temporal is there, works until a signal, drains, ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator

from temporalio.client import Client, RPCError
from temporalio.service import RetryConfig

from crp import local
from crp.cli.loop import core_logs_to
from crp.cli.terminal import one_line
from crp.client import connect_to
from crp.config import Settings
from crp.errors import ConfigError, EngineError
from crp.local.leash import follow_parent
from crp.telemetry import metrics
from crp.telemetry.logs import log_to_stderr
from crp.worker import Role, running

logger = logging.getLogger("crp.worker")

PATIENT = RetryConfig(max_elapsed_time_millis=None, max_retries=1_000_000)
"""An outage of Temporal never ends a worker."""
AGAIN_AFTER = 1.0


async def work(settings: Settings, role: Role) -> None:
    """Run the workers of a role until SIGTERM or SIGINT, then drain them."""
    log_to_stderr(settings.telemetry.log_format)
    _start_runtime(settings, role)
    if "CRP_MODEL_URL" in os.environ:  # the embedded engine started us: we end with it
        follow_parent()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
    client = await _connected(settings, stopping)
    if client is None:
        return
    try:
        await _until(stopping, settings, client, role)
    except (RuntimeError, RPCError) as error:  # such as a namespace that is not there
        raise EngineError(f"the worker can not go on: {one_line(str(error))}") from error
    logger.info("ended")


async def _until(stopping: asyncio.Event, settings: Settings, client: Client, role: Role) -> None:
    async with running(settings, client, role), _watching(settings, role):
        logger.info(
            "works for Temporal at %s, role %s", client.service_client.config.target_host, role
        )
        await stopping.wait()
        logger.info("draining")


@contextlib.asynccontextmanager
async def _watching(settings: Settings, role: Role) -> AsyncIterator[None]:
    """Log what is edited in the templates while the block runs; the store has nothing to do with
    them. A watch that fails says so and costs no job."""
    from crp.authoring.watching import log_edits

    stopping = asyncio.Event()
    task = None if role == "store" else asyncio.create_task(log_edits(settings, stopping))
    try:
        yield
    finally:
        stopping.set()
        if task is not None:
            (failure,) = await asyncio.gather(task, return_exceptions=True)
            if failure is not None:
                logger.warning("the templates were not watched: %s", failure)


async def _connected(settings: Settings, stopping: asyncio.Event) -> Client | None:
    """Connect as soon as Temporal answers; None when we are stopped before."""
    address = settings.temporal.address or _embedded_engine(settings)
    told = False
    while not stopping.is_set():
        try:
            return await connect_to(settings, address, PATIENT)
        except EngineError as error:
            if not told:
                logger.warning("%s; waiting for it", error)
                told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), AGAIN_AFTER)
    return None


def _embedded_engine(settings: Settings) -> str:
    """Join the embedded engine that runs already; its model is ours then too."""
    engine = local.status(settings)
    if engine is None:
        raise ConfigError(
            "no Temporal to work for: set CRP_TEMPORAL__ADDRESS, or start an engine with `crp up`, "
            "which has workers of its own"
        )
    os.environ.setdefault("CRP_MODEL_URL", engine.model_url)
    os.environ.setdefault("CRP_MODEL_KEY", engine.model_key)
    return engine.address


def _start_runtime(settings: Settings, role: Role) -> None:
    """Make this process's connection to Temporal: where it logs, and what it counts for whom."""
    address = settings.telemetry.metrics_address(role)
    logs = logging.getLogger("temporalio.core")
    try:
        runtime = core_logs_to(logs, metrics.config(address) if address else None)
    except ValueError as error:
        raise EngineError(
            f"metrics can not be served at {address} (telemetry.prometheus): {error}"
        ) from None
    if address:
        metrics.start(runtime)
        logger.info("metrics at http://%s/metrics", address)
