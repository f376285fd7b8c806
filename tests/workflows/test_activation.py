"""The gate: the rules of the specification, in their order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crp.models import Evidence, Job, MetaLearningConfig, ModelProfile, Pressure, Task
from crp_workflows.activation import MIN_EVIDENCE, after_probe, cheap_gates, step_cap

HELPS = Evidence(jobs=MIN_EVIDENCE, lift=0.2, low=0.1, high=0.3)
HARMS = Evidence(jobs=MIN_EVIDENCE, lift=-0.2, low=-0.3, high=-0.1)
UNCLEAR = Evidence(jobs=MIN_EVIDENCE, lift=0.05, low=-0.1, high=0.2)


def job(capability: int = 1, orc: Any = "auto", **config: Any) -> Job:
    return Job(
        job_id="j",
        task=Task(text="t", orc=orc),
        config=MetaLearningConfig(**config),
        models={"default": ModelProfile(capability=capability)},
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def gate(asked: Job, complexity: int = 3, pressure: Pressure = Pressure.NONE, **more: Any) -> Any:
    return cheap_gates(asked, complexity=complexity, pressure=pressure, **more)


def test_an_open_gate_still_needs_the_probe() -> None:
    decision = gate(job())
    assert (decision.orc, decision.rule, decision.needs_probe) == (True, "open", True)


@pytest.mark.parametrize("setting", ["enabled", "orc_enabled"])
def test_a_switch_that_is_off_closes_the_gate(setting: str) -> None:
    decision = gate(job(**{setting: False}))
    assert (decision.orc, decision.rule, decision.needs_probe) == (False, "disabled", False)


@pytest.mark.parametrize(
    ("pressure", "orc"),
    [
        (Pressure.NONE, True),
        (Pressure.LOW, True),
        (Pressure.MODERATE, True),
        (Pressure.HIGH, False),
        (Pressure.CRITICAL, False),
    ],
)
def test_pressure_closes_the_gate_from_high_on(pressure: Pressure, orc: bool) -> None:
    assert gate(job(), pressure=pressure).orc is orc


@pytest.mark.parametrize(
    ("capability", "floor", "orc"), [(0, 1, False), (1, 1, True), (0, 0, True)]
)
def test_a_model_below_the_floor_gets_no_chain(capability: int, floor: int, orc: bool) -> None:
    assert gate(job(capability, orc_min_model_capability=floor)).orc is orc


@pytest.mark.parametrize("capability", range(4))
@pytest.mark.parametrize("complexity", range(1, 6))
def test_a_chain_is_for_tasks_that_are_too_hard_for_the_model(
    capability: int, complexity: int
) -> None:
    decision = gate(job(capability, orc_min_model_capability=0), complexity)
    assert decision.orc is (capability < complexity)


def test_the_first_rule_that_fails_is_the_one_that_is_told() -> None:
    everything = job(0, enabled=False)
    worst: dict[str, Any] = {"complexity": 1, "pressure": Pressure.CRITICAL}
    rules = [
        gate(everything, **worst).rule,
        gate(job(0), **worst).rule,
        gate(job(0), complexity=1).rule,
        gate(job(1), complexity=1).rule,
    ]
    assert rules == ["disabled", "pressure", "capability_floor", "complexity"]


@pytest.mark.parametrize(
    ("quality", "orc"), [(0.0, True), (0.69, True), (0.7, False), (1.0, False)]
)
def test_a_probe_of_the_threshold_itself_is_good_enough(quality: float, orc: bool) -> None:
    decision = after_probe(gate(job()), quality, threshold=0.7)
    assert (decision.orc, decision.rule) == (orc, "probe")
    assert f"{quality:.2f}" in decision.reason


def test_a_probe_made_only_to_show_it_changes_no_decision() -> None:
    forced = gate(job(orc="on"))
    assert after_probe(forced, 1.0, threshold=0.7) == forced


def test_a_job_may_force_both_ways_and_the_decision_says_so() -> None:
    on = gate(job(0, orc="on", orc_enabled=False), 1, Pressure.CRITICAL)
    off = gate(job(1, orc="off"), 5)
    assert (on.orc, on.rule, on.needs_probe) == (True, "forced", False)
    assert (off.orc, off.rule) == (False, "forced")


def test_a_template_that_is_known_to_help_pays_for_no_probe() -> None:
    decision = gate(job(), evidence=HELPS)
    assert (decision.orc, decision.rule, decision.needs_probe) == (True, "evidence", False)
    assert "+0.20" in decision.reason


def test_a_template_that_is_known_to_harm_is_not_run() -> None:
    decision = gate(job(), evidence=HARMS)
    assert (decision.orc, decision.rule) == (False, "evidence")


@pytest.mark.parametrize(
    "evidence", [None, UNCLEAR, HELPS.model_copy(update={"jobs": MIN_EVIDENCE - 1})]
)
def test_evidence_that_says_little_leaves_the_rules_to_decide(evidence: Evidence | None) -> None:
    assert gate(job(), evidence=evidence).rule == "open"


def test_the_rules_alone_decide_when_evidence_is_switched_off() -> None:
    assert gate(job(gate="rules"), evidence=HARMS).rule == "open"


def test_evidence_opens_no_gate_that_the_machine_has_closed() -> None:
    assert gate(job(), pressure=Pressure.HIGH, evidence=HELPS).rule == "pressure"


def test_a_template_without_a_probe_goes_straight_to_the_chain() -> None:
    assert gate(job(), template_probes=False).needs_probe is False


@pytest.mark.parametrize(
    ("pressure", "most", "cap"),
    [
        (Pressure.NONE, 10, 10),
        (Pressure.LOW, 10, 10),
        (Pressure.MODERATE, 10, 5),
        (Pressure.HIGH, 10, 3),
        (Pressure.CRITICAL, 10, 3),
        (Pressure.NONE, 4, 4),
        (Pressure.MODERATE, 4, 4),
        (Pressure.HIGH, 2, 2),
    ],
)
def test_pressure_and_setting_cap_the_steps(pressure: Pressure, most: int, cap: int) -> None:
    assert step_cap(MetaLearningConfig(orc_max_steps=most), pressure) == cap
