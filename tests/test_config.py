"""Settings: what is wrong is said in one line, and a key is never in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crp.config import load_settings
from crp.errors import ConfigError


def refused(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings(home)
    return str(caught.value)


def test_a_key_that_was_put_where_none_belongs_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(tmp_path, monkeypatch, "CRP_MODELS__DEFAULT__API_KEY", "sk-secret-1")
    assert "models.default.api_key" in said
    assert "api_key_env" in said
    assert "secret" not in said


@pytest.mark.parametrize("name", ["TIMEOUT", "INPUT_PRICE", "OUTPUT_PRICE", "REPEAT_PENALTY"])
def test_a_number_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It has no form in JSON: the job would arrive with nothing in its place."""
    said = refused(tmp_path, monkeypatch, f"CRP_MODELS__DEFAULT__{name}", "inf")
    assert f"models.default.{name.lower()}" in said


def test_one_field_of_the_default_changes_the_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRP_MODELS__DEFAULT__TIMEOUT", "10")
    default = load_settings(tmp_path).profiles()["default"]
    assert (default.provider, default.timeout, default.capability) == ("embedded", 10, 0)


def test_a_password_in_an_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRP_MODELS__DEFAULT__BASE_URL", "http://me:hunter2@example.org/v1")
    with pytest.raises(ConfigError, match="api_key_env") as caught:
        load_settings(tmp_path)
    assert "hunter2" not in str(caught.value)
