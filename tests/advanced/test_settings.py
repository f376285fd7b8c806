"""Every setting has an effect, and a wrong value is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from crp.advanced.meta_learning import MetaLearningConfig, MetaLearningEngine
from crp.models import Evidence, JobResult, Retrieved
from crp_analytics.store import TraceStore
from tests.advanced.dispatching import CALM, CHAIN, Recorder, engine
from tests.workflows.jobs import ADVICE, GARDEN, GOOD, TASK, example, library

T = TypeVar("T")

SHOWN: set[str] = set()
"""Settings whose effect a test of this file shows."""


def shows(setting: str) -> Callable[[T], T]:
    """Mark the test that fails when a setting has no effect."""
    SHOWN.add(setting)
    return lambda test: test


def solved(task: Any = CALM, dispatch: Recorder | None = None, **config: Any) -> JobResult:
    with engine(dispatch or Recorder(), **config) as made:
        return made.solve(task)


def seeing(count: int, **config: Any) -> str:
    """The probe's prompt of a job whose library holds so many examples."""
    dispatch = Recorder({TASK: ADVICE})
    with engine(dispatch, **config) as made:
        for number in range(count):
            made.store.add_trace(example(f"{TASK} number{number}"))
        made.solve(CALM)
    return dispatch.prompts[0]


@shows("enabled")
def test_enabled_false_is_one_plain_dispatch() -> None:
    dispatch = Recorder({TASK: ADVICE})
    with engine(dispatch, enabled=False) as made:
        made.store.add_trace(example())
        result = made.solve(CALM)
        assert made.store.jobs() == []
        assert made.store_trace(example("another")) is False
    assert (result.answer, dispatch.prompts) == (ADVICE, [TASK])


@shows("orc_enabled")
def test_orc_enabled_false_means_no_chain() -> None:
    assert solved().steps
    assert solved(orc_enabled=False).steps == ()


@shows("orc_max_steps")
def test_orc_max_steps_caps_the_plan() -> None:
    assert len(solved(CHAIN).steps) == 3
    assert len(solved(CHAIN, orc_max_steps=2).steps) == 2


@shows("orc_min_model_capability")
def test_orc_min_model_capability_is_a_floor() -> None:
    assert solved(capability=0).steps == ()
    assert solved(capability=0, orc_min_model_capability=0).steps


@shows("orc_probe_threshold")
def test_orc_probe_threshold_says_what_is_good_enough() -> None:
    assert solved().chosen == "joined"
    assert solved(orc_probe_threshold=0.05).chosen == "probe"


class Known(TraceStore):
    def retrieve(self, *args: Any, **kwargs: Any) -> Retrieved:
        return Retrieved(evidence=Evidence(jobs=20, lift=0.2, low=0.1, high=0.3))


@shows("gate")
@pytest.mark.parametrize(("gate", "probed"), [("evidence", False), ("rules", True)])
def test_gate_says_whether_evidence_counts(gate: str, probed: bool) -> None:
    with Known(None) as store, engine(Recorder(), gate=gate, more={"store": store}) as made:
        assert (made.solve(CALM).probe_text is not None) is probed


@shows("icml_enabled")
def test_icml_enabled_false_leaves_the_task_alone() -> None:
    assert "Look at the soil" in seeing(1)
    assert seeing(1, icml_enabled=False) == TASK


@shows("icml_max_examples")
@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_icml_max_examples_is_the_number_of_examples(most: int) -> None:
    assert seeing(6, icml_max_examples=most).count("<example>") == most
    with engine(None, icml_max_examples=most) as made:
        for number in range(6):
            made.store_trace(example(f"{TASK} number{number}"))
        assert made.build_metacognitive_envelope(TASK).count("<example>") == most


@shows("icml_hold_out")
def test_icml_hold_out_keeps_examples_from_its_share_of_the_jobs() -> None:
    assert seeing(1, icml_hold_out=0.0).count("<example>") == 1
    assert seeing(1, icml_hold_out=1.0).count("<example>") == 0


@shows("rtl_enabled")
def test_rtl_enabled_false_neither_reads_nor_writes_the_library() -> None:
    assert solved(CHAIN).stored
    assert not solved(CHAIN, rtl_enabled=False).stored
    assert "<example>" not in seeing(1, rtl_enabled=False)
    with engine(None, rtl_enabled=False) as made:
        assert made.store_trace(example()) is False
        made.store.add_trace(example())
        assert "<example>" not in made.build_metacognitive_envelope(TASK)


FAIR = {**GOOD, "Give the ADVICE": "Water every root in the evening."}
"""One of two words: a chain of quality 0.55."""


@shows("rtl_min_quality_for_storage")
@pytest.mark.parametrize(("least", "stored"), [(0.5, True), (0.55, True), (0.56, False)])
def test_rtl_min_quality_for_storage_is_inclusive(least: float, stored: bool) -> None:
    result = solved(CHAIN, Recorder(FAIR), rtl_min_quality_for_storage=least)
    assert (result.quality, result.stored) == (0.55, stored)


def test_rtl_min_quality_for_storage_holds_for_what_is_retrieved_too() -> None:
    assert "<example>" not in seeing(1, rtl_min_quality_for_storage=0.95)


def after_jobs(made: MetaLearningEngine, count: int) -> int:
    """The number of traces left after so many jobs of their type that do not look like them."""
    for number in range(count):
        made.solve(CHAIN, job_id=f"job-{number}")
    return made.trace_count


@shows("curation_interval")
@pytest.mark.parametrize(("interval", "left"), [(2, 1), (3, 2)])
def test_curation_interval_is_counted_in_jobs(interval: int, left: int) -> None:
    with engine(Recorder(), curation_interval=interval, icml_enabled=False) as made:
        made.store.add_trace(example("unlike all others", quality_score=0.1))
        assert after_jobs(made, 2) == left


@shows("rtl_grace_jobs")
@pytest.mark.parametrize(("grace", "left"), [(2, 1), (3, 2)])
def test_rtl_grace_jobs_gives_a_trace_its_chance(grace: int, left: int) -> None:
    with engine(Recorder(), curation_interval=2, rtl_grace_jobs=grace, icml_enabled=False) as made:
        made.store.add_trace(example("unlike all others"))
        assert after_jobs(made, 2) == left


@shows("rtl_max_traces")
def test_rtl_max_traces_caps_the_library_of_a_task_type() -> None:
    for most, left in ((1, 1), (9, 4)):
        with engine(Recorder(), curation_interval=1, rtl_max_traces=most) as made:
            for number in range(3):
                made.store.add_trace(example(f"number{number}"))
            assert after_jobs(made, 1) == left


@shows("scaffold_level")
def test_scaffold_level_sets_the_help_of_every_prompt_that_leaves_it_open() -> None:
    open_steps = library(GARDEN.replace("    scaffold: none\n", ""))
    for level, said in (("none", ""), ("medium", "Work step by step"), ("heavy", "Key concepts")):
        dispatch = Recorder()
        with engine(dispatch, templates=open_steps, scaffold_level=level) as made:
            made.solve(CHAIN)
        assert all(said in prompt for prompt in dispatch.prompts)
        assert level != "none" or not any("step by step" in p for p in dispatch.prompts)


def test_every_setting_has_such_a_test() -> None:
    assert set(MetaLearningConfig.model_fields) == SHOWN


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled": "perhaps"},
        {"orc_max_steps": 0},
        {"orc_min_model_capability": 4},
        {"orc_probe_threshold": 1.5},
        {"gate": "luck"},
        {"icml_max_examples": -1},
        {"icml_hold_out": 2},
        {"rtl_min_quality_for_storage": float("nan")},
        {"rtl_max_traces": 0},
        {"rtl_grace_jobs": -1},
        {"scaffold_level": "extreme"},
        {"curation_interval": 0},
        {"no_such_setting": 1},
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MetaLearningConfig(**wrong)
