"""How values travel through Temporal: as pydantic JSON, and the big ones by reference.

Temporal refuses payloads over 2 MB (a result that is too big is even tried again: the model call
behind it is paid for again) and keeps every payload in its database for as long as the history.
So what is bigger than a threshold goes to the blob store, and only its sha256 to the server. Equal
payloads, such as the brief that all calls of a job share, lie there once. A payload belongs to its
job, also when no history names it: answers of queries do not come into one. Blobs must live at
least as long as histories, and every worker and client needs the same directory.

Where there are keys, payloads are encrypted first, the blobs too, and so are the messages and stack
traces of failures, which Temporal would keep beside the payloads.

Import it where clients and workers are made, never in workflow code: it does I/O.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from google.protobuf.json_format import Parse
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1.external_storage_pb2 import ExternalStorageReference
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    ExternalStorage,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from crp.blobs import BlobStore
from crp.codec import EncryptionCodec
from crp.encryption import Keyring
from crp.errors import StoreError

DRIVER = "crp-blobs"
"""Part of every reference in a history: never change it."""
_REFERENCE = ExternalStorageReference.DESCRIPTOR.full_name.encode()


def data_converter(
    blobs: BlobStore | None, threshold: int = 4096, keys: Keyring | None = None
) -> DataConverter:
    """Make the converter for clients, workers and replayers.

    Payloads of at least `threshold` bytes go to `blobs`; with None everything stays in Temporal.
    Without keys nothing is encrypted, and what is can not be read: KeyMissing says so.
    """
    storage = (
        ExternalStorage(drivers=[BlobDriver(blobs)], payload_size_threshold=threshold)
        if blobs is not None
        else None
    )
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(keys or Keyring()),
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if keys else DefaultFailureConverter
        ),
        external_storage=storage,
    )


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

    def fetched(self, payload: Payload) -> Payload:
        """Give what a reference to this store refers to, and any other payload as it is.

        Raises NotFound and StoreError.
        """
        if payload.metadata.get("messageType") != _REFERENCE:
            return payload
        reference = Parse(payload.data, ExternalStorageReference())
        if reference.driver_name != DRIVER:
            return payload
        return self._get(StorageDriverClaim(claim_data=dict(reference.claim_data)))

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
