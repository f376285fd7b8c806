"""The answer journal: what a model has answered is never paid for again.

Temporal runs an activity at least once, finished ones too (a lost completion, a heartbeat that
came too late, a killed worker). So an answer is on disk before its activity returns, and looked
up before a model is asked.

What is stored: a directory a job, in it one file an answer and one file with the failures before
it. What identifies an answer: job, stage, step, item, attempt and the hash of the request. What
must stay true: an answer that `put` has returned survives a crash of the machine; a torn or
damaged file counts as not there; two askers of one key in this process share one call. Touches
nothing outside its directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from crp.blobs import write_durably
from crp.errors import StoreUnavailable
from crp.models import Completion, TransportFailure

logger = logging.getLogger(__name__)


class AnswerKey(NamedTuple):
    """What one paid call is known by."""

    job_id: str
    stage: str
    step: str
    item: str | None
    attempt: int
    prompt_sha: str

    @property
    def digest(self) -> str:
        """The key as a file name: where in the chain it was asked, then what exactly."""
        place = json.dumps(self[1:5]).encode()
        whole = json.dumps(self).encode()
        return f"{hashlib.sha256(place).hexdigest()[:16]}-{hashlib.sha256(whole).hexdigest()[:48]}"


class Answered(NamedTuple):
    completion: Completion
    replayed: bool
    """It was on disk, or somebody else's call brought it."""
    failures: tuple[TransportFailure, ...] = ()
    """Earlier calls of this key that did not answer."""


@dataclass
class _Flight:
    """A call that is under way, and how many wait for it."""

    task: asyncio.Task[Answered]
    waiting: int = 0


class AnswerJournal:
    """Keep answers in a directory, which is made when it does not exist."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unavailable(self.directory, error) from None
        self._flights: dict[str, _Flight] = {}
        self._unsaved: dict[str, Completion] = {}
        """Paid for, but the disk was full: kept for a second asker, and saved then."""

    @staticmethod
    def key(
        job_id: str, stage: str, step: str, item: str | None, attempt: int, prompt_sha: str
    ) -> AnswerKey:
        """Name one paid call; `prompt_sha` is `ModelRequest.sha256`."""
        return AnswerKey(job_id, stage, step, item, attempt, prompt_sha)

    def get(self, key: AnswerKey) -> Completion | None:
        """Give the answer if there is one and its file is whole."""
        if key.digest in self._unsaved:
            return self._unsaved[key.digest]
        return self._read(self._answer(key), key)

    def _read(self, file: Path, key: AnswerKey) -> Completion | None:
        try:
            head, _, body = file.read_bytes().partition(b"\n")
            if head.decode() != hashlib.sha256(body).hexdigest():
                raise ValueError("damaged")
            return Completion.model_validate_json(body)
        except FileNotFoundError:
            return None
        except (ValueError, ValidationError):
            # Without the item: its name is a model's text.
            logger.warning("an answer of %s is damaged, as if not there: %s", key.job_id, file.name)
            return None
        except OSError as error:
            raise _unavailable(self.directory, error) from None

    def earlier(self, job_id: str, key: AnswerKey) -> Completion | None:
        """Give what another job got at the same place, whatever it asked there; None: nothing.

        For forks. The answer to the very same request comes first, then the newest.
        """
        same = key._replace(job_id=job_id)
        if (found := self.get(same)) is not None:
            return found
        place, _, _ = same.digest.partition("-")
        for file in sorted(
            self._job(job_id).glob(f"{place}-*.json"), key=lambda f: f.stat().st_mtime, reverse=True
        ):
            if (found := self._read(file, same)) is not None:
                return found
        return None

    def put(self, key: AnswerKey, completion: Completion) -> None:
        """Keep an answer; it is on disk when this returns. Raises StoreUnavailable."""
        body = completion.model_dump_json().encode()
        try:
            write_durably(
                self._answer(key), hashlib.sha256(body).hexdigest().encode() + b"\n" + body
            )
        except OSError as error:
            self._unsaved[key.digest] = completion
            raise _unavailable(self.directory, error) from None
        self._unsaved.pop(key.digest, None)

    def failures(self, key: AnswerKey) -> tuple[TransportFailure, ...]:
        """Give the calls of this key that did not answer, the oldest first."""
        try:
            lines = self._failures(key).read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unavailable(self.directory, error) from None
        found = []
        for line in lines:
            with contextlib.suppress(ValidationError):  # the last line may be torn
                found.append(TransportFailure.model_validate_json(line))
        return tuple(found)

    def add_failure(self, key: AnswerKey, failure: TransportFailure) -> None:
        """Note a call that did not answer; it is on disk when this returns."""
        path = self._failures(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                # The line end goes first: a line torn by a crash does not swallow the next one.
                file.write(b"\n" + failure.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unavailable(self.directory, error) from None

    async def once(
        self,
        key: AnswerKey,
        call: Callable[[], Awaitable[Completion]],
        give_up: Callable[[], Awaitable[bool]] | None = None,
    ) -> Answered:
        """Give the journal's answer, or the one that is under way, or call and keep the answer.

        When the asker is cancelled, `give_up` decides: True (or none given) stops the call unless
        others wait for it; False lets it finish and store its answer for whoever asks next.
        """
        flight = self._flights.get(key.digest)
        joined = flight is not None and flight.task.get_loop() is asyncio.get_running_loop()
        if flight is None or not joined:
            flight = self._start(key, call)
        flight.waiting += 1
        try:
            answered = await asyncio.shield(flight.task)
            return answered._replace(replayed=answered.replayed or joined)
        except asyncio.CancelledError:
            unwanted = give_up is None or await give_up()
            if flight.waiting == 1 and unwanted:
                flight.task.cancel()
                await asyncio.wait([flight.task])
            raise
        finally:
            flight.waiting -= 1

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds for calls that nobody waits for any more, then stop them.

        For the end of a worker: an answer that comes in this time is kept.
        """
        loop = asyncio.get_running_loop()
        tasks = [f.task for f in self._flights.values() if f.task.get_loop() is loop]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def forget(self, job_id: str) -> None:
        """Delete everything about a job; does nothing when there is nothing."""
        shutil.rmtree(self._job(job_id), ignore_errors=True)

    def prune(self, days: float) -> int:
        """Delete jobs without a new answer for so many days; return how many.

        Keep them at least as long as Temporal keeps histories.
        """
        limit = time.time() - days * 86400
        old = [d for d in self.directory.glob("*/*") if d.is_dir() and d.stat().st_mtime < limit]
        for directory in old:
            shutil.rmtree(directory, ignore_errors=True)
        return len(old)

    def _start(self, key: AnswerKey, call: Callable[[], Awaitable[Completion]]) -> _Flight:
        flight = _Flight(asyncio.create_task(self._fly(key, call)))
        self._flights[key.digest] = flight

        def landed(task: asyncio.Task[Answered]) -> None:
            if self._flights.get(key.digest) is flight:
                del self._flights[key.digest]
            if not task.cancelled():
                task.exception()  # when nobody waits any more, nobody else looks at it

        flight.task.add_done_callback(landed)
        return flight

    async def _fly(self, key: AnswerKey, call: Callable[[], Awaitable[Completion]]) -> Answered:
        # In one go: each way to a thread and back costs more than what is read there.
        stored, failures = await asyncio.to_thread(lambda: (self.get(key), self.failures(key)))
        if stored is not None:
            if key.digest in self._unsaved:
                await self._keep(key, stored)
            return Answered(stored, True, failures)
        completion = await call()
        await self._keep(key, completion)
        return Answered(completion, False, failures)

    async def _keep(self, key: AnswerKey, completion: Completion) -> None:
        # A full disk is no reason to lose an answer that is here: it is only less safe.
        try:
            await asyncio.to_thread(self.put, key, completion)
        except StoreUnavailable as error:
            logger.warning("an answer is not journaled: %s", error)

    def _job(self, job_id: str) -> Path:
        name = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self.directory / name[:2] / name

    def _answer(self, key: AnswerKey) -> Path:
        return self._job(key.job_id) / f"{key.digest}.json"

    def _failures(self, key: AnswerKey) -> Path:
        return self._job(key.job_id) / f"{key.digest}.failures"


def _unavailable(directory: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"the answer journal {directory} can not be used: {error.strerror or error}"
    )
