"""Whatever a template file, its tests or a model's answer holds: no crash, no hang, no flood.

CRP_FUZZ_SEED and CRP_FUZZ_COUNT (a factor) give other and longer runs; what an input may cost is
said in `tests/support/fuzz/`, which also runs alone:

    python -m tests.support.fuzz.run templates 7 0 100000 /tmp --keep-going
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = os.environ.get("CRP_FUZZ_SEED", "1")
FACTOR = float(os.environ.get("CRP_FUZZ_COUNT", "1"))
COUNTS = {"templates": 8000, "bundles": 1500, "bytes": 1500, "giants": 40, "answers": 400}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_nothing_that_is_read_crashes_hangs_or_floods_the_memory(kind: str, tmp_path: Path) -> None:
    count = int(COUNTS[kind] * FACTOR)
    command = [sys.executable, "-m", "tests.support.fuzz.run", kind, SEED, "0", str(count)]
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONSAFEPATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    read = sum(report.get(word, 0) for word in ("refused", "loaded", "answered"))
    assert read == count
    assert report["megabytes"] < 200


def test_there_are_at_least_ten_thousand_mutations() -> None:
    assert sum(COUNTS[kind] for kind in ("templates", "bundles", "bytes")) >= 10_000
