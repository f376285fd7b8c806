"""The gate: whether ORC runs (spec, section 3). Pure.

Rules are tried in the order of the spec, so that the expensive one, the probe, comes last.
"""

from __future__ import annotations

from crp.models import Evidence, GateDecision, Job, MetaLearningConfig, Pressure

MIN_EVIDENCE = 8
"""Jobs with both scores before the record of a template counts for or against it."""


def cheap_gates(
    job: Job,
    *,
    complexity: int,
    pressure: Pressure,
    evidence: Evidence | None = None,
    template_probes: bool = True,
) -> GateDecision:
    """Decide what can be decided without a model call; `needs_probe` says when that is not all."""
    capability = job.model("default").capability
    forced = _forced(job)
    if forced is not None:
        return forced
    refused = _refused(job.config, capability, complexity, pressure)
    if refused is not None:
        return refused
    if job.config.gate == "evidence" and evidence is not None and evidence.jobs >= MIN_EVIDENCE:
        known = _known(evidence)
        if known is not None:
            return known
    reason = f"capability {capability} is below complexity {complexity}"
    return GateDecision(orc=True, rule="open", reason=reason, needs_probe=template_probes)


def after_probe(decision: GateDecision, quality: float, threshold: float) -> GateDecision:
    """Let a probe that is good enough close the gate; `threshold` itself is good enough."""
    if not decision.needs_probe:
        return decision
    if quality >= threshold:
        reason = f"the direct answer scores {quality:.2f}, {threshold:.2f} is good enough"
        return GateDecision(orc=False, rule="probe", reason=reason)
    reason = f"{decision.reason}, and the direct answer scores {quality:.2f}, below {threshold:.2f}"
    return GateDecision(orc=True, rule="probe", reason=reason)


def step_cap(config: MetaLearningConfig, pressure: Pressure) -> int:
    """The most micro-steps a plan may have under this pressure (spec, section 2)."""
    if pressure <= Pressure.LOW:
        return config.orc_max_steps
    return min(config.orc_max_steps, 5 if pressure == Pressure.MODERATE else 3)


def _forced(job: Job) -> GateDecision | None:
    if job.task.orc == "on":
        return GateDecision(orc=True, rule="forced", reason="the job asks for ORC")
    if job.task.orc == "off":
        return GateDecision(orc=False, rule="forced", reason="the job asks for a direct answer")
    return None


def _refused(
    config: MetaLearningConfig, capability: int, complexity: int, pressure: Pressure
) -> GateDecision | None:
    if not (config.enabled and config.orc_enabled):
        return GateDecision(orc=False, rule="disabled", reason="ORC is switched off")
    if pressure >= Pressure.HIGH:
        reason = f"resource pressure is {pressure.name}"
        return GateDecision(orc=False, rule="pressure", reason=reason)
    if capability < config.orc_min_model_capability:
        reason = f"capability {capability} is below the floor {config.orc_min_model_capability}"
        return GateDecision(orc=False, rule="capability_floor", reason=reason)
    if capability >= complexity:
        reason = f"capability {capability} is enough for complexity {complexity}"
        return GateDecision(orc=False, rule="complexity", reason=reason)
    return None


def _known(evidence: Evidence) -> GateDecision | None:
    measured = (
        f"over {evidence.jobs} jobs this template changed the score of this model by "
        f"{evidence.lift:+.2f} [{evidence.low:+.2f}, {evidence.high:+.2f}]"
    )
    if evidence.low > 0:
        return GateDecision(orc=True, rule="evidence", reason=f"it helps: {measured}")
    if evidence.high < 0:
        return GateDecision(orc=False, rule="evidence", reason=f"it does not help: {measured}")
    return None
