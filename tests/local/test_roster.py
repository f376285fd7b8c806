"""What the children of an engine are started with."""

from crp.config import ModelSettings, load_settings
from crp.local import roster
from crp.local.host import passed_on
from crp.local.state import EngineState

STATE = EngineState(port=20001, model_port=20002, model_name="m", model_key="secret")


def test_a_worker_finds_the_engine_in_its_environment(make, monkeypatch):
    settings = make(temporal={"namespace": "mine"})
    environment = passed_on(settings, {}) | roster.worker_environment(settings, STATE)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings().temporal.address == "127.0.0.1:20001"
    assert load_settings().temporal.namespace == "mine"
    assert environment["CRP_MODEL_URL"] == "http://127.0.0.1:20002/v1"
    assert environment["CRP_MODEL_KEY"] == "secret"


def test_the_store_has_one_owner_and_the_worker_is_another_process(make):
    commands = [child.argv[-5:] for child in roster.workers(make(), STATE)]
    home = str(make().home)
    assert commands == [
        ("worker", "--home", home, "--role", "work"),
        ("worker", "--home", home, "--role", "store"),
    ]


def test_the_key_is_never_on_a_command_line_nor_in_a_printed_engine(make, tmp_path):
    settings = make(models={})
    children = [roster.model(settings, STATE, tmp_path), *roster.workers(settings, STATE)]
    assert not any("secret" in part for child in children for part in child.argv)
    assert "secret" not in repr(STATE.running())
    assert STATE.running().model_key == "secret"


def test_the_embedded_model_is_served_unless_every_model_is_elsewhere(make):
    elsewhere = ModelSettings(base_url="http://127.0.0.1:9/v1", name="x")
    small = ModelSettings(provider="embedded", name="own.gguf")
    assert roster.served_model(make(models={"big": elsewhere})).provider == "embedded"
    assert roster.served_model(make(models={"default": elsewhere})) is None
    assert roster.served_model(make(models={"default": elsewhere, "s": small})) == small
