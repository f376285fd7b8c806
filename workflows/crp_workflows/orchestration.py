"""The path of one job, top to bottom, over the stages protocol. Written once.

The Temporal workflow and the in-process engine both run `Reasoning`; they differ only in how a
stage is carried out. Everything here is a decision: no I/O, no clock, no Temporal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from crp.errors import CRPError, JobFailed, NotFound, UsageError
from crp.language.plan import ladder_of, start_level
from crp.language.schema import DEFAULT_LADDER
from crp.models import (
    Approval,
    Attempt,
    Call,
    Candidate,
    Example,
    JobResult,
    ModelStage,
    Pressure,
    Reading,
    ReasoningTrace,
    Recorded,
    Retrieved,
    Rung,
)
from crp.stages import Brief, PlanRequest, Route, examples_wanted
from crp_workflows import activation
from crp_workflows.climbing import asked, climb, judged_candidate, together
from crp_workflows.edits import asked_anew, job_as_wanted, left_out, library_as_wanted
from crp_workflows.finding import find_lists, outline
from crp_workflows.running import run_step
from crp_workflows.state import JobState

MOST_PARTS = 3
"""Templates that may stand inside each other by `use`."""
MOST_AT_ONCE = 100
"""Steps of one job under way at once: a list of thousands must not be one message to Temporal."""
FRESH = timedelta(seconds=30)
"""How long a sample of the pressure is good for. Part of every job's path: another value is a
change of the code, for `workflow.patched`."""
PLAIN_LADDER = (Rung(action="accept_best"),)
"""One dispatch: whatever the model says is the answer."""


class Reasoning(JobState):
    """One job under way. `run` gives its result; the state can be read meanwhile."""

    async def run(self) -> JobResult:
        """Solve the task and record what happened, also when it failed or was cancelled."""
        self.ledger.say("job.started", task=self.job.task.text[:200], model=self.profile.name)
        try:
            await self._solve()
            self.result = self.outcome(self.status())
        except asyncio.CancelledError:
            self.result = self.outcome("cancelled", error="the job was cancelled")
        except CRPError as error:
            self.result = self.outcome("failed", error=str(error))
        self.ledger.say(
            f"job.{self.result.status}",
            error=self.result.error or None,
            quality=self.result.quality,
        )
        await self._record_and_curate()
        return self.result

    async def preview(self) -> JobResult:
        """Make the plan and stop: nothing is executed, answered or recorded."""
        await self._route()
        await self._sample_pressure()
        await self._decompose()
        return self.outcome("incomplete", error="only planned, nothing was run")

    async def _solve(self) -> None:
        if not self.job.config.enabled:
            await self._dispatch_plainly()
            return
        await self._route()
        await together([self._sample_pressure(), self._retrieve()])
        await self._pass_the_gate()
        assert self.gate is not None
        if self.gate.orc:
            await self._decompose()
            await self._have_it_approved()
            await self._execute()
            await self._synthesize()
        if not self.candidates:
            await self._answer_directly()
        await self._choose()

    # -- before the gate -----------------------------------------------------------------------

    async def _dispatch_plainly(self) -> None:
        """`enabled=False`: the task as it is, nothing else."""
        self.route = await self.stages.route(self.job, self.library, None)
        self.brief = self._briefed(self.route)
        await self._answer_directly(laddered=False)

    async def _route(self, forced: str | None = None) -> None:
        self.route = await self.stages.route(self.job, self.library, forced)
        self.brief = self._briefed(self.route)
        match = self.route.matches[0] if self.route.matches and self.route.matched else None
        self.ledger.say(
            "routed",
            stage="route",
            template=self.route.source.name,
            sha256=self.route.source.sha256,
            complexity=self.route.complexity,
            matched=self.route.matched,
            reasons=list(match.reasons) if match else [],
        )
        for note in self.route.notes:
            self.ledger.note(note)

    def _briefed(self, route: Route) -> Brief:
        return Brief(
            job=self.job,
            template=route.template,
            scaffolds=self.library.scaffolds,
            complexity=route.complexity,
            names=route.names,
            examples=self.brief.examples if self.brief else (),
        )

    async def _sample_pressure(self) -> None:
        """Look at the load, unless that was a moment ago: plans are not made of old news."""
        given = self.job.task.pressure
        if self.reading is not None and (given is not None or self._just_sampled()):
            return
        self.sampled_at = self.stages.now()
        if given is not None:
            self.reading = Reading(pressure=given, reason="given with the task")
        else:
            try:
                self.reading = await self.stages.sample_pressure(self.profile.alias)
            except CRPError as error:
                reason = f"not sampled: {error}"
                self.reading = Reading(pressure=Pressure.NONE, reason=reason, note=reason)
        if self.reading.note:
            self.ledger.note(self.reading.note)
        self.ledger.say(
            "pressure.sampled",
            stage="sample_pressure",
            pressure=self.reading.pressure.name,
            reason=self.reading.reason,
        )

    def _just_sampled(self) -> bool:
        return self.stages.now() - self.sampled_at < FRESH

    async def _retrieve(self) -> None:
        """Find worked examples, and what the store knows about this template and model."""
        config, task = self.job.config, self.job.task
        assert self.brief is not None
        assert self.route is not None
        if task.examples is not None:
            self.retrieved = Retrieved(examples=_given(task.examples), note="given with the task")
        elif config.rtl_enabled:
            wish = examples_wanted(config, self.brief.template.few_shot)
            try:
                self.retrieved = await self.stages.retrieve(self.job, self.route.source, *wish)
            except CRPError as error:
                # Examples help; a job does not wait for hours to get them.
                self.ledger.note(f"no examples: the trace store did not answer ({error})")
        examples = self.retrieved.examples if config.icml_enabled else ()
        self.brief = self.brief.model_copy(update={"examples": examples})
        self.ledger.say(
            "retrieved",
            stage="retrieve",
            traces=[e.trace.trace_id for e in examples],
            candidates=self.retrieved.candidates,
            held_out=self.retrieved.held_out or None,
            note=self.retrieved.note or None,
        )

    # -- the gate ------------------------------------------------------------------------------

    async def _pass_the_gate(self) -> None:
        assert self.brief is not None
        assert self.reading is not None
        config = self.job.config
        gate = activation.cheap_gates(
            self.job,
            complexity=self.brief.complexity,
            pressure=self.reading.pressure,
            evidence=self.retrieved.evidence,
            template_probes=self.brief.template.probe,
        )
        if gate.needs_probe or (gate.orc and self.job.task.probe == "always"):
            quality = await self._probe()
            gate = activation.after_probe(gate, quality, config.orc_probe_threshold)
        self.gate = gate
        self.ledger.say("gated", stage="gate", orc=gate.orc, rule=gate.rule, reason=gate.reason)

    async def _probe(self) -> float:
        """Try the whole task once; its text stays a candidate. An empty answer scores 0."""
        assert self.brief is not None
        attempt = await asked(self, self._whole_task())
        self.probe_attempt = attempt
        if not attempt.usable:
            return 0.0
        candidate = _candidate("probe", attempt)
        self.candidates["probe"] = candidate = await judged_candidate(self, candidate, {})
        (score,) = await self.stages.score(self.brief, (candidate,), {})
        self.scores["probe"] = score
        self.ledger.say("scored", stage="score", candidate="probe", quality=round(score.value, 3))
        return score.value

    def _whole_task(self) -> Call:
        word = self.job.config.scaffold_level
        plain = not self.job.config.enabled or not self.job.config.icml_enabled
        level = start_level("none" if plain else "auto", word, self.profile.capability)
        return Call(stage="probe", level=level)

    async def _answer_directly(self, *, laddered: bool = True) -> None:
        """One ICML dispatch of the whole task, again only when nothing usable comes back."""
        assert self.brief is not None
        rungs = DEFAULT_LADDER if laddered else PLAIN_LADDER
        climbed = await climb(self, self._whole_task(), rungs)
        if climbed.taken is None:
            raise JobFailed(f"the model gave no usable answer: {climbed.reason or 'it was empty'}")
        self.candidates["direct"] = _candidate("direct", climbed.taken)

    # -- ORC -----------------------------------------------------------------------------------

    async def _decompose(self, *, routed: bool = True) -> None:
        """Find the lists, then fix the plan."""
        if not routed:
            await self._route()
        assert self.route is not None
        assert self.brief is not None
        made_by: Literal["template", "model", "fallback"] = "template"
        if not self.route.matched and self.job.task.template is None:
            made_by = "model" if await outline(self) else "fallback"
        other = await find_lists(self)
        if other:
            self.ledger.note(
                f"too few {other.name} found: the template {other.otherwise_use} is used"
            )
            await self._route(forced=other.otherwise_use)
            if await find_lists(self):
                raise JobFailed(
                    f"the template {other.otherwise_use} does not find its lists either"
                )
        await self._sample_pressure()
        assert self.reading is not None
        cap = activation.step_cap(self.job.config, self.reading.pressure)
        self.plan = await self.stages.decompose(
            self.brief, PlanRequest(max_steps=cap, made_by=made_by)
        )
        self.ledger.planned(self.plan)
        if self.plan.cut:
            self.ledger.note(f"cut to {cap} steps: {'; '.join(self.plan.cut)}")

    async def _have_it_approved(self) -> None:
        """Show the plan to a person, who may change it, before anything of it runs."""
        assert self.brief is not None
        if self.job.origin is not None:
            self.dropped = dict(self.job.origin.left_out)
        refused = ""
        while self.job.approve or self.brief.template.approve:
            assert self.plan is not None
            self.ledger.say(
                "approval.awaited",
                stage="decompose",
                calls=self.plan.calls_likely,
                refused=refused or None,
            )
            said = await self.stages.approval(self.plan)
            try:
                await self._change_plan(said)
            except CRPError as error:
                refused = f"the change of the plan by {said.by} is not possible: {error}"
                self.ledger.note(refused)
                continue
            self.ledger.say(
                "approved", stage="decompose", by=said.by, dropped=list(self.dropped) or None
            )
            break
        assert self.plan is not None
        self.fresh = asked_anew(self.plan, self.job.origin)

    async def _change_plan(self, said: Approval) -> None:
        """Make the plan again when a person wants another template or inputs, and leave out steps.

        When there can be no such plan, all stays as it was, and CRPError says why.
        """
        assert self.route is not None
        if said.template or said.inputs:
            before = self.library, self.job, self.route, self.brief, self.plan
            self.library = library_as_wanted(self.library, said)
            self.job = job_as_wanted(self.job, said)
            try:
                await self._route(said.template.name if said.template else self.route.source.name)
                await self._decompose()
            except CRPError:
                self.library, self.job, self.route, self.brief, self.plan = before
                raise
        assert self.plan is not None
        self.dropped |= left_out(self.plan, said)

    def _call(self, stage: ModelStage, **what: Any) -> Call:
        return Call(stage=stage, within=self.within, **what)

    async def _execute(self) -> None:
        """Run every step as soon as what it needs is there, so many at once as there are turns."""
        assert self.plan is not None
        tasks: dict[str, asyncio.Task[None]] = {}
        turns = asyncio.Semaphore(MOST_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                # Each stands after what it needs: none waits for ever.
                for number, step in enumerate(self.plan.steps, 1):
                    if number % MOST_AT_ONCE == 0:
                        await self.stages.breathe()
                    await turns.acquire()
                    needs = [tasks[n] for n in (*step.needs, *step.optional_needs) if n in tasks]
                    tasks[step.id] = group.create_task(run_step(self, step, needs))
                    tasks[step.id].add_done_callback(lambda _: turns.release())
        except BaseExceptionGroup as several:
            # The first failure stopped the others; it is the one to tell.
            raise several.exceptions[0] from None

    async def solve_part(self, call: Call, template: str, given: Attempt) -> Attempt:
        """Let another template solve a part of the task: its chain alone, without probe, gate and
        examples. What it says is judged by the checks of the step that it works for."""
        assert self.brief is not None
        part = self._part(call, template, given)
        why = part if isinstance(part, str) else await part._solve_alone()
        if isinstance(part, str) or why:
            return given.model_copy(update={"status": "content", "value": None, "error": why})
        text = part.candidates[part.best()].text
        checked = call.model_copy(update={"part": "check", "draft": text})
        return await self.stages.render(self.brief, checked)

    async def _solve_alone(self) -> str:
        """Run this part's own chain; say why it has no answer, or nothing when it has one."""
        name = self.job.task.template
        try:
            await self._decompose(routed=False)
            await self._execute()
            await self._synthesize()
            await self._choose()
        except (JobFailed, NotFound, UsageError) as error:
            return f"{name}: {error}"
        if self.best():
            return ""
        failed = [f"{s.id}: {s.reason}" for s in self.ledger.steps.values() if s.reason]
        return f"{name} gave no answer ({'; '.join(failed)})"

    def _part(self, call: Call, template: str, given: Attempt) -> Reasoning | str:
        """The part as a job of its own, or why there can not be one."""
        if self.depth >= MOST_PARTS:
            return f"templates use each other more than {MOST_PARTS} deep"
        asked = given.value if isinstance(given.value, dict) else {"task": given.output}
        text, inputs = str(asked.get("task") or ""), asked.get("inputs")
        if not text.strip():
            return f"there is no task for the template {template}"
        own = {"inputs": inputs if isinstance(inputs, dict) else {}, "template": template}
        task = self.job.task.model_copy(update={"text": text, "complexity": None, **own})
        job = self.job.model_copy(update={"task": task})
        within = self.ledger.path(call.step_id)
        part = Reasoning(job, self.library, self.stages, self, within)
        part.reading, part.sampled_at = self.reading, self.sampled_at
        return part

    # -- the answer ----------------------------------------------------------------------------

    async def _synthesize(self) -> None:
        """Join the outputs; let the model write them up where the template asks for it."""
        assert self.brief is not None
        if not self.ledger.outputs:
            self.ledger.note("no step gave a usable answer")
            return
        template = self.brief.template
        call = self._call("synthesize", outputs=self.ledger.outputs)
        joined = await self.stages.render(self.brief, call)
        if joined.usable:
            self.candidates["joined"] = _candidate("joined", joined)
        step = template.synthesize
        if step is None or step.kind == "render" or len(self.ledger.steps) == 1:
            return
        profile = self.job.model(step.model)
        level = start_level(step.scaffold, self.job.config.scaffold_level, profile.capability)
        call = call.model_copy(update={"level": level, "model": step.model})
        climbed = await climb(self, call, ladder_of(step, template), step)
        if climbed.taken is None:
            self.ledger.note(f"synthesis failed, the joined version is used ({climbed.reason})")
            return
        self.candidates["synthesized"] = _candidate("synthesized", climbed.taken)

    async def _choose(self) -> None:
        """Score every candidate alike and take the best; see `best` for ties."""
        assert self.brief is not None
        if self.gate is not None and not self.gate.orc and "probe" in self.candidates:
            return  # the probe closed the gate: it is the answer, scored already
        outputs = self.ledger.outputs
        for kind, candidate in self.candidates.items():
            self.candidates[kind] = await judged_candidate(self, candidate, outputs)
        scores = await self.stages.score(self.brief, tuple(self.candidates.values()), outputs)
        self.scores = {score.candidate: score for score in scores}
        for score in scores:
            self.ledger.say(
                "scored", stage="score", candidate=score.candidate, quality=round(score.value, 3)
            )

    # -- the end -------------------------------------------------------------------------------

    async def _record_and_curate(self) -> None:
        """Leave a trace; an answer that is there is never lost for want of one."""
        assert self.result is not None
        if not self.job.config.enabled:
            return
        try:
            recorded = await self._recorded()
        except CRPError as error:  # also a bug in the store: it must not cost the answer
            self.ledger.note(f"the job is not recorded: {error}")
            self.result = self.result.model_copy(update={"notes": tuple(self.ledger.notes)})
            return
        self.result = self.result.model_copy(
            update={
                "trace_id": self.job.job_id,
                "stored": recorded.stored,
                "stored_reason": recorded.reason,
            }
        )
        self.ledger.say("recorded", stage="record", stored=recorded.stored, reason=recorded.reason)
        await self._curate(recorded)

    async def _recorded(self) -> Recorded:
        """Land the record. To cancel a job that has its answer is too late: it lands again."""
        assert self.result is not None
        try:
            return await self.stages.record(self.record())
        except asyncio.CancelledError:
            if self.result.status == "cancelled":  # asked twice
                raise
        return await self.stages.record(self.record())

    async def _curate(self, recorded: Recorded) -> None:
        if not (recorded.curation_due and self.job.config.rtl_enabled):
            return
        try:
            report = await self.stages.curate(self.job.config)
        except asyncio.CancelledError:
            return  # the next job that is due does it; this one has its answer
        except CRPError as error:
            self.ledger.note(f"the library was not curated: {error}")
            return
        self.ledger.say("curated", stage="curate", retired=report.retired)


def _candidate(
    kind: Literal["direct", "probe", "joined", "synthesized"], attempt: Attempt
) -> Candidate:
    reason = attempt.finish_reason or "stop"
    return Candidate(kind=kind, text=attempt.output, value=attempt.value, finish_reason=reason)


def _given(traces: Sequence[ReasoningTrace]) -> tuple[Example, ...]:
    return tuple(
        Example(trace=trace, overlap=0, similarity=0.0, rank=i) for i, trace in enumerate(traces, 1)
    )
