"""How values travel through Temporal: as pydantic JSON, and the big ones by reference.

Temporal refuses payloads over 2 MB (a result that is too big is even tried again: the model call
behind it is paid for again) and keeps every payload in its database for as long as the history.
So what is bigger than a threshold goes to the blob store, and only its sha256 to the server. Equal
payloads, such as the brief that all calls of a job share, lie there once. A payload belongs to its
job, also when no history names it: answers of queries do not come into one. Blobs must live at
least as long as histories, and every worker and client needs the same directory.

Import it where clients and workers are made, never in workflow code: it does I/O.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    ExternalStorage,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from crp.blobs import BlobStore
from crp.errors import StoreError

DRIVER = "crp-blobs"
"""Part of every reference in a history: never change it."""


def data_converter(blobs: BlobStore | None, threshold: int = 4096) -> DataConverter:
    """Make the converter for clients, workers and replayers.

    Payloads of at least `threshold` bytes go to `blobs`; with None everything stays in Temporal.
    """
    if blobs is None:
        return pydantic_data_converter
    storage = ExternalStorage(drivers=[BlobDriver(blobs)], payload_size_threshold=threshold)
    return dataclasses.replace(pydantic_data_converter, external_storage=storage)


class BlobDriver(StorageDriver):
    """Keep Temporal's payloads in a blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def name(self) -> str:
        return DRIVER

    def type(self) -> str:
        return DRIVER

    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        """Store payloads and return their references; raises StoreUnavailable on a full disk."""
        owner = (context.target and context.target.id) or ""
        return await asyncio.to_thread(lambda: [self._put(payload, owner) for payload in payloads])

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Read payloads back; raises NotFound when one is gone, StoreError when it is damaged."""
        return await asyncio.to_thread(lambda: [self._get(claim) for claim in claims])

    def _put(self, payload: Payload, owner: str) -> StorageDriverClaim:
        # Metadata is a protobuf map: without `deterministic` equal payloads may differ in bytes.
        sha256 = self._blobs.put(payload.SerializeToString(deterministic=True), owner)
        return StorageDriverClaim(claim_data={"sha256": sha256})

    def _get(self, claim: StorageDriverClaim) -> Payload:
        try:
            sha256 = claim.claim_data["sha256"]
        except KeyError:
            raise StoreError(f"a payload reference of {DRIVER!r} without a sha256") from None
        return Payload.FromString(self._blobs.get(sha256))
