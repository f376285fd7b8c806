"""How scarce this machine's resources are: one sample, and a level that does not flap.

Reads the machine's memory and load (through psutil and, in a container, the cgroup's limit);
how long model calls wait is told by whoever knows the queue. The highest of the three decides.

HIGH turns orchestration off and MODERATE halves the plan, so both mean real trouble. A machine
that runs the model itself has a load of 1 to 2 per core all day, and the calls of a batch wait a
minute or two: that is not scarce. Thresholds, from which a level begins:

            memory    load per core   wait, seconds
LOW           80 %         3               60
MODERATE      88 %         5              300
HIGH          93 %         8              900
CRITICAL      97 %        16             3600

The settings may move each, by the names `memory_high`, `load_low`, `wait_critical` and so on.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from crp.errors import ConfigError
from crp.models import Pressure, Reading

LEVELS = (Pressure.LOW, Pressure.MODERATE, Pressure.HIGH, Pressure.CRITICAL)

THRESHOLDS: dict[str, tuple[float, float, float, float]] = {
    "memory": (0.80, 0.88, 0.93, 0.97),
    "load": (3.0, 5.0, 8.0, 16.0),
    "wait": (60.0, 300.0, 900.0, 3600.0),
}

MARGIN = 0.9
"""A level is left only when the sample is below this share of its threshold."""

_CGROUP = Path("/sys/fs/cgroup")

Thresholds = Mapping[str, tuple[float, ...]]
Measure = Callable[[], tuple[float, float]]


def sample(wait: float, thresholds: Mapping[str, float] | None = None) -> Reading:
    """Measure once. `wait` is in seconds; `thresholds` are those that differ from the defaults.

    Raises ConfigError for a threshold that does not exist or makes no sense.
    """
    return judge(*measure(), wait, with_overrides(thresholds or {}))


class Pressures:
    """Sample again and again: up at once, down only with a margin."""

    def __init__(
        self, thresholds: Mapping[str, float] | None = None, measure: Measure | None = None
    ) -> None:
        self._thresholds = with_overrides(thresholds or {})
        self._measure = measure or globals()["measure"]
        self._last = Pressure.NONE

    def sample(self, wait: float) -> Reading:
        """Measure, and keep the last level as long as it is not clearly over."""
        memory, load = self._measure()
        reading = judge(memory, load, wait, self._thresholds)
        # Everything a little worse than it is: what still reaches the last level then, is near it.
        doubtful = judge(memory / MARGIN, load / MARGIN, wait / MARGIN, self._thresholds)
        held = min(self._last, doubtful.pressure)
        self._last = max(reading.pressure, held)
        if self._last > reading.pressure:
            reason = f"{reading.reason}; still {self._last.name} until it is clearly over"
            return reading.model_copy(update={"pressure": self._last, "reason": reason})
        return reading


def judge(memory: float, load: float, wait: float, thresholds: Thresholds = THRESHOLDS) -> Reading:
    """Say how much pressure these figures are, and which of them decides. Pure."""
    figures = {"memory": memory, "load": load, "wait": wait}
    levels = {name: _level(value, thresholds[name]) for name, value in figures.items()}
    worst = max(levels, key=lambda name: levels[name])
    texts = {
        "memory": f"{memory:.0%} of the memory is used",
        "load": f"the load is {load:.1f} per core",
        "wait": f"model calls wait {wait:.0f} s for a slot",
    }
    reason = "nothing is scarce: " + ", ".join(texts.values())
    if levels[worst] > Pressure.NONE:
        start = thresholds[worst][levels[worst] - 1]
        reason = f"{texts[worst]} ({levels[worst].name} from {start:g})"
    return Reading(pressure=levels[worst], reason=reason, memory_used=memory, load=load, wait=wait)


def with_overrides(overrides: Mapping[str, float]) -> Thresholds:
    """Put settings over the default thresholds; raises ConfigError with the names there are."""
    table = {name: list(values) for name, values in THRESHOLDS.items()}
    names = {
        f"{kind}_{level.name.lower()}": (kind, level - 1) for kind in table for level in LEVELS
    }
    for name, value in overrides.items():
        if name not in names:
            raise ConfigError(f"no pressure threshold {name!r}: there are {', '.join(names)}")
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"the pressure threshold {name} must be above 0, not {value!r}")
        kind, index = names[name]
        table[kind][index] = value
    for kind, values in table.items():
        if values != sorted(values):
            shown = " ≤ ".join(f"{v:g}" for v in values)
            raise ConfigError(
                f"the pressure thresholds of {kind} must rise with the level: {shown}"
            )
    return {kind: tuple(values) for kind, values in table.items()}


def measure() -> tuple[float, float]:
    """Give the share of memory in use (0 to 1) and the load per core of the last minute."""
    system = psutil.virtual_memory()
    used = 1.0 - system.available / system.total
    load = 0.0
    with contextlib.suppress(OSError):
        load = psutil.getloadavg()[0] / (psutil.cpu_count() or 1)
    return min(max(used, _container_memory(), 0.0), 1.0), load


def _container_memory(root: Path = _CGROUP) -> float:
    """The share of a container's memory limit that is in use (cgroup v2); 0 without a limit."""
    try:
        limit = int((root / "memory.max").read_text())  # "max" is no number: no limit
        current = int((root / "memory.current").read_text())
        pairs = (line.split() for line in (root / "memory.stat").read_text().splitlines())
        # The page cache that the kernel would give back at once is not scarce.
        cache = next((int(value) for name, value in pairs if name == "inactive_file"), 0)
    except (OSError, ValueError):
        return 0.0
    return max(current - cache, 0) / limit if limit > 0 else 0.0


def _level(value: float, starts: tuple[float, ...]) -> Pressure:
    return Pressure(sum(value >= start for start in starts))
