"""Who is alive, what is passed on, what is taken: the small parts of the engine."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from crp.config import ModelSettings, load_settings
from crp.errors import EngineError
from crp.local.host import LOG_LIMIT, passed_on, rotate_log
from crp.local.leash import leashed
from crp.local.ports import PORTS, choose_port, port_is_free
from crp.local.state import (
    EngineState,
    ProcessId,
    live_clients,
    mark_client,
    read_state,
    unmark_client,
    write_state,
)
from crp.local.temporal_server import explain


def test_a_process_that_ended_is_gone_even_before_it_is_reaped():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessId.of(process.pid)
    assert identity.process() is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, still a zombie
    assert identity.process() is None
    process.wait()
    process.stdin.close()


def test_another_process_with_the_same_pid_is_not_mistaken():
    me = ProcessId.of(os.getpid())
    assert me.process() is not None
    assert me.model_copy(update={"create_time": me.create_time - 60}).process() is None


def test_only_living_clients_count_and_marks_of_dead_ones_go(tmp_path):
    mark_client(tmp_path)
    (tmp_path / "clients" / "999").write_text(
        ProcessId(pid=999999, create_time=1).model_dump_json()
    )
    (tmp_path / "clients" / "998").write_text("half a ma")
    assert live_clients(tmp_path) == 1
    assert [p.name for p in (tmp_path / "clients").iterdir()] == [str(os.getpid())]
    unmark_client(tmp_path)
    assert live_clients(tmp_path) == 0


def test_a_state_that_can_not_be_read_is_an_engine_that_never_ran(tmp_path):
    (tmp_path / "engine.json").write_text('{"phase": "run')
    assert read_state(tmp_path) == EngineState()


def test_a_state_is_read_as_it_was_written_and_nothing_else_stays(tmp_path):
    state = EngineState(port=20001, supervisor=ProcessId.of(os.getpid()))
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert [p.name for p in tmp_path.iterdir()] == ["engine.json"]


def test_settings_arrive_in_a_child_as_they_are(tmp_path, monkeypatch):
    models = {"default": ModelSettings(base_url="http://127.0.0.1:1/v1", temperature=0.5)}
    settings = load_settings(tmp_path, models=models, cut_points=(1, 2, 3), templates=("t",))
    inherited = {"CRP_MODELS__DEFAULT__NAME": "old", "CRP_MODEL_KEY": "kept"}
    environment = passed_on(settings, inherited)
    assert environment["CRP_MODEL_KEY"] == "kept"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_a_port_of_the_settings_is_taken_or_refused_but_never_replaced():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(port)
        with pytest.raises(EngineError, match="CRP_EMBEDDED__UI_PORT"):
            choose_port("embedded.ui_port", port, 0)
        assert choose_port("embedded.port", 0, port) in PORTS
    assert choose_port("embedded.port", port, 0) == port


def test_two_servers_of_one_engine_never_get_the_same_port():
    first = choose_port("embedded.port", 0, 0)
    assert choose_port("embedded.model_port", 0, first, {first}) != first
    assert choose_port("embedded.model_port", 0, first) == first


def test_only_a_large_log_is_set_aside(tmp_path):
    log = tmp_path / "temporal.log"
    log.write_bytes(b"x" * 10)
    rotate_log(log)
    assert log.exists()
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    rotate_log(log)
    assert not log.exists()
    assert (tmp_path / "temporal.log.1").stat().st_size == LOG_LIMIT + 1


@pytest.mark.skipif(sys.platform != "linux", reason="the leash needs Linux")
def test_a_leashed_child_dies_with_its_parent():
    source = (
        "import subprocess, sys, time\n"
        "from crp.local.leash import leashed\n"
        "p = subprocess.Popen(leashed([sys.executable, '-c', 'import time; print(1, flush=True); "
        "time.sleep(600)']), stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    child = ProcessId.of(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while child.process() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert child.process() is None


@pytest.mark.skipif(sys.platform != "linux", reason="the leash needs Linux")
def test_a_command_that_does_not_exist_is_one_line():
    done = subprocess.run(leashed(["/no/such/binary"]), capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr == "Error: /no/such/binary can not be run: No such file or directory\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("CREATE TABLE: database or disk is full (13)", "make room"),
        ("SQL logic error: no such table: namespaces (1)", "move it away"),
        ("can't set UI port 80: listen tcp: bind: address already in use", "embedded.ui_port"),
        ("attempt to write a readonly database (8)", "who owns it"),
    ],
)
def test_what_the_server_says_is_explained(make, words, expected):
    settings = make()
    settings.home.mkdir()
    assert expected in explain(f"Error: failed starting server: {words}", settings)


def test_what_is_not_known_is_not_explained(make):
    settings = make()
    settings.home.mkdir()
    assert explain("Error: something new", settings) is None
