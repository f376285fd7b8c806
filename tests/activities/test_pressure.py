"""Pressure: normal work is no pressure, trouble is named, and the level does not flap."""

from __future__ import annotations

from pathlib import Path

import pytest

from crp.errors import ConfigError
from crp.models import Pressure
from crp_activities import pressure
from crp_activities.pressure import Pressures, judge, measure, sample, with_overrides


@pytest.mark.parametrize(
    ("memory", "load", "wait", "level"),
    [
        (0.0, 0.0, 0.0, Pressure.NONE),
        (0.7, 2.5, 50, Pressure.NONE),  # two busy cores that run the model itself
        (0.80, 1, 0, Pressure.LOW),
        (0.5, 5, 0, Pressure.MODERATE),
        (0.5, 1, 900, Pressure.HIGH),
        (0.925, 1, 0, Pressure.MODERATE),
        (0.93, 1, 0, Pressure.HIGH),
        (0.97, 0, 0, Pressure.CRITICAL),
        (0.81, 16, 61, Pressure.CRITICAL),
    ],
)
def test_the_worst_of_three_decides(
    memory: float, load: float, wait: float, level: Pressure
) -> None:
    reading = judge(memory, load, wait)
    assert reading.pressure is level
    assert (reading.memory_used, reading.load, reading.wait) == (memory, load, wait)


def test_the_reason_names_what_decided() -> None:
    assert judge(0.5, 1, 930).reason == "model calls wait 930 s for a slot (HIGH from 900)"
    assert judge(0.5, 1, 0).reason.startswith("nothing is scarce: 50% of the memory is used")


def test_the_table_in_the_documentation_is_the_one_that_is_used() -> None:
    rows = {
        line.split()[0]: line.split()[1:]
        for line in (pressure.__doc__ or "").splitlines()
        if line.startswith(("LOW", "MODERATE  ", "HIGH   ", "CRITICAL"))
    }
    for index, level in enumerate(pressure.LEVELS):
        memory, _percent, load, wait = rows[level.name]
        expected = tuple(pressure.THRESHOLDS[kind][index] for kind in ("memory", "load", "wait"))
        assert (float(memory) / 100, float(load), float(wait)) == expected


def test_a_level_is_left_only_with_a_margin() -> None:
    figures = iter([0.5, 0.93, 0.92, 0.85, 0.83, 0.70, 0.93])
    pressures = Pressures(measure=lambda: (next(figures), 0.0))
    levels = [pressures.sample(0).pressure.name for _ in range(7)]
    assert levels == ["NONE", "HIGH", "HIGH", "HIGH", "MODERATE", "NONE", "HIGH"]


def test_a_level_that_is_held_says_why() -> None:
    waits = iter([930.0, 890.0])
    pressures = Pressures(measure=lambda: (0.1, 0.1))
    for wait in waits:
        reading = pressures.sample(wait)
    assert reading.pressure is Pressure.HIGH
    assert "still HIGH until it is clearly over" in reading.reason


def test_thresholds_can_be_moved() -> None:
    assert sample(5.0, {"wait_low": 4.0}).pressure >= Pressure.LOW
    moved = with_overrides({"memory_critical": 0.99, "memory_high": 0.98})
    assert judge(0.975, 0, 0, moved).pressure is Pressure.MODERATE


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"cpu_high": 1.0}, "no pressure threshold 'cpu_high': there are memory_low, "),
        ({"wait_high": float("nan")}, "wait_high must be above 0"),
        ({"wait_high": -1.0}, "wait_high must be above 0"),
        ({"load_low": 100.0}, "of load must rise with the level: 100 ≤ 5 ≤ 8 ≤ 16"),
    ],
)
def test_a_wrong_threshold_is_a_clear_error(overrides: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pressures(overrides)
    assert words in str(caught.value)


def test_this_machine_can_be_measured() -> None:
    memory, load = measure()
    assert 0 < memory <= 1
    assert load >= 0


def test_the_limit_of_a_container_counts_without_the_cache(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 400\n")
    assert pressure._container_memory(tmp_path) == 0.5
    (tmp_path / "memory.max").write_text("max\n")
    assert pressure._container_memory(tmp_path) == 0.0
    assert pressure._container_memory(tmp_path / "no cgroup") == 0.0
