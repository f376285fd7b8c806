"""The seam to the models: one request in, one answer out, paid for once.

`Models` knows how each model is reached, how many calls it takes at once and how long calls wait.
`dispatch` is what the activities call: the answer journal first, then the model, with a heartbeat
all the while. Touches the network (through a provider) and the answer journal.

When the activity is cancelled: if the job was cancelled by a person, or the caller in this
process gave up, the call is stopped, since nobody wants its answer. If the worker shuts down or
lost its heartbeat, the call goes on and its answer is journaled: the same question comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from temporalio import activity
from temporalio.client import RPCError, WorkflowExecutionStatus
from temporalio.service import RPCStatusCode

from crp.config import Settings
from crp.errors import ConfigError, EngineError, ModelError, RateLimited, StoreError
from crp.models import Completion, ModelProfile, TransportFailure
from crp.telemetry import calls
from crp_activities.answers import AnswerJournal, AnswerKey
from crp_activities.providers import ModelRequest, OpenAIProvider, Provider
from crp_activities.providers.base import clean, whole_text
from crp_activities.providers.keys import key_for, same_address
from crp_activities.slots import Lane

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2.0
FIRST_HEARTBEAT = 0.2
"""Seconds before the first: each is a write of the server, and what is over by then needs none."""
TEXT_SHOWN = 200
"""Characters of an answer under way that a heartbeat carries."""
ANSWER_SECONDS = timedelta(seconds=5)
"""How long to wait for Temporal's word on whether a job has ended."""

Heartbeat = Callable[[dict[str, Any]], None]


class Dispatched(NamedTuple):
    completion: Completion
    replayed: bool
    """The answer was there already: it was not paid for again."""
    failures: tuple[TransportFailure, ...]
    """Earlier calls with the same request that did not answer."""
    free: bool = False
    """Another job paid for it: a fork gives its answers again."""


class Models:
    """Reach models by their profiles.

    `providers` answer for their alias whatever the profile says (a `default` among them for every
    alias that is not); all others are found by the profile: `embedded` gives the embedded server's
    address and key, an OpenAI-compatible server is asked over HTTP with the key of `settings`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        embedded: Callable[[], tuple[str, str]] | None = None,
        providers: Mapping[str, Provider] | None = None,
    ) -> None:
        self._settings = settings
        self._embedded = embedded
        self._given = dict(providers or {})
        self._made: dict[tuple[str, str, str], Provider] = {}
        self._lanes: dict[tuple[str, str, str], Lane] = {}

    @classmethod
    def of(cls, providers: Mapping[str, Provider]) -> Self:
        """Make a registry of ready providers, by alias."""
        return cls(providers=providers)

    async def complete(self, profile: ModelProfile, request: ModelRequest) -> Completion:
        """Ask the model behind a profile, as soon as it has a slot free.

        Raises ModelError types, and ConfigError or EngineError when there is no such model here.
        """
        provider = self.provider(profile)
        if not profile.structured:
            request = dataclasses.replace(request, schema=None)
        async with self._lane(profile).slot():
            asked = (request.messages, request.max_tokens, request.temperature)
            with calls.call(profile, *asked) as seen:
                seen.answer = clean(await provider.complete(request))
            return seen.answer

    def provider(self, profile: ModelProfile) -> Provider:
        """Find or make what answers for a profile."""
        given = self._given.get(profile.alias) or self._given.get("default")
        if given is not None:
            return given
        place = _place(profile)
        if place not in self._made:
            self._made[place] = self._make(profile)
        return self._made[place]

    def wait(self, alias: str | None = None) -> float:
        """Say how long calls wait for a slot, in seconds: of one alias, or the longest.

        The oldest call that still waits, or the mean of the waits that ended within the last
        minute, whichever is longer.
        """
        lanes = [lane for place, lane in self._lanes.items() if alias in (None, place[0])]
        return max((lane.wait() for lane in lanes), default=0.0)

    async def aclose(self) -> None:
        """Close all connections of this event loop."""
        for provider in (*self._made.values(), *self._given.values()):
            close = getattr(provider, "aclose", None)
            if close is not None:
                await close()

    def _make(self, profile: ModelProfile) -> Provider:
        if profile.provider == "embedded":
            if self._embedded is None:
                raise EngineError(f"no embedded model runs here (model {profile.alias!r} is one)")
            return OpenAIProvider(self._embedded)
        if profile.provider == "openai":
            if not profile.base_url:
                raise ConfigError(f"model {profile.alias!r} has no base_url: set it in its profile")
            return OpenAIProvider(lambda: (profile.base_url, key_for(profile, self._settings)))
        raise ConfigError(
            f"model {profile.alias!r} is {profile.provider}: only the process that holds it can "
            "ask it"
        )

    def _lane(self, profile: ModelProfile) -> Lane:
        place = _place(profile)
        if place not in self._lanes:
            self._lanes[place] = Lane(self._concurrency(profile), self._shared(place))
        return self._lanes[place]

    def _shared(self, place: tuple[str, str, str]) -> Path | None:
        """Where the workers of this home share the slots of a model."""
        if self._settings is None:
            return None
        name = re.sub(r"[^\w.-]", "-", place[0])[:60]
        address = hashlib.sha256("\0".join(place).encode()).hexdigest()[:12]
        return self._settings.home / "slots" / f"{name}-{address}"

    def _concurrency(self, profile: ModelProfile) -> int:
        """The worker's settings know its server better than a job that was frozen long ago."""
        own = self._settings.models.get(profile.alias) if self._settings is not None else None
        if own is not None and same_address(own.base_url, profile.base_url):
            return own.concurrency
        return profile.concurrency


async def dispatch(
    models: Models,
    answers: AnswerJournal,
    profile: ModelProfile,
    request: ModelRequest,
    key: AnswerKey,
    heartbeat: Heartbeat | None = None,
) -> Dispatched:
    """Answer a request from the journal, or ask the model and journal the answer.

    Raises what `Models.complete` raises; a ModelError has been journaled by then and carries all
    failures of this key in `transport`.
    """
    progress = Progress(key)
    asked = dataclasses.replace(
        request, on_progress=progress.tokens_so_far, on_text=progress.text_so_far
    )

    async def ask() -> Completion:
        try:
            return await models.complete(profile, asked)
        except ModelError as error:
            await _note(answers, key, error)
            raise

    try:
        async with beating(heartbeat, progress):
            answered = await answers.once(key, ask, _nobody_wants_it)
    except ModelError as error:
        error.transport = await asyncio.to_thread(answers.failures, key)
        raise
    return Dispatched(*answered)


async def _note(answers: AnswerJournal, key: AnswerKey, error: ModelError) -> None:
    failure = TransportFailure(
        at=datetime.now(UTC),
        kind=type(error).__name__,
        message=str(error),
        retry_after=error.retry_after if isinstance(error, RateLimited) else None,
    )
    try:
        await asyncio.to_thread(answers.add_failure, key, failure)
    except StoreError as full:
        logger.warning("a failed call is not journaled: %s", full)


async def _nobody_wants_it() -> bool:
    """Whether a cancellation means that the answer is of no use any more.

    An attempt that the server does not know (`not_found`) may be one of a job that ended (one that
    is cancelled ends before the next heartbeat), or one whose heartbeat came too late in an
    outage: the second is asked again, so it is not given up.
    """
    if not activity.in_activity():
        return True
    details = activity.cancellation_details()
    if details is None:
        return False
    return details.cancel_requested or (details.not_found and await _job_ended())


async def _job_ended() -> bool:
    """Ask Temporal; False when it does not answer."""
    info = activity.info()
    if info.workflow_id is None:
        return False
    try:
        job = activity.client().get_workflow_handle(info.workflow_id, run_id=info.workflow_run_id)
        found = await job.describe(rpc_timeout=ANSWER_SECONDS)
    except RPCError as error:
        return error.status == RPCStatusCode.NOT_FOUND
    except Exception:
        # Whatever it is: a call too many is better than an answer lost.
        logger.exception("it is not known whether job %s has ended", info.workflow_id)
        return False
    return found.status != WorkflowExecutionStatus.RUNNING


class Progress:
    """How far a call is, and the end of what it has written; `crp.following` reads it."""

    def __init__(self, key: AnswerKey | None = None) -> None:
        self.started = time.monotonic()
        self.tokens = 0
        self.text = ""
        self.about: dict[str, Any] = {}
        if key is not None:
            place = (key.step, key.item) if key.item is not None else (key.step,)
            self.about = {"step": "/".join(place) or key.stage, "attempt": key.attempt}

    def tokens_so_far(self, tokens: int) -> None:
        self.tokens = tokens

    def text_so_far(self, piece: str) -> None:
        self.text = (self.text + piece)[-TEXT_SHOWN:]

    def report(self) -> dict[str, Any]:
        seconds = round(time.monotonic() - self.started, 1)
        text = whole_text(self.text)
        return {**self.about, "seconds": seconds, "tokens": self.tokens, "text": text}


@contextlib.asynccontextmanager
async def beating(
    heartbeat: Heartbeat | None, progress: Progress | None = None
) -> AsyncIterator[None]:
    """Report progress every few seconds: cancellation reaches an activity only this way."""
    if heartbeat is None:
        yield
        return
    task = asyncio.create_task(_beat(heartbeat, progress or Progress()))
    try:
        yield
    finally:
        task.cancel()


async def _beat(heartbeat: Heartbeat, progress: Progress) -> None:
    await asyncio.sleep(min(FIRST_HEARTBEAT, HEARTBEAT_SECONDS))
    while True:
        try:
            heartbeat(progress.report())
        except Exception:
            # It must not cost a paid call; without heartbeats Temporal gives the call to another.
            logger.exception("a heartbeat could not be sent")
            return
        await asyncio.sleep(HEARTBEAT_SECONDS)


def _place(profile: ModelProfile) -> tuple[str, str, str]:
    return profile.alias, profile.provider, profile.base_url
