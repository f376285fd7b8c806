"""What is installed and deployed: lock files, the wheel's contents, the Compose file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from crp.cli.app import app
from crp.config import Settings

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text("utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(?: ;.*)? \\$", text, re.M)
    return {_plain(name): version for name, version in found}


def wanted(dependencies: list[str]) -> set[str]:
    return {_plain(re.split(r"[<>=!~ \[;]", line)[0]) for line in dependencies}


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_file_pins_everything_that_the_project_asks_for(file: str) -> None:
    assert wanted(PROJECT["project"]["dependencies"]) <= set(pins(file))


def test_the_developers_lock_file_has_the_same_pins_and_the_tools() -> None:
    users, developers = (pins(file) for file in LOCKS)
    assert users.items() <= developers.items()
    assert wanted(PROJECT["dependency-groups"]["dev"]) <= set(developers)


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_file_takes_wheels_only_with_hashes_from_any_index(file: str) -> None:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    assert lines[0] == "--only-binary :all:"
    blocks = re.split(r"^(?=\S)", "\n".join(lines[1:]), flags=re.M)[1:]
    assert blocks
    for block in blocks:
        assert "--hash=sha256:" in block
        assert not re.search(r"://|@|--index|--find-links|[ =]/", block)


@pytest.mark.parametrize("file", [*LOCKS, "Dockerfile", "docker-compose.yml", ".ci/run"])
def test_no_file_of_the_deployment_names_a_package_index(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert not re.search(r"(?<!-)(--index-url|--extra-index-url)|simple/?\s", text)


def test_the_image_has_all_that_the_wheel_is_made_of() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {path.split("/")[0] for path in (*wheel["only-include"], *wheel["force-include"])}
    files = {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], "pyproject.toml"}
    assert kept == {*sources, *files, "requirements.lock"}


def test_all_that_the_compose_file_publishes_is_on_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_compose_file_holds_no_password() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|PWD|KEY|SECRET|TOKEN", name):
                assert value.startswith("${POSTGRES_PASSWORD:?"), name


def test_workers_of_the_compose_file_are_commands_that_there_are() -> None:
    command: Any = get_command(app)
    entry = re.search(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.M)
    assert entry
    assert entry[1] == '["crp"]'
    roles = set()
    for service in COMPOSE["services"].values():
        if "build" in service:
            name, *words = service["command"]
            parameters = command.commands[name].make_context(name, words).params
            roles.add(parameters["role"])
            assert service["volumes"] == ["home:/var/lib/crp"], "one home for all of them"
    assert roles == {"work", "store"}


def test_settings_of_the_compose_file_are_settings_that_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in COMPOSE["services"]["worker"]["environment"].items():
        given = {"CAPABILITY": "2", "BASE_URL": "http://model:8080/v1"}
        monkeypatch.setenv(name, given.get(name.rpartition("__")[2], value))
    settings = Settings(home=tmp_path)
    assert settings.temporal.address == "temporal:7233"
    assert settings.model("default").capability == 2
    assert settings.model("default").provider == "openai"


def test_what_a_service_waits_for_is_there_and_can_be_waited_for() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert how["condition"] in ("service_healthy", "service_completed_successfully")
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
    assert {v.split(":")[0] for s in services.values() for v in s.get("volumes", ())} == set(
        COMPOSE["volumes"]
    )


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    first = re.search(r"^## \[([^\]]+)\]", text, re.M)
    assert first
    assert first[1] == PROJECT["project"]["version"]
