"""Histories of every kind of job and every release are replayed against today's code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from tests.histories.record import KINDS
from tests.support.replay import replay

HISTORIES = sorted(Path(__file__).parent.glob("*/*.json"))


async def _one(path: Path) -> AsyncIterator[WorkflowHistory]:
    yield WorkflowHistory.from_json(path.stem, path.read_text())


@pytest.mark.parametrize("path", HISTORIES, ids=lambda p: f"{p.parent.name}-{p.stem}")
async def test_a_recorded_history_is_decided_again_in_the_same_way(path: Path) -> None:
    assert await replay(_one(path), None) == 1


def test_there_is_a_history_of_every_kind_of_job() -> None:
    assert {path.stem for path in HISTORIES} == set(KINDS)


async def test_a_history_that_does_not_fit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with one stage less the recorded path is not taken."""

    async def without_examples(self: object) -> None:
        return None

    target = "crp_workflows.orchestration.Reasoning._retrieve"
    monkeypatch.setattr(target, without_examples)
    path = next(p for p in HISTORIES if p.stem == "chain")
    with pytest.raises(Exception, match=r"[Nn]ondeterminism"):
        await replay(_one(path), None)
