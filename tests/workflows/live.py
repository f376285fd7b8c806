"""Jobs on a real server with a worker in this process and a model that is a function."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from crp.advanced.durable import Durable, Handle
from crp.blobs import BlobStore
from crp.models import Completion, Job, Library, ModelProfile, Pressure, Task
from crp.plugin import CRPPlugin
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore
from tests.support.replay import replay_server
from tests.workflows.jobs import library

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent))
QUEUE = "live"


@dataclass
class Counting:
    """Answers with a function of the prompt, and counts what it is asked."""

    answer: Callable[[str], str | Awaitable[str]]
    prompts: list[str] = field(default_factory=list)

    async def complete(self, request: ModelRequest) -> Completion:
        prompt = "\n\n".join(m.content for m in request.messages)
        self.prompts.append(prompt)
        text = self.answer(prompt)
        text = text if isinstance(text, str) else await text
        return Completion(text=text, prompt_tokens=10, completion_tokens=5, model="m")

    @property
    def twice(self) -> list[str]:
        """Prompts that came more than once."""
        return [prompt for prompt, times in Counter(self.prompts).items() if times > 1]


@dataclass
class Live:
    """A server, a store, a model, and the jobs that run there."""

    durable: Durable
    tools: Tools
    store: TraceStore
    model: Counting
    profile: ModelProfile
    server: WorkflowEnvironment

    async def start(self, task: str, template: str, **more: Any) -> Handle:
        return await self.durable.submit(self.job(task, **more), self.library(template))

    def job(self, task: str, **more: Any) -> Job:
        asked = {name: more.pop(name) for name in ("inputs", "context") if name in more}
        return Job(
            **{
                "job_id": "job",
                "task": Task(text=task, pressure=Pressure.NONE, **asked),
                "models": {"default": self.profile},
                "submitted_at": datetime.now(UTC),
                "store_queue": self.durable.store_queue,
                **more,
            }
        )

    @staticmethod
    def library(template: str) -> Library:
        return library(template)


@contextlib.asynccontextmanager
async def live(
    folder: Path, answer: Callable[[str], str | Awaitable[str]], *settings: str, slots: int = 8
) -> AsyncIterator[Live]:
    """Serve jobs until the block is left; every history that it leaves is replayed then."""
    blobs = BlobStore(folder / "blobs")
    options = [word for one in settings for word in ("--dynamic-config-value", one)]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL,
        plugins=[CRPPlugin(blobs)],
        dev_server_extra_args=options,
    ) as server:
        model = Counting(answer)
        profile = ModelProfile(alias="default", name="m", capability=1, concurrency=slots)
        tools = Tools(Models.of({"default": model}), AnswerJournal(folder / "answers"), blobs)
        durable = Durable(server.client, QUEUE)
        with TraceStore.open(folder / "traces") as store:
            async with durable.worker(tools, store, profile):
                yield Live(durable, tools, store, model, profile, server)
        await replay_server(server.client, blobs)
