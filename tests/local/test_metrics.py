"""The metrics page of a worker: the engine's own counts beside those of Temporal's SDK."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from crp.local.ports import choose_port
from tests.cli.conftest import Cli
from tests.faults.conftest import ANSWER, CHAIN
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.slow


class Counted(Cli):
    """An engine with a metrics page."""

    port = 0

    @property
    def environment(self) -> dict[str, str]:
        address = f"127.0.0.1:{self.port}"
        return {**super().environment, "CRP_TELEMETRY__PROMETHEUS": address}

    def page(self, port: int) -> dict[str, float]:
        """What is counted: `name{labels}` to value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        values = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in values if name}

    def worker(self) -> dict[str, float]:
        return self.page(self.port)

    def store(self) -> dict[str, float]:
        return self.page(self.port + 1)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(text=ANSWER) as serving:
        yield serving


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    made = Counted(tmp_path_factory.mktemp("counted"))
    made.port = choose_port("", 0, 0)
    (made.work / "templates").mkdir()
    (made.work / "templates" / "chain.yaml").write_text(CHAIN)
    yield made
    made.end()


def total(page: dict[str, float], name: str, **labels: str) -> float:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for key, value in page.items()
        if re.split(r"[{ ]", key)[0] == name and all(w in key for w in wanted)
    )


def test_one_page_has_the_counts_of_the_engine_and_of_the_sdk(
    counted: Counted, server: ModelServer
) -> None:
    where = ["--base-url", server.base_url, "--model", "behave/ok", "--capability", "1"]
    done = counted.run("run", "the chain that is counted", "-t", "chain", *where)
    assert done.returncode == 0, done.stderr
    page = counted.worker()
    model = {"model": "behave/ok"}
    assert total(page, "crp_model_calls_total", **model, outcome="ok") == server.calls == 4
    assert total(page, "crp_model_call_seconds_count", **model) == 4
    assert total(page, "crp_attempts_total", **model, stage="execute", status="ok") == 4
    assert total(page, "crp_model_tokens_total", **model, direction="output") == 4 * len(
        ANSWER.split()
    )
    assert total(page, "crp_queue_wait_seconds_count", **model) == 4
    assert total(page, "crp_answers_replayed_total") == 0
    assert total(page, "crp_jobs_started_total") == 1
    assert total(page, "crp_jobs_ended_total", status="completed") == 1
    assert total(page, "temporal_request_total") > 0
    kept = counted.store()
    assert total(kept, "crp_store_records_total", status="completed") == 1
    assert total(kept, "crp_store_landing_seconds_count") == 1
    assert total(kept, "crp_model_calls_total") == 0


def test_calls_that_fail_are_counted_by_their_error_and_attempts_by_their_level(
    counted: Counted, server: ModelServer
) -> None:
    where = ["--base-url", server.base_url, "--model", "behave/status:400", "--capability", "1"]
    counted.run("run", "the chain that breaks", "-t", "chain", *where)
    page = counted.worker()
    assert total(page, "crp_model_calls_total", model="behave/status:400", outcome="ModelRefused")
    assert total(page, "crp_model_calls_total", model="behave/status:400", outcome="ok") == 0
    assert total(page, "crp_jobs_ended_total", status="failed") == 1


def test_a_port_that_is_taken_ends_the_worker_with_one_line_that_names_the_setting(
    counted: Counted,
) -> None:
    counted.worker()  # it is there
    environment = {**counted.environment, "CRP_TEMPORAL__ADDRESS": "127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "crp", "worker", "--home", str(counted.home / "other")],
        env=environment,
        cwd=counted.work,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5
    assert "telemetry.prometheus" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_listens_on_another_address_than_the_one_given(counted: Counted) -> None:
    listening = Path("/proc/net/tcp")
    if not listening.exists():
        pytest.skip("no /proc here")
    ports = {f"{counted.port:04X}", f"{counted.port + 1:04X}"}
    rows = [line.split() for line in listening.read_text().splitlines()[1:]]
    found = [row[1] for row in rows if row[1].split(":")[1] in ports and row[3] == "0A"]
    assert len(found) == 2
    assert all(address.startswith("0100007F:") for address in found)
