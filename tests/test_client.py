"""A connection to the embedded engine, whose server may die at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crp import client as client_module
from crp.client import CONNECTS, connect
from crp.config import load_settings
from crp.errors import EngineError


class _Running:
    address = "127.0.0.1:1"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the engine was looked for."""
    looked: list[str] = []

    async def ensure(settings: Any, say: Any) -> _Running:
        looked.append("found")
        return _Running()

    async def no_pause(seconds: float) -> None:
        return None

    monkeypatch.setattr("crp.local.ensure", ensure)
    monkeypatch.setattr("asyncio.sleep", no_pause)
    return looked


async def test_a_server_that_dies_after_it_was_found_is_found_again(
    tmp_path: Path, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect_to(settings: Any, address: str) -> str:
        if len(found) < 3:
            raise EngineError("tcp connect error")
        return "a client"

    monkeypatch.setattr(client_module, "connect_to", connect_to)
    engine = await connect(load_settings(tmp_path))
    assert engine.client == "a client"
    assert len(found) == 3


async def test_a_server_that_never_answers_is_told_in_the_end(
    tmp_path: Path, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect_to(settings: Any, address: str) -> str:
        raise EngineError("tcp connect error")

    monkeypatch.setattr(client_module, "connect_to", connect_to)
    with pytest.raises(EngineError, match="tcp connect error"):
        await connect(load_settings(tmp_path))
    assert len(found) == CONNECTS
