"""Spans, logs and their settings: what is in them, what never is, and that they cost nothing."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from crp.config import load_settings
from crp.errors import ConfigError, RateLimited
from crp.local.children import end_processes
from crp.local.state import read_state
from crp.models import Completion, Message, ModelProfile
from crp.telemetry import conventions, place, tracing
from crp.telemetry.logs import JsonLines, TextLines, log_to_stderr
from crp.telemetry.settings import TelemetrySettings
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest
from crp_analytics.store import TraceStore
from tests.cli.conftest import Cli, read_until
from tests.faults.conftest import ANSWER, CHAIN
from tests.support.model_server import ModelServer
from tests.support.otlp import Collector, Span

SECRET = "the emerald heron"
PROFILE = ModelProfile(
    alias="default", name="qwen3-4b", base_url="http://models.example:8000/v1", capability=1
)
REQUEST = ModelRequest(
    messages=(Message(role="user", content=f"Describe {SECRET}"),),
    model="qwen3-4b",
    max_tokens=77,
    temperature=0.25,
)

# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["9464", "localhost:9464", "127.0.0.1:0", "127.0.0.1:65535"])
def test_metrics_are_served_at_an_ip_and_a_port_and_nowhere_else(address: str) -> None:
    with pytest.raises(ConfigError, match=r"setting telemetry\.prometheus: .*127\.0\.0\.1:9464"):
        load_settings(telemetry={"prometheus": address})


def test_the_stores_owner_takes_the_port_behind_the_workers() -> None:
    settings = TelemetrySettings(prometheus="127.0.0.1:9464")
    roles = ("work", "all", "store")
    assert [settings.metrics_address(role)[-4:] for role in roles] == ["9464", "9464", "9465"]
    assert TelemetrySettings().metrics_address("store") == ""


@pytest.mark.parametrize("address", ["http://me:planted@collector:4318", "collector:4318", "/x"])
def test_an_endpoint_is_an_address_without_a_key_and_the_error_does_not_show_it(
    address: str,
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(telemetry={"otlp_endpoint": address})
    assert "planted" not in str(caught.value)


def test_with_telemetry_off_nothing_of_opentelemetry_is_loaded() -> None:
    code = (
        "import sys, crp.worker, crp.cli.working, crp.client, crp.config\n"
        "from crp.telemetry import metrics, tracing\n"
        "assert tracing.plugins(crp.config.load_settings().telemetry) == []\n"
        "assert metrics.meters() is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_endpoint_without_the_extra_is_told_and_a_variable_may_be_meant_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "_sdk_is_there", lambda: False)
    with pytest.raises(ConfigError, match=r"install durable-crp\[otel\]"):
        tracing.wanted(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert not tracing.wanted(TelemetrySettings())


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", True),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces", True),
        ("OTEL_SERVICE_NAME", "mine", False),
    ],
)
def test_the_standard_variables_turn_spans_on(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert tracing.wanted(TelemetrySettings()) is wanted


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")]
)
def test_the_standard_variables_turn_spans_off(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert not tracing.wanted(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318"))


# -- the span of a model call -----------------------------------------------------------------


class Seen:
    """What left this process."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()

    def spans(self) -> list[Any]:
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
        provider.force_flush()
        return list(self.exporter.get_finished_spans())


@pytest.fixture(scope="module")
def exporting() -> Seen:
    """A process has one tracer provider for its whole life."""
    seen = Seen()
    tracing.start(TelemetrySettings(), exporter=seen.exporter)
    return seen


@pytest.fixture
def seen(exporting: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    exporting.spans()
    exporting.exporter.clear()
    yield exporting
    monkeypatch.undo()


def ask(provider: Any) -> Completion:
    models = Models.of({"default": provider})

    async def asked() -> Completion:
        with place.at(job_id="job-1", stage="execute", step="profile", attempt=2):
            return await models.complete(PROFILE, REQUEST)

    return asyncio.run(asked())


class Answers:
    async def complete(self, request: ModelRequest) -> Completion:
        return Completion(
            text=f"{SECRET} answered",
            model="qwen3-4b-q4",
            prompt_tokens=11,
            completion_tokens=5,
            cached_tokens=3,
        )


class Refuses:
    async def complete(self, request: ModelRequest) -> Completion:
        raise RateLimited(f"too many questions about {SECRET}")


def test_a_model_call_is_one_span_with_the_names_of_the_convention(seen: Seen) -> None:
    ask(Answers())
    (span,) = seen.spans()
    assert (span.name, span.kind.name) == ("chat qwen3-4b", "CLIENT")
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "qwen3-4b",
        "gen_ai.request.max_tokens": 77,
        "gen_ai.request.temperature": 0.25,
        "gen_ai.response.model": "qwen3-4b-q4",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "server.address": "models.example",
        "server.port": 8000,
        "crp.job_id": "job-1",
        "crp.stage": "execute",
        "crp.step": "profile",
        "crp.attempt": 2,
    }
    assert span.instrumentation_scope.schema_url == conventions.SCHEMA
    assert span.resource.attributes["service.name"] == "crp"


def test_a_call_that_fails_is_a_span_with_the_type_of_its_error_and_no_message(seen: Seen) -> None:
    with pytest.raises(RateLimited):
        ask(Refuses())
    (span,) = seen.spans()
    assert span.attributes["error.type"] == "RateLimited"
    assert span.status.status_code.name == "ERROR"
    assert SECRET not in span.to_json()


def test_a_call_that_is_cancelled_is_a_span_too(seen: Seen) -> None:
    class Hangs:
        async def complete(self, request: ModelRequest) -> Completion:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        ask(Hangs())
    (span,) = seen.spans()
    assert span.attributes["error.type"] == "CancelledError"


def test_prompts_and_answers_are_in_spans_only_when_a_setting_says_so(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(Answers())
    assert SECRET not in seen.spans()[0].to_json()
    monkeypatch.setattr(tracing, "_texts", True)
    ask(Answers())
    attributes = seen.spans()[1].attributes
    (asked,) = json.loads(attributes["gen_ai.input.messages"])
    (said,) = json.loads(attributes["gen_ai.output.messages"])
    assert asked["parts"] == [{"type": "text", "content": f"Describe {SECRET}"}]
    assert said["parts"] == [{"type": "text", "content": f"{SECRET} answered"}]


def test_what_others_put_into_spans_leaves_without_messages_and_without_questions(
    seen: Seen,
) -> None:
    from opentelemetry import trace

    tracer = trace.get_tracer("temporal")
    span = tracer.start_as_current_span("RunActivity:execute")
    with pytest.raises(ValueError, match=SECRET), span:
        raise ValueError(SECRET)
    tracer.start_span("QueryWorkflow:events").end()
    (span,) = seen.spans()
    assert SECRET not in span.to_json()
    assert [dict(event.attributes) for event in span.events] == [
        {"exception.type": "ValueError", "exception.escaped": "False"}
    ]


def test_the_store_names_its_columns_after_the_attributes_of_the_span() -> None:
    with TraceStore.in_memory() as store:
        rows = store.sql(
            "select column_name from duckdb_columns() where table_name='attempts'"
        ).rows
    there = {str(row[0]) for row in rows if str(row[0]).startswith("gen_ai_")}
    mapped = {**conventions.asked(PROFILE), **conventions.answered("m", "stop", 1, 1, 0)}
    assert there == {name.replace(".", "_") for name in mapped}


# -- logs -------------------------------------------------------------------------------------


def logged(form: logging.Formatter, message: str, *args: object, **more: Any) -> str:
    logger, stream = logging.Logger("crp.test"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    logger.addHandler(handler)
    logger.warning(message, *args, **more)
    return stream.getvalue()


def test_a_json_log_is_an_object_a_line_that_knows_job_step_and_attempt() -> None:
    with place.at(job_id="job-1", stage="execute", step="profile", attempt=2):
        text = logged(JsonLines(), "%s\nsecond line", "first line")
    assert text.count("\n") == 1
    line = json.loads(text)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "crp.test",
        "message": "first line / second line",
        "job_id": "job-1",
        "stage": "execute",
        "step": "profile",
        "attempt": 2,
    }


def test_a_text_log_names_job_step_and_attempt_in_its_line() -> None:
    with place.at(job_id="job-1", step="profile", attempt=2):
        text = logged(TextLines(), "slow")
    assert text.endswith(" WARNING [job-1 profile#2] crp.test: slow\n")
    assert logged(TextLines(), "slow").endswith(" WARNING crp.test: slow\n")


@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
def test_a_log_line_steers_no_terminal(form: logging.Formatter) -> None:
    text = logged(form, "a\x1b]0;title\x07b\x9bc\u202ed\re")
    assert text.isascii() or text.rstrip("\n").isprintable()
    assert "title" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
def test_what_pydantic_quotes_of_refused_data_is_not_logged(form: logging.Formatter) -> None:
    class Strict(BaseModel):
        number: int

    try:
        Strict.model_validate({"number": SECRET})
    except ValidationError as error:
        text = logged(form, "a bug: %s", error, exc_info=True)
    assert "ValidationError" in text
    assert SECRET not in text


def test_starting_the_log_twice_writes_no_line_twice(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        log_to_stderr("text")
        log_to_stderr("json")
        logging.getLogger("crp.x").info("once")
    finally:
        logging.getLogger().handlers[:] = before
    assert capsys.readouterr().err.count("once") == 1


# -- a real run -------------------------------------------------------------------------------


class Traced(Cli):
    """An engine whose spans go to a collector."""

    def __init__(self, folder: Path, collector: Collector, server: ModelServer) -> None:
        super().__init__(folder)
        self.collector, self.server = collector, server
        (self.work / "templates").mkdir()
        (self.work / "templates" / "chain.yaml").write_text(CHAIN)

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "CRP_TELEMETRY__OTLP_ENDPOINT": self.collector.url,
            "CRP_TELEMETRY__LOG_FORMAT": "json",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        return {**super().environment, **ours}

    def words(self, task: str, behaviour: str) -> list[str]:
        where = ["--base-url", self.server.base_url, "--model", f"behave/{behaviour}"]
        return ["run", task, "-t", "chain", *where, "--capability", "1"]

    def trace_of(self, job_id: str, chats: int) -> list[Span]:
        """The spans of the trace of a job, once its end and so many calls have arrived."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            spans = self.collector.spans
            begun = [s for s in spans if s.attributes.get("temporalWorkflowID") == job_id]
            ours = [s for s in spans if begun and s.trace_id == begun[0].trace_id]
            names = [s.name for s in ours]
            if "RunWorkflow:ReasoningWorkflow" in names and len(chats_of(ours)) >= chats:
                return ours
            time.sleep(0.1)
        raise AssertionError(f"of {job_id} only {[s.name for s in self.collector.spans]} came")

    def logs(self) -> str:
        files = (self.home / "logs").glob("*.log")
        return "\n".join(f.read_text("utf-8") for f in files if f.stem in ("worker", "store"))


def chats_of(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.name.startswith("chat ")]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    with Collector(folder / "spans.jsonl") as collector, ModelServer(text=ANSWER) as server:
        made = Traced(folder, collector, server)
        yield made
        made.end()


def job_of(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("job ")).split()[1]


@pytest.mark.slow
def test_every_model_call_of_a_run_is_one_span_below_its_activity_in_the_trace_of_its_job(
    traced: Traced,
) -> None:
    calls = traced.server.calls
    done = traced.run(*traced.words(f"the chain of {SECRET}", "ok"))
    assert done.returncode == 0, done.stderr
    made = traced.server.calls - calls
    spans = traced.trace_of(job_of(done.stderr), made)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    chats = chats_of(spans)
    assert len(chats) == made == 4
    assert [by_id[s.parent_id].name for s in chats] == ["RunActivity:execute"] * 4
    (root,) = [span for span in spans if not span.parent_id]
    assert root.name == "StartWorkflow:ReasoningWorkflow"
    assert all(span.parent_id in by_id for span in spans if span is not root)
    assert sorted(s.attributes["crp.step"] for s in chats) == ["first", "fourth", "second", "third"]


@pytest.mark.slow
def test_a_worker_that_is_killed_goes_on_in_the_same_trace(traced: Traced) -> None:
    asking = traced.start(*traced.words("the chain that is cut", "late:1"))
    said = read_until(asking, "third: running")
    killed = read_state(traced.home).children["worker"]
    time.sleep(0.3)
    end_processes([killed])
    _, err = asking.communicate(timeout=120)
    assert asking.returncode == 0, err
    spans = traced.trace_of(job_of(said), 4)
    steps = [span.attributes["crp.step"] for span in chats_of(spans)]
    assert sorted(steps) == ["first", "fourth", "second", "third"]
    assert [s.name for s in spans].count("RunWorkflow:ReasoningWorkflow") == 1


@pytest.mark.slow
def test_no_text_of_a_task_or_an_answer_is_in_spans_or_logs(traced: Traced) -> None:
    """Also when calls fail, with what the server says of them."""
    traced.run(*traced.words(f"the chain of {SECRET}", "ok"))
    failed = traced.run(*traced.words(f"the broken chain of {SECRET}", "overflow:vllm"))
    assert "job " in failed.stderr
    assert traced.collector.spans
    for text in (traced.collector.text, traced.logs()):
        assert SECRET not in text
        assert ANSWER not in text
    lines = [json.loads(line) for line in traced.logs().splitlines() if line.strip()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
