"""The statistics of a paired comparison: bootstrap interval, sign-flip p, Holm. Pure, seeded."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean

SEED = 20_260_701
RESAMPLES = 10_000
EXACT_UP_TO = 14
"""Pairs; up to here every one of the 2^n sign patterns is counted."""


def interval(values: Sequence[float], seed: int = SEED) -> tuple[float, float]:
    """Give the 95% percentile bootstrap interval of the mean."""
    if not values:
        return 0.0, 0.0
    draw = random.Random(seed)
    size = len(values)
    means = sorted(fmean(draw.choices(values, k=size)) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def sign_flip(differences: Sequence[float], seed: int = SEED) -> float:
    """Give the two-sided p of "the signs of these differences are chance"."""
    found = abs(sum(differences)) - 1e-12
    if not differences or found <= 0:
        return 1.0
    if len(differences) <= EXACT_UP_TO:
        signs = product((1, -1), repeat=len(differences))
        hits = [abs(_signed(differences, pattern)) >= found for pattern in signs]
        return sum(hits) / len(hits)
    draw = random.Random(seed)
    patterns = (draw.choices((1, -1), k=len(differences)) for _ in range(RESAMPLES))
    as_far = sum(abs(_signed(differences, pattern)) >= found for pattern in patterns)
    return (as_far + 1) / (RESAMPLES + 1)


def _signed(values: Sequence[float], signs: Sequence[int]) -> float:
    return sum(value * sign for value, sign in zip(values, signs, strict=True))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Correct several p for being several."""
    corrected: dict[str, float] = {}
    highest = 0.0
    ordered = sorted(values, key=lambda name: values[name])
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, values[name] * (len(ordered) - rank)))
        corrected[name] = highest
    return corrected
