"""The model that is measured, and the engine's stages around it, in this process.

Touches a model's server: that of the running embedded engine (started when there is none), or one
that was named. Answers are journaled in the cache directory, so that a run that was interrupted
does not pay for them again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from crp.advanced.in_process import InProcessStages
from crp.blobs import BlobStore
from crp.config import CUT_POINTS, EMBEDDED, EMBEDDED_REASONING, Settings
from crp.errors import ConfigError, ModelError
from crp.models import Completion, JobRecord, MetaLearningConfig, ModelProfile, Recorded
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest, OpenAIProvider, Provider
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore


class Choice(NamedTuple):
    """Which model to measure, as it was typed. No address: the embedded one."""

    base_url: str = ""
    name: str = ""
    api_key_env: str = ""
    capability: int = 0


@dataclass
class Watched:
    """Passes requests on, and remembers the last one that got no answer: a job that fails for
    want of a server is not a measurement."""

    inner: Provider
    failure: ModelError | None = field(default=None, init=False)

    async def complete(self, request: ModelRequest) -> Completion:
        self.failure = None
        try:
            return await self.inner.complete(request)
        except ModelError as error:
            self.failure = error
            raise


class Bench(InProcessStages):
    """The stages of a job without a store: nothing is learned from one item to the next."""

    async def record(self, record: JobRecord) -> Recorded:
        return Recorded(job_id=record.job.job_id)


@dataclass(frozen=True)
class Model:
    """A model, ready to be asked."""

    profile: ModelProfile
    config: MetaLearningConfig
    provider: Watched
    stages: Bench


async def open_model(choice: Choice, settings: Settings) -> Model:
    """Find the model's server. Raises EngineError, ConfigError."""
    provider = Watched(_provider(choice) if choice.base_url else await _embedded(settings))
    journal = settings.cache / "bench"
    tools = Tools(
        Models.of({"default": provider}),
        AnswerJournal(journal / "answers"),
        BlobStore(journal / "blobs"),
    )
    profile = profile_of(choice)
    stages = Bench(tools, TraceStore.in_memory())
    return Model(profile, config_of(profile), provider, stages)


def config_of(profile: ModelProfile) -> MetaLearningConfig:
    """How the engine decides for this model: as `crp run` does for the embedded one."""
    return MetaLearningConfig(**EMBEDDED_REASONING if profile.capability == 0 else {})


def profile_of(choice: Choice) -> ModelProfile:
    """What the engine knows of the model; one of capability 0 is asked as the embedded one is."""
    profile = EMBEDDED.profile("default", CUT_POINTS)
    # Room for a whole answer in one go: the direct arm must not lose to a limit.
    given = {"name": choice.name or profile.name, "capability": choice.capability}
    given |= {"max_tokens": 512}
    larger = {"context_window": 8192, "repeat_penalty": None}
    return profile.model_copy(update={**given, **(larger if choice.capability else {})})


def _provider(choice: Choice) -> Provider:
    if not choice.name:
        raise ConfigError("with --base-url name the model: --model NAME")
    key = os.environ.get(choice.api_key_env, "") if choice.api_key_env else ""
    if choice.api_key_env and not key:
        raise ConfigError(f"the variable {choice.api_key_env!r} is not set")
    return OpenAIProvider.at(choice.base_url, key)


async def _embedded(settings: Settings) -> Provider:
    from crp.local import engine

    running = await engine.ensure(settings)
    return OpenAIProvider.at(running.model_url, running.model_key)
