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
import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.json_format import Parse
from pydantic_core import SchemaSerializer, core_schema
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1.external_storage_pb2 import ExternalStorageReference
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    ExternalStorage,
    JSONPlainPayloadConverter,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from crp.blobs import BlobStore
from crp.codec import EncryptionCodec
from crp.encryption import Keyring
from crp.errors import StoreError
from crp.models import Attempt, Call

SMALL = 32_768
"""Bytes up to which a payload is remembered: the brief of a job is wanted by each of its calls."""
REMEMBERED = 512

DRIVER = "crp-blobs"
"""Part of every reference in a history: never change it."""
_REFERENCE = ExternalStorageReference.DESCRIPTOR.full_name.encode()

K = TypeVar("K")
V = TypeVar("V")


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
        DataConverter.default,
        payload_converter_class=Converter,
        payload_codec=EncryptionCodec(keys or Keyring()),
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if keys else DefaultFailureConverter
        ),
        external_storage=storage,
    )


class SparseJSON(PydanticJSONPlainPayloadConverter):
    """Calls and attempts travel without the fields that say nothing: each step has one of each, and
    most of their fields are empty. So the defaults of these two are part of the format."""

    _sparse = SchemaSerializer(core_schema.any_schema())

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, Call | Attempt):
            return super().to_payload(value)
        data = self._sparse.to_json(value, exclude_defaults=True)
        return Payload(metadata={"encoding": self.encoding.encode()}, data=data)


CONVERTERS = tuple(
    SparseJSON() if isinstance(converter, JSONPlainPayloadConverter) else converter
    for converter in DefaultPayloadConverter.default_encoding_payload_converters
)


class Converter(CompositePayloadConverter):
    """Temporal's own converters, with pydantic for JSON. The SDK makes one for each activity."""

    def __init__(self) -> None:
        super().__init__(*CONVERTERS)


class BlobDriver(StorageDriver):
    """Keep Temporal's payloads in a blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._read: dict[str, bytes] = {}
        self._put_for: dict[tuple[str, str], None] = {}
        """What was read and put lately: it saves a way to a thread and back."""

    def name(self) -> str:
        return DRIVER

    def type(self) -> str:
        return DRIVER

    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        """Store payloads and return their references; raises StoreUnavailable on a full disk."""
        owner = (context.target and context.target.id) or ""
        known = [self._known(payload, owner) for payload in payloads]
        if all(known):
            return [_claim(sha256) for sha256 in known]
        return await asyncio.to_thread(lambda: [self._put(payload, owner) for payload in payloads])

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Read payloads back; raises NotFound when one is gone, StoreError when it is damaged."""
        read = [self._read.get(claim.claim_data.get("sha256", "")) for claim in claims]
        if all(read):
            return [Payload.FromString(data) for data in read if data]
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

    def _known(self, payload: Payload, owner: str) -> str:
        """The sha256 of what was put for this owner a moment ago and is still there, or nothing."""
        if len(payload.data) > SMALL:
            return ""
        sha256 = hashlib.sha256(_bytes(payload)).hexdigest()
        return sha256 if (sha256, owner) in self._put_for and sha256 in self._blobs else ""

    def _put(self, payload: Payload, owner: str) -> StorageDriverClaim:
        sha256 = self._blobs.put(_bytes(payload), owner)
        _remember(self._put_for, (sha256, owner), None)
        return _claim(sha256)

    def _get(self, claim: StorageDriverClaim) -> Payload:
        try:
            sha256 = claim.claim_data["sha256"]
        except KeyError:
            raise StoreError(f"a payload reference of {DRIVER!r} without a sha256") from None
        data = self._blobs.get(sha256)
        if len(data) <= SMALL:
            _remember(self._read, sha256, data)
        return Payload.FromString(data)


def _bytes(payload: Payload) -> bytes:
    # Metadata is a protobuf map: without `deterministic` equal payloads may differ in bytes.
    return payload.SerializeToString(deterministic=True)


def _claim(sha256: str) -> StorageDriverClaim:
    return StorageDriverClaim(claim_data={"sha256": sha256})


def _remember(known: dict[K, V], key: K, value: V) -> None:
    known[key] = value
    while len(known) > REMEMBERED:
        known.pop(next(iter(known)), None)  # the oldest
