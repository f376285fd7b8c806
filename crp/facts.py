"""Long facts travel by reference: fifty megabytes must not be part of every message about a job.

Who submits a job puts them into the blob store, in the job's name; activities read them back and
keep the last ones in memory. Workflows never see them. Touches the blob store.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from crp.blobs import BlobStore
from crp.models import Job

LONG = 100_000
"""Characters from which on facts travel by reference."""


def put_away(job: Job, blobs: BlobStore) -> Job:
    """Give the job with long facts by reference. Raises StoreUnavailable."""
    task = job.task
    if task.context_sha256:  # a fork's: the blob must live as long as this job too
        blobs.put(blobs.get(task.context_sha256), job.job_id)
        return job
    if len(task.context) < LONG:
        return job
    sha256 = blobs.put_text(task.context, job.job_id)
    return _with(job, "", sha256)


def whole(job: Job, blobs: BlobStore) -> Job:
    """Give the job with its facts. Raises NotFound when they are gone, StoreError."""
    sha256 = job.task.context_sha256
    if not sha256:
        return job
    return _with(job, _read(blobs.directory, sha256), "")


def _with(job: Job, context: str, sha256: str) -> Job:
    changed = {"context": context, "context_sha256": sha256}
    return job.model_copy(update={"task": job.task.model_copy(update=changed)})


@lru_cache(maxsize=2)
def _read(directory: Path, sha256: str) -> str:
    return BlobStore(directory).get_text(sha256)
