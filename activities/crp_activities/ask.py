"""One model call of a job: envelope, dispatch, parser, checks. The only way to a model.

Touches the model (through `dispatch`, journal first) and the blob store. What the stages differ in
is how the answer is judged; what a bad answer leads to is the ladder's decision, not made here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import JsonValue
from temporalio import activity

from crp.errors import ContextOverflow
from crp.language import asking, checks, envelope, outputs
from crp.language.lists import guard
from crp.language.loops import without_loop
from crp.language.plan import parse_outline
from crp.language.scaffolds import take_off
from crp.language.schema import DEFAULT_CHECKS, Check, Step
from crp.language.scope import Scope
from crp.models import Attempt, Call, Completion, Message, ModelProfile, Usage, Verdict
from crp.stages import Brief
from crp_activities.dispatch import Dispatched, beating, dispatch
from crp_activities.providers import ModelRequest
from crp_activities.tools import Tools


class Judged(NamedTuple):
    """What an answer is worth."""

    output: str
    value: JsonValue
    verdicts: tuple[Verdict, ...]
    stop: bool = False
    finish_reason: str = ""
    """Empty: what the server said."""


async def ask(tools: Tools, brief: Brief, call: Call) -> Attempt:
    """Ask the model one question and judge the answer.

    Raises ModelError types when no answer comes; a bad answer is an Attempt like a good one.
    """
    started = datetime.now(UTC)
    profile = brief.job.model(call.model)
    heartbeat = activity.heartbeat if activity.in_activity() else None
    async with beating(heartbeat):  # a context of megabytes takes seconds to choose from
        sealed = await asyncio.to_thread(envelope.build, brief, call)
        prompt = shown(sealed.messages)
        prompt_sha = await asyncio.to_thread(tools.blobs.put_text, prompt)
    request = _request(sealed, profile, brief)
    known: dict[str, Any] = {
        "stage": call.stage,
        "step": step_id(call),
        "number": call.number,
        "level": call.level,
        "model": call.model,
        "prompt_sha256": prompt_sha,
        "dropped": sealed.dropped,
        "queued": _queued(),
        "started_at": started,
    }
    key = tools.answers.key(
        brief.job.job_id, call.stage, call.step, call.item, call.number, request.sha256
    )
    try:
        answered = await dispatch(tools.models, tools.answers, profile, request, key, heartbeat)
    except ContextOverflow as error:
        return _overflow(known, error)
    async with beating(heartbeat):
        judged = await asyncio.to_thread(judge, brief, call, answered.completion, prompt)
        return await _attempt(tools, known, profile, answered, judged)


def judge(brief: Brief, call: Call, completion: Completion, prompt: str = "") -> Judged:
    """Parse and check an answer the way its stage asks for."""
    text = outputs.clean(completion.text)
    if call.stage == "extract":
        return _judge_list(brief, call, text)
    if call.stage == "decompose":
        return _judge_outline(text)
    question = asking.question(brief, call)
    text = take_off(call.level, text)
    finish_reason = completion.finish_reason
    if (once := without_loop(text)) != text:
        text, finish_reason = once, "loop"  # it was complete before it began to repeat itself
    parsed = outputs.parse(question.output, text, question.names)
    scope = Scope(
        task=brief.job.task.text,
        facts=question.facts,
        names=question.names,
        outputs=call.outputs,
        prompt=prompt,
        finish_reason=finish_reason,
    )
    wanted = _wanted(question.step)
    verdicts = (
        *(_misformed(question.output.label, problem) for problem in parsed.problems),
        *checks.run(wanted, parsed.text, parsed.value, scope),
    )
    stopping = {check.label for check in wanted if check.otherwise == "stop"}
    stop = any(v.check in stopping and not v.passed for v in verdicts)
    forgiven = {check.label for check in wanted if check.otherwise == "warn"}
    verdicts = tuple(
        v.model_copy(update={"passed": True}) if v.check in forgiven else v for v in verdicts
    )
    return Judged(parsed.text, parsed.value, verdicts, stop, finish_reason)


def step_id(call: Call) -> str:
    """The planned step's id: `profile/Vue` in a fan-out."""
    return call.step if call.item is None else f"{call.step}/{call.item}"


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


def _wanted(step: Step | None) -> tuple[Check, ...]:
    own = step.checks if step else ()
    named = {check.kind for check in own}
    return (*(check for check in DEFAULT_CHECKS if check.kind not in named), *own)


def _judge_list(brief: Brief, call: Call, text: str) -> Judged:
    wanted = next(e for e in brief.template.extract if e.name == call.step)
    question = asking.question(brief, call)
    parsed = outputs.parse(question.output, text, question.names)
    found = [str(v) for v in parsed.value] if isinstance(parsed.value, list) else []
    entries, problem = guard(wanted, found, brief.job.task, brief.names)
    verdict = Verdict(
        check=f"{wanted.name} {wanted.min}-{wanted.max}",
        score=0.0 if problem else 1.0,
        passed=not problem,
        detail=problem,
        hint=f"Write {wanted.min} to {wanted.max} entries, one in each line." if problem else "",
    )
    return Judged(text, list(entries), (verdict,))


def _judge_outline(text: str) -> Judged:
    steps = parse_outline(text)
    enough = len(steps) >= asking.FEWEST_STEPS
    verdict = Verdict(
        check=f"at least {asking.FEWEST_STEPS} steps",
        score=1.0 if enough else 0.0,
        passed=enough,
        detail=f"{len(steps)} steps",
    )
    return Judged(text, list(steps), (verdict,))


def _misformed(label: str, problem: str) -> Verdict:
    return Verdict(check=f"output: {label}", score=0.0, passed=False, detail=problem, hint=problem)


def _overflow(known: dict[str, Any], error: ContextOverflow) -> Attempt:
    verdict = Verdict(check="fits the context window", score=0.0, passed=False, detail=str(error))
    return Attempt(
        **known,
        status="overflow",
        verdicts=(verdict,),
        transport=error.transport,
        error=str(error),
        usage=Usage(calls=1),
        finished_at=datetime.now(UTC),
    )


async def _attempt(
    tools: Tools,
    known: dict[str, Any],
    profile: ModelProfile,
    answered: Dispatched,
    judged: Judged,
) -> Attempt:
    completion = answered.completion
    raw = ""
    if completion.text != judged.output:
        raw = await asyncio.to_thread(tools.blobs.put_text, completion.text)
    good = all(v.passed for v in judged.verdicts)
    return Attempt(
        **known,
        status="ok" if good else "content",
        output=judged.output,
        value=judged.value,
        verdicts=judged.verdicts,
        quality=checks.mean(judged.verdicts) if judged.verdicts else 1.0,
        finish_reason=judged.finish_reason or completion.finish_reason,
        response_model=completion.model,
        usage=_usage(completion, profile),
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


def _queued() -> float:
    """Seconds between scheduling and start, where Temporal knows them."""
    if not activity.in_activity():
        return 0.0
    info = activity.info()
    waited = (info.started_time - info.current_attempt_scheduled_time).total_seconds()
    return max(0.0, waited)
