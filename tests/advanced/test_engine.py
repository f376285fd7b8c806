"""The Python API: its names, its defaults, and what each member promises."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crp.advanced import meta_learning
from crp.advanced.meta_learning import MetaLearningConfig, MetaLearningEngine, ORCResult
from crp.errors import ConfigError, CRPError, UsageError
from crp.models import Pressure, Task
from crp_analytics.store import TraceStore
from tests.advanced.dispatching import CALM, CHAIN, Recorder, engine
from tests.workflows.jobs import ADVICE, GOOD, LEAVES, ROOTS, TASK, library


def test_the_snippet_of_the_documentation_runs() -> None:
    def my_dispatch(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        return "React and Vue are two ways to build the part of a website that people see.", {}

    config = MetaLearningConfig(
        enabled=True,
        orc_enabled=True,
        orc_max_steps=10,
        orc_min_model_capability=1,
        icml_enabled=True,
        icml_max_examples=3,
        rtl_enabled=True,
        rtl_min_quality_for_storage=0.7,
        scaffold_level="auto",
        curation_interval=5,
    )
    with MetaLearningEngine(dispatch_fn=my_dispatch, model_capability=2, config=config) as made:
        result = made.orchestrated_reasoning("Compare React and Vue")
    assert result.steps_completed >= 3
    assert "two ways to build" in result.final_output


def test_the_module_offers_the_types_of_the_interface() -> None:
    for name in ("MetaLearningConfig", "ORCResult", "ReasoningStep", "ReasoningTrace"):
        assert hasattr(meta_learning, name)


# -- solving --------------------------------------------------------------------------------------


def test_orchestrated_reasoning_sums_the_chain_up() -> None:
    with engine(Recorder()) as made:
        result = made.orchestrated_reasoning(TASK)
    assert (result.steps_completed, result.steps_total, result.complete) == (3, 3, True)
    assert result.step_outputs == [ROOTS, LEAVES, ADVICE]
    assert (result.final_output, result.quality_score) == (ADVICE, 1.0)
    assert [step.status for step in result.steps] == ["done"] * 3
    assert result.job.status == "completed"
    assert result.trace is not None
    assert [s.step_description for s in result.trace.steps] == [
        "Describe the ROOTS.",
        "Describe the LEAVES.",
        "Give the ADVICE.",
    ]


def test_orchestrated_reasoning_runs_the_chain_whatever_the_gate_would_say() -> None:
    with engine(Recorder(), capability=3) as made:
        assert not made.should_use_orc(1, "CRITICAL")
        result = made.orchestrated_reasoning(TASK, 1, "CRITICAL")
    assert result.steps_completed == 3
    assert result.job.gate is not None
    assert result.job.gate.rule == "forced"
    assert result.job.complexity == 1


@pytest.mark.parametrize(("pressure", "steps"), [("none", 7), ("Medium", 5), ("HIGH", 3)])
def test_pressure_caps_the_steps_of_a_chain(pressure: str, steps: int) -> None:
    say = "Each of these five things is good for somebody who needs it."
    with MetaLearningEngine(lambda prompt, context: (say, {}), pauses=()) as made:
        result = made.orchestrated_reasoning("Compare A1, B2, C3, D4 and E5", 3, pressure)
    assert result.steps_total == steps


def test_a_chain_that_is_not_complete_says_so() -> None:
    with engine(Recorder({**GOOD, "Describe the ROOTS": ""})) as made:
        result = made.orchestrated_reasoning(TASK)
    assert (result.steps_completed, result.steps_total, result.complete) == (1, 3, False)
    assert [step.status for step in result.steps] == ["failed", "done", "skipped"]
    assert (result.step_outputs, result.job.status) == ([LEAVES], "incomplete")


def test_solve_takes_the_whole_path_with_the_gate() -> None:
    with engine(Recorder()) as made:
        result = made.solve(CALM)
    assert (result.chosen, result.probe_text) == ("joined", GOOD[TASK])
    assert result.gate is not None
    assert result.gate.rule == "probe"


def test_solve_gives_the_context_to_the_model() -> None:
    dispatch = Recorder({TASK: ADVICE})
    with engine(dispatch) as made:
        made.solve(CALM, context="The soil is sandy.")
    assert "The soil is sandy." in dispatch.prompts[0]


def test_a_system_prompt_arrives_as_the_context_of_the_function() -> None:
    dispatch = Recorder({TASK: ADVICE})
    with engine(dispatch) as made:
        made.solve(CALM.model_copy(update={"system_prompt": "You are a gardener."}))
    assert dispatch.calls[0][1] == "You are a gardener."


async def test_both_ways_to_call_work_inside_a_running_loop() -> None:
    with engine(Recorder()) as made:
        assert made.solve(CHAIN).answer == ADVICE
        assert (await made.asolve(CHAIN)).answer == ADVICE
        assert made.orchestrated_reasoning(TASK).final_output == ADVICE
        assert (await made.aorchestrated_reasoning(TASK)).final_output == ADVICE


def test_an_engine_may_be_used_again_and_again() -> None:
    with engine(Recorder()) as made:
        assert [made.solve(CHAIN).status for _ in range(3)] == ["completed"] * 3


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(threading.enumerate())
    with engine(Recorder()) as made:
        made.solve(CHAIN)
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= before


def test_a_closed_engine_says_so() -> None:
    made = engine(Recorder())
    made.close()
    made.close()
    with pytest.raises(UsageError, match="closed"):
        made.solve(CALM)


async def test_cancelling_records_the_job_and_goes_on_to_the_caller() -> None:
    asked = asyncio.Event()

    async def hang(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    with engine(hang) as made:
        solving = asyncio.create_task(made.asolve(CALM, job_id="given-up"))
        await asked.wait()
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
        kept = made.store.job("given-up")
    assert kept is not None
    assert kept["status"] == "cancelled"


def in_script(made: MetaLearningEngine) -> None:
    made.solve(CALM, job_id="given-up")


def in_notebook(made: MetaLearningEngine) -> None:
    async def cell() -> None:
        in_script(made)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()


@pytest.mark.parametrize("solve", [in_script, in_notebook])
def test_ctrl_c_ends_the_job_and_reaches_the_caller(
    solve: Callable[[MetaLearningEngine], None],
) -> None:
    async def hang(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        raise AssertionError

    with engine(hang) as made:
        with pytest.raises(KeyboardInterrupt):
            solve(made)
        kept = made.store.job("given-up")
    assert kept is not None
    assert kept["status"] == "cancelled"


async def test_one_engine_solves_several_tasks_at_once() -> None:
    both = asyncio.Barrier(2)

    async def dispatch(prompt: str, context: str) -> tuple[str, dict[str, Any]]:
        async with asyncio.timeout(10):
            await both.wait()
        return ADVICE, {}

    with engine(dispatch) as made:
        results = await asyncio.gather(made.asolve(CALM), made.asolve(CALM))
        assert len(made.store.jobs()) == 2
    assert [result.answer for result in results] == [ADVICE, ADVICE]


# -- paid once ------------------------------------------------------------------------------------


def test_a_restarted_script_with_the_same_job_id_does_not_pay_again(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    with engine(first, more={"directory": tmp_path}) as made:
        answer = made.solve(CALM, job_id="monday").answer
    with engine(second, more={"directory": tmp_path}) as made:
        again = made.solve(CALM, job_id="monday")
        assert (again.answer, len(second.calls)) == (answer, 0)
        made.solve(CALM, job_id="tuesday")
    assert len(first.calls) == 4
    assert second.calls


def test_a_store_that_is_given_is_used_and_left_open(tmp_path: Path) -> None:
    with TraceStore.open(tmp_path) as store:
        with engine(Recorder(), more={"store": store}) as made:
            made.solve(CHAIN, job_id="kept")
        assert store.trace_count == 1
        assert store.job("kept") is not None


# -- without a dispatch function ------------------------------------------------------------------


def test_without_a_dispatch_function_there_is_a_plan_and_no_invented_answer() -> None:
    with engine(None) as made:
        result = made.orchestrated_reasoning(TASK)
        assert made.solve(CALM).answer == ""
    assert (result.steps_completed, result.steps_total) == (0, 3)
    assert (result.final_output, result.step_outputs, result.trace) == ("", [], None)
    assert result.quality_score == 0.0
    assert result.job.plan is not None
    assert "nothing was run" in result.job.error


def test_planning_asks_the_model_for_nothing() -> None:
    dispatch = Recorder()
    with engine(dispatch) as made:
        plan = made.plan(CALM)
    assert [step.id for step in plan.steps] == ["roots", "leaves", "advice"]
    assert dispatch.calls == []


def test_a_task_that_no_template_fits_still_has_a_plan() -> None:
    with engine(None, templates=library(box=True)) as made:
        plan = made.plan("Zzyzx qwerty blorp")
    assert plan.made_by == "fallback"
    assert len(plan.steps) >= 3


# -- deciding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "orc"),
    [
        ((), True),
        ((3, "NONE", 0.0), True),
        ((3, "none", 0.69), True),
        ((3, "NONE", 0.7), False),
        ((1, "NONE", 0.0), False),
        ((3, "medium", 0.0), True),
        ((3, "Moderate", 0.0), True),
        ((3, "high", 0.0), False),
        ((3, Pressure.CRITICAL, 0.0), False),
    ],
)
def test_the_gate_can_be_asked(arguments: tuple[Any, ...], orc: bool) -> None:
    with engine(None) as made:
        assert made.should_use_orc(*arguments) is orc


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0,), "task_complexity"),
        ((6,), "task_complexity"),
        ((2.5,), "task_complexity"),
        ((True,), "task_complexity"),
        ((3, "EXTREME"), "EXTREME"),
        ((3, "NONE", 1.1), "probe_quality"),
        ((3, "NONE", float("nan")), "probe_quality"),
        ((3, "NONE", "0.5"), "probe_quality"),
    ],
)
def test_wrong_values_are_clear_errors(arguments: tuple[Any, ...], named: str) -> None:
    with engine(None) as made, pytest.raises(ConfigError, match=named):
        made.should_use_orc(*arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"model_capability": 7}, "model_capability"),
        ({"model_capability": -1}, "model_capability"),
        ({"model_capability": "2"}, "model_capability"),
        ({"dispatch_fn": "not a function"}, "dispatch_fn"),
        ({"config": {"enabled": True}}, "config"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        MetaLearningEngine(**arguments)


@pytest.mark.parametrize("task", ["", "   ", None, 5])
def test_an_empty_task_is_refused(task: Any) -> None:
    with engine(Recorder()) as made, pytest.raises(UsageError, match="no task"):
        made.solve(task)


# -- the rest --------------------------------------------------------------------------------------


def test_the_result_is_a_value_that_can_be_kept() -> None:
    with engine(Recorder()) as made:
        result = made.orchestrated_reasoning(TASK)
    assert ORCResult.model_validate_json(result.model_dump_json()) == result


def test_a_durable_call_without_a_client_says_what_is_missing() -> None:
    async def submit() -> None:
        with engine(Recorder()) as made:
            await made.submit(CALM)

    with pytest.raises(UsageError, match="Temporal client"):
        asyncio.run(submit())


def test_a_task_object_may_carry_everything() -> None:
    task = Task(text="Anything at all", template="garden", orc="on", pressure=Pressure.NONE)
    with engine(Recorder({**GOOD, "Anything": ADVICE})) as made:
        assert made.solve(task).template == "garden"


def test_a_wrong_input_is_told_in_the_result(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), engine(Recorder()) as made:
        result = made.solve(CALM.model_copy(update={"inputs": {"nonsense": 1}}))
    assert result.status == "failed"
    assert "nonsense" in result.error
    assert caplog.records == []  # a mistake of the caller is no bug of ours


def test_every_error_of_the_engine_is_one_clear_line() -> None:
    with engine(None) as made, pytest.raises(CRPError) as caught:
        made.plan(Task(text=TASK, template="gardn"))
    assert "\n" not in str(caught.value)
    assert "garden" in str(caught.value)
