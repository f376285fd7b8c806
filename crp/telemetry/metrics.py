"""What is counted, for Prometheus: the engine's own metrics beside those of Temporal's SDK.

Both go through the SDK's meter, so one page shows all. Until `start` has made a runtime with an
address, nothing is counted and nothing listens.

metric                      labels                  counts
crp_model_calls_total       model, outcome          calls that reached a model
crp_model_call_seconds      model, outcome          how long each took
crp_model_tokens_total      model, direction        tokens in and out
crp_attempts_total          model, stage, status    answers that were judged
crp_answers_replayed_total  model                   answers from the journal: not paid again
crp_step_retries_total      model, level            further attempts at a step, by its scaffold
crp_queue_wait_seconds      model                   from scheduled to started
crp_jobs_started_total                              jobs
crp_jobs_ended_total        status                  jobs
crp_store_records_total     status                  records that landed
crp_store_landing_seconds   status                  from a job's end until its record has landed

The two of jobs are counted by the workflow (`crp_workflows.attributes`), which does not count
again when it is replayed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from temporalio.common import MetricCounter, MetricHistogramFloat, MetricMeter
from temporalio.runtime import PrometheusConfig, Runtime

from crp.models import Attempt, Completion, JobRecord

BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds; a small model answers in tenths, a large one may take minutes."""

DURATIONS = {
    "crp_model_call": "How long model calls took.",
    "crp_queue_wait": "From scheduling a model call to its start.",
    "crp_store_landing": "From a job's end until its record has landed.",
}
"""In seconds; Prometheus shows them with `_seconds` behind the name."""

COUNTERS = {
    "crp_model_calls": "Calls that reached a model.",
    "crp_model_tokens": "Tokens that models read and wrote.",
    "crp_attempts": "Answers that were judged.",
    "crp_answers_replayed": "Answers given from the journal.",
    "crp_step_retries": "Further attempts at a step.",
    "crp_store_records": "Records that landed in the trace store.",
}


def config(address: str) -> PrometheusConfig:
    """How metrics are served at `IP:PORT`: with units and suffixes as Prometheus wants them."""
    return PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=dict.fromkeys(DURATIONS, BUCKETS),
    )


class Meters:
    """The engine's metrics on one meter."""

    def __init__(self, meter: MetricMeter) -> None:
        self._meter = meter
        self._counter = cache(self._make_counter)
        self._duration = cache(self._make_duration)

    def call(self, model: str, outcome: str, seconds: float, answer: Completion | None) -> None:
        """Count one call of a model; `outcome` is `ok` or the type of the error."""
        labels = {"model": model, "outcome": outcome}
        self._counter("crp_model_calls").add(1, labels)
        self._duration("crp_model_call").record(seconds, labels)
        if answer is not None:
            tokens = self._counter("crp_model_tokens")
            tokens.add(answer.prompt_tokens, {"model": model, "direction": "input"})
            tokens.add(answer.completion_tokens, {"model": model, "direction": "output"})

    def attempt(self, model: str, attempt: Attempt) -> None:
        """Count one judged answer, wherever it came from."""
        where = {"model": model, "stage": attempt.stage, "status": attempt.status}
        self._counter("crp_attempts").add(1, where)
        self._duration("crp_queue_wait").record(attempt.queued, {"model": model})
        if attempt.replayed:
            self._counter("crp_answers_replayed").add(1, {"model": model})
        if attempt.number > 1:
            level = {"model": model, "level": attempt.level.word}
            self._counter("crp_step_retries").add(1, level)

    def landed(self, record: JobRecord) -> None:
        """Count a record that is in the store now."""
        labels = {"status": record.result.status}
        self._counter("crp_store_records").add(1, labels)
        late = (datetime.now(UTC) - record.finished_at).total_seconds()
        self._duration("crp_store_landing").record(max(0.0, late), labels)

    def _make_counter(self, name: str) -> MetricCounter:
        return self._meter.create_counter(name, COUNTERS[name])

    def _make_duration(self, name: str) -> MetricHistogramFloat:
        return self._meter.create_histogram_float(name, DURATIONS[name], "seconds")


_meters: Meters | None = None


def start(runtime: Runtime) -> None:
    """Count from now on, in this process."""
    global _meters
    _meters = Meters(runtime.metric_meter)


def stop() -> None:
    """Count no more."""
    global _meters
    _meters = None


def meters() -> Meters | None:
    """Give what counts; None, and no cost, when nobody asked for it."""
    return _meters
