"""The engine as one Temporal plugin: give it to `Client.connect(plugins=[...])`, once.

Worker and Replayer inherit it from the client: data converter with big texts by reference and with
encryption where there are keys, the workflow, the sandbox's pass-through, the failure types. A
Temporal user adds it to a client of their own and runs `crp.worker.workers` or a worker of their
own with it.
"""

from __future__ import annotations

import dataclasses

from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import ReplayerConfig, WorkerConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from crp.blobs import BlobStore
from crp.codec import EncryptionCodec
from crp.converter import data_converter
from crp.encryption import Keyring
from crp.errors import ConfigError, CRPError
from crp.stages import STORE_QUEUE, model_queue
from crp_workflows.reasoning import ReasoningWorkflow

PASS_THROUGH = (
    # Ours: pure by rule, and importing them anew for every workflow costs tens of milliseconds.
    "crp",
    "crp_workflows",
    # What they stand on.
    "jinja2",
    "markupsafe",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "re2",
    "_re2",
    "yaml",
)

BUGS: tuple[type[Exception], ...] = (
    CRPError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    AssertionError,
)
"""What fails a workflow. Otherwise an ordinary exception retries the workflow task for ever and the
job looks as if it ran. A history that does not fit the code is not among them: a wrong deployment
must not end jobs that a right one would finish."""


class CRPPlugin(SimplePlugin):
    """Everything that client, worker and replayer need to agree on."""

    def __init__(
        self, blobs: BlobStore | None = None, threshold: int = 4096, keys: Keyring | None = None
    ) -> None:
        self.blobs = blobs

        def converter(existing: DataConverter | None) -> DataConverter:
            ours = data_converter(blobs, threshold, keys)
            codec = existing.payload_codec if existing else None
            if existing is None or codec is None:
                return ours
            if isinstance(codec, EncryptionCodec):  # a replayer's, from our client
                return ours if keys else existing
            if keys:
                raise ConfigError("the client has a payload codec of its own: give no keys")
            return dataclasses.replace(ours, payload_codec=codec)

        super().__init__(
            "crp",
            data_converter=converter,
            workflow_runner=_pass_through,
            workflow_failure_exception_types=BUGS,
        )

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Add the workflow, except where only a model or the store is served."""
        config = super().configure_worker(config)
        if not config["task_queue"].startswith((STORE_QUEUE, model_queue(""))):
            config["workflows"] = [*config.get("workflows", ()), ReasoningWorkflow]
        return config

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        config = super().configure_replayer(config)
        config["workflows"] = [*config.get("workflows", ()), ReasoningWorkflow]
        return config


def _pass_through(existing: WorkflowRunner | None) -> WorkflowRunner:
    if isinstance(existing, SandboxedWorkflowRunner):
        restrictions = existing.restrictions.with_passthrough_modules(*PASS_THROUGH)
        return dataclasses.replace(existing, restrictions=restrictions)
    return existing or SandboxedWorkflowRunner()
