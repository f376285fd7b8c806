"""Record one history of each kind of job, for the replay test:

    python -m tests.histories.record

Run it once when a release is made, into a folder of its own; histories of earlier releases stay
as they are, because running jobs have them too.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from crp.blobs import BlobStore
from crp.errors import ModelRefused
from crp.models import Job, Library, MetaLearningConfig, ModelProfile, Pressure, Task
from crp.plugin import CRPPlugin
from crp.stages import STORE_QUEUE, WORKFLOW_QUEUE
from crp.templates import find_library
from crp.worker import make_worker, work_workers
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest, ScriptedModel
from crp_activities.registry import StoreActivities
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore
from crp_workflows.reasoning import ReasoningWorkflow
from tests.workflows.jobs import GARDEN, GOOD, LEAVES, TASK, library

HERE = Path(__file__).parent
SYNTHESIZED = GARDEN + "synthesize: Write about {{ roots }} and {{ leaves }} and {{ advice }}\n"
LISTED = """
format: 1
template: listed
match: [garden]
extract:
  plants: {ask: Which plants are meant?, from: none, min: 2, otherwise: [rose, oak]}
steps:
  about: {for_each: plants, prompt: "Describe the plant {{ item }}."}
"""

WHOLE = """
format: 1
template: whole
match: [garden]
inputs:
  plants: {type: list of text, default: [rose, oak]}
steps:
  height:
    for_each: plants
    order: in_sequence
    prompt: "{% if previous %}{{ previous }}{% endif %} HEIGHT of {{ item }}?"
    output: {fields: {answer: text, sure: yes_no}}
    samples: 3
    vote: answer
    scaffold: none
  check_it:
    for_each: plants
    when: height[item].sure == "no"
    prompt: "CHECK {{ item }}."
    scaffold: none
  total: {calculate: "1 + 2 * {{ plants | length }}"}
  soil: {use: {template: soil, task: "Soil for {{ plants }}"}}
  draft:
    prompt: "{{ soil }} {{ total }} DRAFT it."
    scaffold: none
    checks: [{judge: Is it about plants?}]
    repeat:
      until: critique.ok == "yes"
      max: 1
      critique: {prompt: "LOOK at {{ draft }}", output: {fields: {ok: yes_no}}}
synthesize: {render: "{{ draft }} {{ check_it }}"}
"""
SOIL = """
format: 1
template: soil
match: [soil]
steps:
  kind: {prompt: "KIND of soil?", scaffold: none}
"""
WHOLE_SCRIPT = {
    "Is it about plants?": "yes",
    "HEIGHT of rose": '{"answer": "1 m", "sure": "yes"}',
    "HEIGHT of oak": '{"answer": "5 m", "sure": "no"}',
    "CHECK oak": "An oak is 30 m high.",
    "KIND": "Clay holds the water well.",
    "LOOK at": ['{"ok": "no"}', '{"ok": "yes"}'],
    "DRAFT": ["Put a rose there.", "Put a rose and an oak there."],
}


class Kind(NamedTuple):
    """One kind of job: the script of its model, its task and its templates."""

    script: Any
    task: Task = Task(text=TASK, pressure=Pressure.NONE)
    templates: tuple[str, ...] = (GARDEN,)
    box: bool = False
    config: MetaLearningConfig = MetaLearningConfig(scaffold_level="none")
    cancel: bool = False


def _task(**changes: Any) -> Task:
    return Task(text=TASK, pressure=Pressure.NONE).model_copy(update=changes)


def _refuses(request: ModelRequest) -> str:
    raise ModelRefused("no such model")


async def _hangs(request: ModelRequest) -> str:
    await asyncio.sleep(3600)
    return ""


KINDS: dict[str, Kind] = {
    "chain": Kind(GOOD, Task(text=TASK)),
    "probe-is-good-enough": Kind({TASK: "A root and a leaf need water."}),
    "direct": Kind({TASK: "Buy flowers."}, _task(orc="off")),
    "plain": Kind({TASK: "Buy flowers."}, config=MetaLearningConfig(enabled=False)),
    "ladder": Kind({**GOOD, "Describe the ROOTS": "It is long and deep."}),
    "skipped-steps": Kind({**GOOD, "Describe the ROOTS": ""}),
    "synthesized": Kind(
        {"Write about": "The root and the leaf want water.", **GOOD}, templates=(SYNTHESIZED,)
    ),
    "extracted": Kind(
        {"Which plants": "- lily\n- fern", "Describe the plant": "It is a green plant."},
        _task(orc="on"),
        (LISTED,),
    ),
    "outline": Kind(
        {
            "Which steps lead": "1. Look at the soil.\n2. Choose the plants.\n3. Water them.",
            "soil": "The soil is dark and wet.",
        },
        Task(text="Xyzzy plugh quux", pressure=Pressure.NONE, orc="on"),
        box=True,
    ),
    "whole-language": Kind(WHOLE_SCRIPT, _task(orc="on"), (WHOLE, SOIL)),
    "failed": Kind(_refuses),
    "cancelled": Kind({"Describe the LEAVES": LEAVES, **GOOD}, cancel=True),
}


async def record(folder: Path) -> None:
    """Run every kind of job on a real server and keep its history as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    # Everything inline: a recorded history must not need a blob store.
    plugin = CRPPlugin(None)
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary, plugins=[plugin]
    ) as server:
        for name, kind in KINDS.items():
            history = await _history(server.client, name, kind)
            (folder / f"{name}.json").write_text(_without_places(history))
            print(name)


def _without_places(history: str) -> str:
    """Leave out where on this machine the code lay."""
    return re.sub(r'("stackTrace": )"(?:[^"\\]|\\.)*"', r'\1""', history)


async def _history(client: Client, name: str, kind: Kind) -> str:
    script = _hangs if kind.cancel else kind.script
    with tempfile.TemporaryDirectory() as home, TraceStore.in_memory() as store:
        blobs = BlobStore(Path(home) / "blobs")
        model = _Model(script)
        tools = Tools(Models.of({"default": model}), AnswerJournal(Path(home) / "answers"), blobs)
        profile = ModelProfile(alias="default", name="scripted", provider="scripted", capability=1)
        async with contextlib.AsyncExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(4))
            activities = StoreActivities(store, blobs).all
            workers = work_workers(client, tools, {"default": profile}, threads)
            for worker in (*workers, make_worker(client, STORE_QUEUE, threads, activities)):
                await stack.enter_async_context(worker)
            job = Job(
                job_id=name,
                task=kind.task,
                config=kind.config,
                models={"default": profile},
                submitted_at=datetime.now(UTC),
            )
            handle = await client.start_workflow(
                ReasoningWorkflow.run,
                args=[job, _library(kind)],
                id=name,
                task_queue=WORKFLOW_QUEUE,
            )
            if kind.cancel:
                await model.called.wait()
                await handle.cancel()
            with contextlib.suppress(WorkflowFailureError):
                await handle.result()
            return (await handle.fetch_history()).to_json()


def _library(kind: Kind) -> Library:
    return find_library().library if kind.box else library(*kind.templates)


class _Model:
    """A scripted model that may also hang, and tells when it was first called."""

    def __init__(self, script: Any) -> None:
        self._script = script
        self._scripted = None if script is _hangs else ScriptedModel(script)
        self.called = asyncio.Event()

    async def complete(self, request: ModelRequest) -> Any:
        self.called.set()
        if self._scripted is None:
            return await self._script(request)
        return await self._scripted.complete(request)


if __name__ == "__main__":
    asyncio.run(record(HERE / version("durable-crp")))
