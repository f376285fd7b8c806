"""What would happen to a task, told without asking a model: `--plan-only` and `templates plan`."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from pydantic import JsonValue

from crp.cli.terminal import one_line, out, print_json, print_table
from crp.language.plan import make_plan
from crp.language.schema import Extract
from crp.models import GateDecision, Plan, PlannedStep, Pressure
from crp.request import Request
from crp.stages import Brief, PlanRequest, Route
from crp_activities.deciding import FALLBACK, route
from crp_workflows.activation import cheap_gates, step_cap

MADE_UP = 3
"""How many entries stand for a list that only the model can give."""


class Preview(NamedTuple):
    """A plan as far as code alone can make it."""

    route: Route
    gate: GateDecision
    plan: Plan
    unknown: dict[str, str]
    """Lists that the model is asked for when the job runs, and what serves otherwise."""


def preview(request: Request) -> Preview:
    """Route, read the lists that stand in the request, and plan; no model, no engine."""
    job = request.job()
    chosen = route(job, request.library)
    missing = [e for e in chosen.template.extract if e.name not in chosen.names]
    names: dict[str, JsonValue] = {**chosen.names, **{e.name: _stand_in(e) for e in missing}}
    brief = Brief(
        job=job,
        template=chosen.template,
        scaffolds=request.library.scaffolds,
        complexity=chosen.complexity,
        names=names,
    )
    pressure = Pressure.NONE if job.task.pressure is None else job.task.pressure
    made_by: Any = "template" if chosen.matched or job.task.template else "fallback"
    plan = make_plan(brief, PlanRequest(max_steps=step_cap(job.config, pressure), made_by=made_by))
    gate = cheap_gates(
        job,
        complexity=chosen.complexity,
        pressure=pressure,
        template_probes=chosen.template.probe,
    )
    return Preview(chosen, gate, plan, {e.name: _when_unknown(e) for e in missing})


def _stand_in(wanted: Extract) -> JsonValue:
    if wanted.otherwise:
        return list(wanted.otherwise)
    count = min(max(wanted.min, 1 if wanted.max == 1 else MADE_UP), wanted.max)
    return [f"<{wanted.name} {i}>" for i in range(1, count + 1)]


def _when_unknown(wanted: Extract) -> str:
    asked = "asked of the model when it runs" if wanted.ask else "not in the request"
    if wanted.otherwise:
        return f"{asked}; otherwise: {', '.join(wanted.otherwise)}"
    if wanted.otherwise_use:
        return f"{asked}; otherwise the template {wanted.otherwise_use} is used"
    return f"{asked}; without it the job fails"


def show_plan(request: Request, *, as_json: bool) -> None:
    """Print what would happen."""
    seen = preview(request)
    if as_json:
        print_json(_data(seen))
        return
    _print_head(seen, request)
    print_plan(seen.plan)


def print_plan(plan: Plan) -> None:
    """Print the steps of a plan, and what they cost."""
    rows = [(s.id, s.kind, s.title, ", ".join(s.needs), _help(s)) for s in plan.steps]
    print_table(("step", "kind", "title", "needs", "help"), rows)
    for title in plan.cut:
        out(f"cut, to stay under the cap: {one_line(title)}")
    out(f"\nsteps   {_sum(plan)}")
    out(f"calls   likely {plan.calls_likely}, worst {plan.calls_worst}")
    out(f"tokens  likely {plan.tokens_likely}, worst {plan.tokens_worst}")


def _help(step: PlannedStep) -> str:
    """The level that a step starts with; what code does has none."""
    how = {"prompt": step.level.word, "use": "the other's"}.get(step.kind, "no model")
    return f"{how}, if its `when` holds then" if step.late else how


def _sum(plan: Plan) -> str:
    """Steps by items: `3 profile + contrast = 4`."""
    counts = Counter(step.step for step in plan.steps)
    parts = [f"{count} x {step}" if count > 1 else step for step, count in counts.items()]
    return f"{' + '.join(parts)} = {len(plan.steps)}"


def _print_head(seen: Preview, request: Request) -> None:
    source, model = seen.route.source, request.models["default"]
    out(f"template    {source.name} ({source.origin}), complexity {seen.route.complexity}")
    best = seen.route.matches[0] if seen.route.matches else None
    if seen.route.matched and best:
        out(f"because     {one_line(', '.join(best.reasons), 300)}")
    else:
        out(f"because     nothing fits; the model is asked for a plan, {FALLBACK} if it has none")
    out(f"model       {model.name or model.alias}, capability {model.capability}")
    out(f"gate        {_gate(seen.gate, request)}")
    for name, value in seen.route.names.items():
        if name == "sheet":  # the facts themselves: the user has them
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        out(f"{name:<11} {one_line(shown, 300)}")
    for name, when in seen.unknown.items():
        out(f"{name:<11} {one_line(when, 300)}")
    out("")


def _gate(gate: GateDecision, request: Request) -> str:
    if not gate.orc:
        return f"one direct answer: {gate.reason}"
    if gate.needs_probe:
        good = request.config.orc_probe_threshold
        return f"steps, unless a direct answer scores {good:.2f} or more: {gate.reason}"
    return f"steps: {gate.reason}"


def _data(seen: Preview) -> dict[str, Any]:
    best = seen.route.matches[0] if seen.route.matches and seen.route.matched else None
    return {
        "template": seen.route.source.name,
        "origin": seen.route.source.origin,
        "matched": seen.route.matched,
        "reasons": list(best.reasons) if best else [],
        "complexity": seen.route.complexity,
        "gate": seen.gate.model_dump(mode="json"),
        "names": seen.route.names,
        "unknown": seen.unknown,
        "plan": seen.plan.model_dump(mode="json"),
    }
