"""What a job does with a template that loads, and with hostile answers to its prompts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random

from pydantic import JsonValue

from crp.language import bycode, checks, envelope, judging, lists, match, plan
from crp.language.asking import step_of
from crp.language.schema import Step, Template
from crp.language.scope import Scope
from crp.models import (
    Call,
    Candidate,
    Completion,
    Job,
    Level,
    ModelProfile,
    PlannedStep,
    Task,
)
from crp.stages import Brief, PlanRequest
from tests.support.fuzz.hostile import said
from tests.support.fuzz.limits import must, timed, told

MOST_STEPS = 5
"""Planned steps of one template that are asked and answered."""
TASK = "Compare A, B and C on price. Which one of x or y is better for 3 people?"
CONTEXT = (
    "# A\n- price: 900 euros\n- weight: 3 kg\n\n# B\n- price: 1,200\n\nC costs 10% more. [1] é"
)


def use(template: Template, rng: Random) -> None:
    """Let a template that loads do everything that a job does with it, with hostile answers."""
    same = Template.model_validate_json(template.model_dump_json())
    must(same == template, "a template goes through JSON")
    with timed("rank"):
        match.rank(TASK, [template])
    brief = _brief(template, rng)
    for wanted in template.extract:
        _list(brief, wanted.name, rng)
    made = _planned(brief, rng)
    given: dict[str, JsonValue] = {}
    steps = rng.sample(made, min(MOST_STEPS, len(made)))
    for planned in sorted(steps, key=made.index):
        value = _step(brief, planned, given, rng)
        if planned.item is None:
            given[planned.step] = value
        else:
            held = given.setdefault(planned.step, {})
            if isinstance(held, dict):
                held[planned.item] = value
    _answer(brief, given, rng)


def _brief(template: Template, rng: Random) -> Brief:
    task = Task(text=TASK, context=rng.choice((CONTEXT, "", said(rng))))
    profile = ModelProfile(capability=rng.randrange(4), context_window=rng.choice((256, 4096)))
    job = Job(job_id="j", task=task, models={"default": profile}, submitted_at=datetime.now(UTC))
    names: dict[str, JsonValue] = {}
    for wanted in template.inputs:
        names[wanted.name] = wanted.default if rng.random() < 0.8 else said(rng)[:500]
    for listed in template.extract:
        with timed("find_list"):
            found = lists.find_list(listed, task, names)
            found = found or lists.without_asking(listed, task) or ("A", "B", "see [1]")
            names[listed.name] = list(lists.guard(listed, found, task, names)[0])
    names["sheet"] = {k: dict(v) for k, v in lists.sheet(task.context).items()}
    with timed("complexity_of"):
        complexity = 3
        with told():
            complexity = plan.complexity_of(template, task, names)
    return Brief(job=job, template=template, complexity=complexity, names=names)


def _planned(brief: Brief, rng: Random) -> list[PlannedStep]:
    made: tuple[PlannedStep, ...] = ()
    with timed("make_plan"), told():
        made = plan.make_plan(brief, PlanRequest(max_steps=rng.choice((1, 3, 10, 100)))).steps
    return list(made)


def _list(brief: Brief, name: str, rng: Random) -> None:
    call = Call(stage="extract", step=name, level=Level(rng.randrange(4)))
    _asked(brief, call, rng)


def _step(
    brief: Brief, planned: PlannedStep, given: dict[str, JsonValue], rng: Random
) -> JsonValue:
    call = Call(
        stage="execute",
        step=planned.step,
        item=planned.item,
        index=planned.index,
        level=rng.choice((planned.level, Level.NONE, Level.HEAVY)),
        outputs=given,
        hints=("Write more.",),
        shrink=rng.choice((0, 0, 2)),
    )
    step = step_of(brief, call)
    if step.when:
        _made(brief, call.model_copy(update={"part": "when"}))
    if step.kind != "prompt":
        return _made(brief, call)
    value = _asked(brief, call, rng)
    for check in step.checks:
        if check.kind == "judge":
            question = {"part": "judge", "question": str(check.value), "draft": value}
            _asked(brief, call.model_copy(update=question), rng)
    if step.repeat:
        _repeat(brief, call, step, value, rng)
    return value


def _repeat(brief: Brief, call: Call, step: Step, value: JsonValue, rng: Random) -> None:
    seen: dict[str, JsonValue] = {"draft": value}
    if step.repeat and step.repeat.critique:
        seen["critique"] = _asked(brief, call.model_copy(update={"part": "critique", **seen}), rng)
    _made(brief, call.model_copy(update={"part": "until", **seen}))
    _asked(brief, call.model_copy(update={"round": 1, **seen}), rng)


def _asked(brief: Brief, call: Call, rng: Random) -> JsonValue:
    """Build a prompt and judge an answer to it."""
    value: JsonValue = None
    with timed(f"build {call.part or call.stage}"), told():
        made = envelope.build(brief, call)
        json.dumps(made.schema)
    completion = Completion(text=said(rng), finish_reason=rng.choice(("stop", "length")))
    with timed(f"judge {call.part or call.stage}"), told():
        judged = judging.judge(brief, call, completion, TASK)
        value = judged.value
    return value


def _made(brief: Brief, call: Call) -> JsonValue:
    with timed(f"made {call.part or call.stage}"), told():
        return bycode.made(brief, call).value
    return None


def _answer(brief: Brief, given: dict[str, JsonValue], rng: Random) -> None:
    call = Call(stage="synthesize", outputs=given, level=Level.HEAVY)
    joining = brief.template.synthesize
    if joining and joining.kind == "prompt":
        _asked(brief, call, rng)
    else:
        _made(brief, call)
    scope = Scope(task=TASK, facts=CONTEXT, names=brief.names, outputs=given, step="answer")
    with timed("score"):
        candidate = Candidate(kind="joined", text=said(rng))
        score = checks.score(brief.template, candidate, scope)
        score.model_dump_json()
