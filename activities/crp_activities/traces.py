"""The store's side of a job: retrieve, record, curate. Thin: calls the store, and the blob store
for the texts that a record names by hash. The store's activities run in the owner only.
"""

from __future__ import annotations

from crp.blobs import BlobStore
from crp.errors import NotFound, StoreError
from crp.models import (
    CurationReport,
    Job,
    JobRecord,
    MetaLearningConfig,
    Recorded,
    Retrieved,
    TemplateSource,
)
from crp.telemetry import metrics
from crp_analytics.store import TraceStore


def retrieve(
    store: TraceStore, job: Job, source: TemplateSource, limit: int, min_quality: float
) -> Retrieved:
    """Find worked examples for a job, and the evidence about its template and model."""
    profile = job.model("default")
    return store.retrieve(
        job_id=job.job_id,
        task=job.task.text,
        task_type=source.name,
        model_class=profile.model_class,
        template_sha256=source.sha256,
        model_name=profile.name,
        limit=limit,
        min_quality=min_quality,
        hold_out=job.config.icml_hold_out,
    )


def record(store: TraceStore, blobs: BlobStore, given: JobRecord) -> Recorded:
    """Land a job's record with its prompts and answers; the same job again changes nothing."""
    recorded = store.record(with_texts(blobs, given))
    if not recorded.duplicate and (meters := metrics.meters()) is not None:
        meters.landed(given)
    return recorded


def with_texts(blobs: BlobStore, given: JobRecord) -> JobRecord:
    """Give a record with the texts that it names by hash, as far as they are there."""
    wanted = {
        sha for a in given.attempts for sha in (a.prompt_sha256, a.raw_sha256) if sha
    } - given.blobs.keys()
    texts = {sha: text for sha in sorted(wanted) if (text := _text(blobs, sha)) is not None}
    return given.model_copy(update={"blobs": {**given.blobs, **texts}})


def curate(store: TraceStore, config: MetaLearningConfig) -> CurationReport:
    """Retire what does not deserve its place in the library."""
    return store.curate(config)


def _text(blobs: BlobStore, sha: str) -> str | None:
    """A prompt that is gone must not keep the whole record from landing."""
    try:
        return blobs.get_text(sha)
    except (NotFound, StoreError):
        return None
