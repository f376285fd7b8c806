"""One model call of a job: envelope, dispatch, parser, checks. The only way to a model.

Touches the model (through `dispatch`, journal first) and the blob store. How an answer is judged
is in `crp.language.judging`; what a bad one leads to is the ladder's decision, not made here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from temporalio import activity

from crp.errors import ContextOverflow, ModelError, OutOfTime
from crp.language import checks, envelope
from crp.language.judging import Judged, judge
from crp.models import Attempt, Call, Completion, Message, ModelProfile, Usage, Verdict
from crp.stages import Brief
from crp.telemetry import calls, place
from crp_activities.answers import AnswerKey
from crp_activities.dispatch import Dispatched, beating, dispatch
from crp_activities.providers import ModelRequest
from crp_activities.tools import Tools

__all__ = ["Judged", "ask", "judge", "known", "shown", "step_id"]


async def ask(tools: Tools, brief: Brief, call: Call) -> Attempt:
    """Ask the model one question and judge the answer.

    Raises ModelError types when no answer comes; a bad answer is an Attempt like a good one.
    """
    # Without the item: its name is a model's answer, and does not belong in logs and spans.
    job_id, step = brief.job.job_id, call.step
    with place.at(job_id=job_id, stage=call.stage, step=step, attempt=call.number):
        attempt = await _asked(tools, brief, call)
    if attempt.status != "unknown":
        calls.attempted(brief.job.model(call.model), attempt)
    return attempt


async def _asked(tools: Tools, brief: Brief, call: Call) -> Attempt:
    started = datetime.now(UTC)
    profile = brief.job.model(call.model)
    heartbeat = activity.heartbeat if activity.in_activity() else None
    keep = partial(tools.blobs.put_text, owner=brief.job.job_id)
    async with beating(heartbeat):  # a context of megabytes takes seconds to choose from
        # For people who look at the job later: not worth a wait for the disk before each call.
        put = partial(keep, durable=False)
        sealed, prompt, prompt_sha = await asyncio.to_thread(_prompt, brief, call, put)
    request = _request(sealed, profile, brief)
    about: dict[str, Any] = {
        **known(call),
        "level": call.level,
        "model": call.model,
        "prompt_sha256": prompt_sha,
        "dropped": sealed.dropped,
        "queued": _queued(),
        "started_at": started,
    }
    key = tools.answers.key(
        brief.job.job_id, call.stage, _place(call), call.item, call.number, request.sha256
    )
    answered = await _of_origin(tools, call, key)
    if answered is None and call.free:
        return Attempt(**about, status="unknown", finished_at=datetime.now(UTC))
    try:
        answered = answered or await dispatch(
            tools.models, tools.answers, profile, request, key, heartbeat
        )
    except ContextOverflow as error:
        return _overflow(about, error)
    except ModelError as error:
        if _time_is_up(call):
            late = OutOfTime(str(error))
            late.transport = error.transport
            raise late from None
        raise
    async with beating(heartbeat):
        return await asyncio.to_thread(
            lambda: _attempt(
                keep, about, profile, answered, judge(brief, call, answered.completion, prompt)
            )
        )


def _prompt(
    brief: Brief, call: Call, keep: Callable[[str], str]
) -> tuple[envelope.Envelope, str, str]:
    """Build what the model is sent; give it also as people read it, and where that is kept."""
    sealed = envelope.build(brief, call)
    prompt = shown(sealed.messages)
    return sealed, prompt, keep(prompt)


async def _of_origin(tools: Tools, call: Call, key: AnswerKey) -> Dispatched | None:
    """In a fork: what the first job was answered, kept as this job's own for a fork of it."""
    if not call.origin:
        return None
    found = await asyncio.to_thread(tools.answers.earlier, call.origin, key)
    if found is None:
        return None
    await asyncio.to_thread(tools.answers.put, key, found)
    return Dispatched(found, replayed=True, failures=(), free=True)


def step_id(call: Call) -> str:
    """The planned step's id: `profile/Vue` in a fan-out, `outer>inner/Vue` inside of a `use`."""
    return f"{call.within}>{call.step_id}" if call.within else call.step_id


def known(call: Call) -> dict[str, Any]:
    """What an attempt says of the call that it is for."""
    return {
        "stage": call.stage,
        "step": step_id(call),
        "part": call.part,
        "number": call.number,
        "round": call.round,
        "sample": call.sample,
    }


def _place(call: Call) -> str:
    """What tells a paid call from others of its step; a plain call is known by the step alone."""
    within = f"{call.within}>" if call.within else ""
    part = f"!{call.part}" if call.part else ""
    turn = f"@{call.round}#{call.sample}" if call.round or call.sample else ""
    return f"{within}{call.step}{part}{turn}"


def shown(messages: Sequence[Message]) -> str:
    """A prompt as people read it."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"[{m.role}]\n{m.content}" for m in messages)


def _request(sealed: envelope.Envelope, profile: ModelProfile, brief: Brief) -> ModelRequest:
    # To keep facts is to repeat them: a penalty on repetition makes a small model change them.
    penalty = None if brief.job.task.context else profile.repeat_penalty
    return ModelRequest(
        messages=sealed.messages,
        model=profile.name,
        max_tokens=sealed.max_tokens,
        temperature=sealed.temperature,
        schema=sealed.schema,
        timeout=profile.timeout,
        repeat_penalty=penalty,
    )


def _overflow(about: dict[str, Any], error: ContextOverflow) -> Attempt:
    verdict = Verdict(check="fits the context window", score=0.0, passed=False, detail=str(error))
    return Attempt(
        **about,
        status="overflow",
        verdicts=(verdict,),
        transport=error.transport,
        error=str(error),
        usage=Usage(calls=1),
        finished_at=datetime.now(UTC),
    )


def _attempt(
    keep: Callable[[str], str],
    about: dict[str, Any],
    profile: ModelProfile,
    answered: Dispatched,
    judged: Judged,
) -> Attempt:
    completion = answered.completion
    raw = ""
    if completion.text != judged.output:
        raw = keep(completion.text)
    return Attempt(
        **about,
        status="ok" if judged.good else "content",
        output=judged.output,
        value=judged.value,
        verdicts=judged.verdicts,
        quality=checks.mean(judged.verdicts) if judged.verdicts else 1.0,
        finish_reason=judged.finish_reason or completion.finish_reason,
        response_model=completion.model,
        usage=Usage() if answered.free else _usage(completion, profile),
        raw_sha256=raw,
        transport=answered.failures,
        replayed=answered.replayed,
        time_to_first_token=completion.time_to_first_token,
        finished_at=datetime.now(UTC),
        stop=judged.stop,
    )


def _usage(completion: Completion, profile: ModelProfile) -> Usage:
    cost = (
        completion.prompt_tokens * profile.input_price
        + completion.completion_tokens * profile.output_price
    ) / 1_000_000
    return Usage(
        calls=1,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        cached_tokens=completion.cached_tokens,
        cost=cost,
        seconds=completion.seconds,
    )


def _time_is_up(call: Call) -> bool:
    if call.seconds is None or not activity.in_activity():
        return False
    passed = datetime.now(UTC) - activity.info().scheduled_time
    return passed.total_seconds() >= call.seconds


def _queued() -> float:
    """Seconds between scheduling and start, where Temporal knows them."""
    if not activity.in_activity():
        return 0.0
    info = activity.info()
    waited = (info.started_time - info.current_attempt_scheduled_time).total_seconds()
    return max(0.0, waited)
