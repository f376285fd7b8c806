"""Prompts and the library of the Python API: scaffolds, envelopes, traces, saving."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crp.advanced.meta_learning import MetaLearningEngine
from crp.errors import ConfigError
from tests.advanced.dispatching import CHAIN, Recorder, engine
from tests.workflows.jobs import ADVICE, TASK, example, library

# -- prompts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "capability", "said"),
    [
        ("light", 3, "what matters most"),
        ("medium", 3, "step by step"),
        ("heavy", 3, "Key concepts"),
        ("auto", 0, "Key concepts"),
        ("auto", 1, "Key concepts"),
        ("auto", 2, "what matters most"),
    ],
)
def test_the_scaffold_has_the_help_of_its_level(level: str, capability: int, said: str) -> None:
    with engine(None, capability=capability, scaffold_level=level) as made:
        assert said in made.build_reasoning_scaffold(TASK)


@pytest.mark.parametrize(
    "config", [{"scaffold_level": "none"}, {"enabled": False}, {"icml_enabled": False}]
)
def test_no_help_means_an_empty_scaffold(config: dict[str, Any]) -> None:
    with engine(None, **config) as made:
        assert made.build_reasoning_scaffold(TASK) == ""


def test_an_envelope_is_base_then_scaffold_then_examples() -> None:
    with engine(None) as made:
        made.store_trace(example())
        text = made.build_metacognitive_envelope(TASK, "BASE")
        scaffold = made.build_reasoning_scaffold(TASK).strip()
    assert text.index("BASE") == 0
    assert 0 < text.index(scaffold) < text.index("Look at the soil") < text.index("Look at the sun")


def test_scaffold_and_examples_are_each_there_on_their_own() -> None:
    with engine(None, scaffold_level="none") as made:
        assert "Look at the soil" in made.build_metacognitive_envelope(TASK, "B", [example()])
        assert made.build_metacognitive_envelope(TASK, "B", []) == "B"
    with engine(None) as made:
        scaffold = made.build_reasoning_scaffold(TASK)
        assert scaffold.strip() in made.build_metacognitive_envelope(TASK, "B", [])


def test_a_list_overrides_retrieval_and_an_empty_one_means_none() -> None:
    with engine(None) as made:
        made.store_trace(example())
        other = example(steps=[{"step_description": "Look at the moon"}])
        given = made.build_metacognitive_envelope(TASK, "B", [other])
        none = made.build_metacognitive_envelope(TASK, "B", [])
        assert made.store.traces()[0].usage_count == 0
    assert "moon" in given
    assert "soil" not in given
    assert "soil" not in none


def test_an_envelope_without_a_base_is_about_the_task() -> None:
    with engine(None) as made:
        assert made.build_metacognitive_envelope(TASK).startswith(TASK)


def test_a_retrieved_example_counts_as_used_once() -> None:
    with engine(None) as made:
        made.store_trace(example())
        made.build_metacognitive_envelope(TASK)
        assert made.store.traces()[0].usage_count == 1


# -- the library ----------------------------------------------------------------------------------


def test_store_trace_takes_what_is_good_enough_once() -> None:
    with engine(None) as made:
        kept = [
            made.store_trace(example("a", quality_score=0.7)),
            made.store_trace(example("b", quality_score=0.69)),
            made.store_trace(example("a", quality_score=0.9)),
        ]
        assert kept == [True, False, False]
        assert made.trace_count == 1


def test_an_engine_survives_the_round_trip_through_json() -> None:
    with engine(None, capability=2, curation_interval=7, scaffold_level="light") as made:
        made.store_trace(example("first", usage_count=4))
        made.store_trace(example("second"))
        data = json.loads(json.dumps(made.to_dict()))
    with MetaLearningEngine.from_dict(data, library=library()) as again:
        assert again.to_dict() == data
        assert (again.model_capability, again.trace_count) == (2, 2)
        assert again.config.curation_interval == 7
        assert {t.usage_count for t in again.store.traces()} == {0, 4}


def test_a_restored_engine_calls_its_new_function() -> None:
    with engine(None) as made:
        data = made.to_dict()
    dispatch = Recorder()
    with MetaLearningEngine.from_dict(data, dispatch, library=library()) as again:
        assert again.solve(CHAIN).answer == ADVICE
    assert len(dispatch.calls) == 3


@pytest.mark.parametrize(
    "data",
    [
        {"format": 99},
        {"config": {"enabled": "perhaps"}},
        {"config": {"unknown": 1}},
        {"traces": [{"quality_score": 7}]},
        {"traces": [5]},
        {"model_capability": 9},
    ],
)
def test_data_that_is_not_an_engine_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        MetaLearningEngine.from_dict(data)
