"""Encryption of everything that goes through Temporal: a payload codec over a keyring.

It runs before external storage, so the blobs of payloads are sealed too. The codec is always there:
without keys it encrypts nothing, but says which key is missing when it meets what another process
encrypted. What was written in clear, before there was a key, is still read.

A missing key raises KeyMissing, which is no reason to fail a job: Temporal tries the task again
until a worker with the key takes it, and the log names the key. Touches nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
)

from crp.encryption import Keyring

ENCODING = b"binary/crp-aes-256-gcm"
"""Part of every encrypted payload: never change it."""
KEY_ID = "encryption-key-id"
IN_A_THREAD = 1_000_000
"""Bytes from which the event loop does not wait for the cipher."""


class EncryptionCodec(PayloadCodec, WithSerializationContext):
    """Seal payloads with the first key of a ring, and open them with any of them."""

    def __init__(self, keys: Keyring, job_id: str = "") -> None:
        self.keys = keys
        self._job_id = job_id

    def with_context(self, context: SerializationContext) -> EncryptionCodec:
        """Bind the codec to a job: equal payloads of one job are sealed to equal bytes."""
        if not self.keys:
            return self  # a new codec makes the SDK build a new converter for every payload
        job_id = getattr(context, "workflow_id", None) or ""
        return EncryptionCodec(self.keys, job_id) if job_id != self._job_id else self

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads; gives them as they are where there is no key."""
        return await _each(self.sealed, payloads) if self.keys else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what is encrypted. Raises KeyMissing, and StoreError for what is damaged."""
        if not any(is_encrypted(payload) for payload in payloads):
            return list(payloads)
        return await _each(self.opened, payloads)

    def sealed(self, payload: Payload) -> Payload:
        """Encrypt one payload; gives it as it is where there is no key."""
        key = self.keys.first
        if key is None:
            return payload
        plain = payload.SerializeToString(deterministic=True)
        metadata = {"encoding": ENCODING, KEY_ID: key.id.encode()}
        return Payload(metadata=metadata, data=key.seal(plain, self._job_id))

    def opened(self, payload: Payload) -> Payload:
        """Decrypt one payload, if it is encrypted. Raises KeyMissing and StoreError."""
        if not is_encrypted(payload):
            return payload
        key = self.keys.key(payload.metadata[KEY_ID].decode("ascii", "replace"))
        return Payload.FromString(key.open(payload.data))


def is_encrypted(payload: Payload) -> bool:
    """Whether a payload was sealed by this codec."""
    return payload.metadata.get("encoding") == ENCODING


async def _each(work: Callable[[Payload], Payload], payloads: Sequence[Payload]) -> list[Payload]:
    if sum(len(payload.data) for payload in payloads) < IN_A_THREAD:
        return [work(payload) for payload in payloads]
    return await asyncio.to_thread(lambda: [work(payload) for payload in payloads])
