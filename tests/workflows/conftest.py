from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crp_analytics.store import TraceStore
from tests.workflows.jobs import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with TraceStore.in_memory() as store:
        yield Bench(tmp_path, store)
