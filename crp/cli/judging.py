"""Asks a model whether answers are good: one yes or no question each, on the model's own queue."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import ActivityFailureError, RPCError
from temporalio.common import RetryPolicy

from crp.cli.job_story import find
from crp.cli.stages import told
from crp.cli.terminal import say
from crp.client import Engine, connect
from crp.config import Settings
from crp.errors import NON_RETRYABLE, ModelError, NotFound, UsageError
from crp.failures import from_failure
from crp.language.schema import Step, Template
from crp.models import Attempt, Call, JobRecord, ModelProfile
from crp.records import Records
from crp.stages import Brief, model_queue
from crp_analytics.scoring import Scored

LEAST_CAPABILITY = 1
"""A judge below this is at chance, as measured for the judges of templates."""

QUESTION = "question"
"""The name by which the judge's prompt reads the question, so that braces in it are only text."""


async def judged(
    settings: Settings, jobs: Sequence[str], question: str, alias: str
) -> list[Scored]:
    """Ask about each job, and keep what the model says as its score."""
    if not question.strip():
        raise UsageError("the question is empty")
    profile = judge_of(settings, alias)
    with told() as tell:
        engine = await connect(settings, tell)
    store = Records(settings, engine)
    scores = []
    for given in jobs:
        job_id = await find(store, given)
        record = await store.record(job_id)
        if record is None or not record.result.answer:
            raise NotFound(f"the job {job_id} has no answer that could be judged")
        said = await _asked(engine, record, profile, question)
        if said is None:
            say(f"{job_id}: {profile.name} said neither yes nor no: no score")
            continue
        args = [job_id, said, f"judge:{profile.name}", question]
        scores.append(await store.at_desk("score", args, Scored))
    if not scores:
        raise ModelError("no job was judged")
    return scores


def judge_of(settings: Settings, alias: str) -> ModelProfile:
    """Give the model that judges. UsageError when it is not configured or not capable of it."""
    profiles = settings.profiles()
    if alias and alias not in profiles:
        raise UsageError(f"no model {alias!r} is configured: {', '.join(sorted(profiles))}")
    profile = profiles[alias or ("judge" if "judge" in profiles else "default")]
    if profile.capability < LEAST_CAPABILITY:
        raise UsageError(
            f"the model {profile.name!r} ({profile.alias}) has capability {profile.capability},"
            f" a judge needs {LEAST_CAPABILITY}: configure models.judge, or name one by --model"
        )
    return profile


async def _asked(
    engine: Engine, record: JobRecord, profile: ModelProfile, question: str
) -> float | None:
    """Give 1 for yes, 0 for no, None for anything else."""
    call = Call(
        stage="execute",
        part="judge",
        model=profile.alias,
        question=f"{{{{ {QUESTION} }}}}",
        draft=record.result.answer,
    )
    try:
        attempt = await engine.client.execute_activity(
            "execute",
            args=[_brief(record, profile, question), call],
            id=f"judge-{record.job.job_id}-{uuid.uuid4().hex[:12]}",
            task_queue=model_queue(profile.alias),
            result_type=Attempt,
            schedule_to_close_timeout=timedelta(seconds=3 * profile.timeout),
            start_to_close_timeout=timedelta(seconds=profile.timeout + 60),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(
                maximum_attempts=3, non_retryable_error_types=list(NON_RETRYABLE)
            ),
        )
    except (ActivityFailureError, RPCError) as error:
        raise from_failure(error) from None
    if attempt.status != "ok":
        return None
    return 1.0 if attempt.value in (True, "yes") else 0.0


def _brief(record: JobRecord, profile: ModelProfile, question: str) -> Brief:
    job = record.job.model_copy(update={"models": {**record.job.models, profile.alias: profile}})
    return Brief(
        job=job,
        template=Template(template="judge", steps=(Step(id="answer", text="{{ task }}"),)),
        complexity=1,
        names={QUESTION: question},
    )
