"""The children of an engine, as data: what each is started with, and when it is ready.

Also which model this machine has to serve, and its file. Nothing here starts a process, but
fetching a model does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from crp.config import EMBEDDED_MODEL, ModelSettings, Settings
from crp.errors import EngineError
from crp.local import model_files, model_server, temporal_server
from crp.local.children import Child
from crp.local.state import EngineState

SERVERS = ("temporal", "model")
"""What the other children need to end their work: they are ended last."""


def temporal(
    settings: Settings, state: EngineState, binary: Path, probe: temporal_server.Probe
) -> Child:
    """The Temporal server; ready when it answers and knows the namespace."""
    return Child(
        name="temporal",
        argv=temporal_server.command(binary, settings, state.port, state.ui_port),
        env=temporal_server.environment(),
        ready=probe.healthy,
        explain=lambda log: temporal_server.explain(log, settings),
    )


def model(settings: Settings, state: EngineState, file: Path) -> Child:
    """The model server; ready when the model is loaded."""
    port, served = state.model_port, served_model(settings) or ModelSettings()
    return Child(
        name="model",
        argv=model_server.command(
            file,
            state.model_name,
            port,
            served.context_window,
            served.concurrency,
            settings.embedded.model_threads,
        ),
        env={"CRP_MODEL_KEY": state.model_key},
        ready=lambda: model_server.healthy(port),
        ready_within=150.0,
        stop_within=2.0,
        explain=lambda log: model_server.explain(log, file, port),
    )


def workers(settings: Settings, state: EngineState) -> list[Child]:
    """The worker and the store's owner; each is ready when it polls its queue."""
    # Late, because clients import this module and have no use for the template language.
    from crp.stages import STORE_QUEUE, WORKFLOW_QUEUE

    probe = temporal_server.Probe(state.address, state.namespace)
    command = (sys.executable, "-m", "crp", "worker", "--home", str(settings.home), "--role")

    def polls(queue: str) -> Callable[[], Awaitable[bool]]:
        return lambda: probe.polled(queue)

    environment = worker_environment(settings, state)
    return [
        Child("worker", (*command, "work"), environment, ready=polls(WORKFLOW_QUEUE)),
        Child("store", (*command, "store"), environment, ready=polls(STORE_QUEUE)),
    ]


def known_models(settings: Settings) -> dict[str, ModelSettings]:
    """The models of the settings by alias; `default` is always there."""
    return {"default": settings.model("default"), **settings.models}


def served_model(settings: Settings) -> ModelSettings | None:
    """The model that this machine has to serve; None when all models are elsewhere."""
    models = known_models(settings).values()
    return next((model for model in models if model.provider == "embedded"), None)


async def fetch_model(settings: Settings, model: ModelSettings, say: Callable[[str], None]) -> Path:
    """Give the path of a model's file; fetch it first when it is not there."""

    cancelled = threading.Event()

    def progress(done: int, total: int) -> None:
        if cancelled.is_set():  # a thread can not be ended from outside
            raise EngineError("the fetching of the model was cancelled")
        percent = 100 * done // total
        bar = "#" * (percent // 5)
        mb = f"{done // 1_000_000} of {total // 1_000_000} MB"
        loop.call_soon_threadsafe(say, f"fetching the model [{bar:<20}] {percent}%, {mb}")

    loop = asyncio.get_running_loop()
    name = model.name or EMBEDDED_MODEL
    if model_files.installed(settings, name):
        return model_files.model_path(settings, name)
    try:
        return await asyncio.to_thread(model_files.pull, settings, progress, name)
    finally:
        cancelled.set()


def worker_environment(settings: Settings, state: EngineState) -> dict[str, str]:
    """What a worker of this engine finds in its environment: where Temporal and the model are."""
    running = state.running()
    temporal = settings.temporal.model_copy(update={"address": running.address})
    return {
        "CRP_TEMPORAL": json.dumps(temporal.model_dump(mode="json")),
        "CRP_MODEL_URL": running.model_url,
        "CRP_MODEL_KEY": running.model_key,
    }
