"""The library of finished chains: what it keeps, what it offers to a job, what it retires."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from crp.models.base import Quality, Wire


class ReasoningStep(BaseModel):
    """One step of a reasoning chain, as it is shown in worked examples."""

    step_description: str = ""
    system_prompt_template: str = ""
    expected_output_format: str = ""
    scaffold_level: int = Field(default=0, ge=0, le=3)


class ReasoningTrace(BaseModel):
    """A finished chain that may serve as an example. `created_at` is in Unix seconds."""

    model_config = ConfigDict(validate_assignment=True, ser_json_inf_nan="constants")

    trace_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    task_type: str = ""
    task_summary: str = ""
    steps: list[ReasoningStep] = Field(default_factory=list)
    model_class: str = ""
    quality_score: Quality = 0.0
    created_at: float = Field(default_factory=time.time)
    usage_count: int = Field(default=0, ge=0)

    def to_dict(self) -> dict[str, Any]:
        """Give the trace as JSON data, in the form of the reference implementation."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote. Unknown keys are ignored, missing ones get defaults."""
        return cls.model_validate(dict(data))


class Evidence(Wire):
    """What the store knows about this template with this model."""

    jobs: int
    """Jobs in which probe and chain were both scored."""
    lift: float
    """Mean of chain quality minus probe quality."""
    low: float
    high: float
    """The 95% interval of the lift."""


class Example(Wire):
    """One trace that was offered to a job."""

    trace: ReasoningTrace
    overlap: int
    """Words that task and trace share."""
    similarity: Quality
    """Jaccard: shared words over all words of both."""
    rank: int


class Receipt(Wire):
    """Where the trace store keeps what it decided: the entry of its journal, and when.

    It lies in the histories too, so that a store can be made again from them, row by row.
    """

    sequence: int
    at: datetime


class Offer(Wire):
    """One trace that was found for a job."""

    trace_id: str
    rank: int
    overlap: int
    similarity: Quality
    usage_count: int = 0
    """How often it had been shown before this job."""


class Retrieved(Wire):
    examples: tuple[Example, ...] = ()
    held_out: bool = False
    """The job was chosen to run without examples."""
    candidates: int = 0
    evidence: Evidence | None = None
    note: str = ""
    offers: tuple[Offer, ...] = ()
    """What was found, also when the job was held out."""
    receipt: Receipt | None = None


class Recorded(Wire):
    """The store's answer to a record."""

    job_id: str
    duplicate: bool = False
    stored: bool = False
    reason: str = ""
    curation_due: bool = False
    receipt: Receipt | None = None


class Retired(Wire):
    """One trace that curation took out of the library, and why."""

    trace_id: str
    task_type: str = ""
    reason: str
    detail: str = ""
    quality: float = 0.0
    usage_count: int = 0
    later_jobs: int = 0


class CurationReport(Wire):
    considered: int = 0
    retired: int = 0
    reasons: dict[str, int] = Field(default_factory=dict)
    traces: tuple[Retired, ...] = ()
    """Those that were retired."""
    receipt: Receipt | None = None
