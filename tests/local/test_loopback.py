"""Everything of the embedded engine listens on this machine only."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import psutil
import pytest

from crp.local.state import read_state
from tests.cli.conftest import Cli, read_until

pytestmark = pytest.mark.slow


def listening(root: int) -> list[tuple[str, str, int]]:
    """Name, address and port of every socket that a process or its children listen at."""
    family = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    return [
        (process.name(), connection.laddr.ip, connection.laddr.port)
        for process in family
        for connection in process.net_connections("inet")
        # UDP has no listening: a bound socket with no peer takes what comes.
        if connection.status == psutil.CONN_LISTEN
        or (connection.type == 2 and not connection.raddr)
    ]


@pytest.mark.usefixtures("model_cache")
def test_the_engine_with_its_model_and_its_web_page_is_on_loopback_only(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    try:
        up: subprocess.Popen[str] = cli.start("up", "--ui")
        read_until(up, r"logs ")
        found = listening(up.pid)
        state = read_state(cli.home)
    finally:
        cli.end()
    assert {state.port, state.ui_port, state.model_port} <= {port for _, _, port in found}
    outside = [one for one in found if not ipaddress.ip_address(one[1]).is_loopback]
    assert outside == []
