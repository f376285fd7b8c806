"""How one payload is encrypted: AES-256-GCM under a key that is known by its id. Pure.

A small text gets a random nonce. A large one gets the nonce from itself and its job (HMAC-SHA256
under a key of its own), so that equal texts of one job are equal bytes and lie in the blob store
once; who reads the disk learns that they are equal, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crp.errors import StoreError

DERIVED_BYTES = 32
NONCE_BYTES = 12
LARGE = 4096
"""Bytes from which a payload goes to the blob store, and equal ones should be equal there."""


class Key:
    """One key. Its parts are derived from it, so that no part is used for two purposes."""

    __slots__ = ("_cipher", "_nonces", "id")

    def __init__(self, secret: bytes) -> None:
        self.id = hashlib.sha256(b"crp key id\0" + secret).hexdigest()[:16]
        self._cipher = AESGCM(_derived(secret, b"crp payloads 1"))
        self._nonces = _derived(secret, b"crp nonces 1")

    def seal(self, data: bytes, job_id: str = "") -> bytes:
        """Encrypt: the nonce, then the sealed bytes."""
        nonce = self._nonce(data, job_id)
        return nonce + self._cipher.encrypt(nonce, data, self.id.encode())

    def open(self, sealed: bytes) -> bytes:
        """Decrypt. Raises StoreError when a single bit is not as it was."""
        try:
            nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, self.id.encode())
        except (InvalidTag, ValueError):
            raise StoreError(f"a payload encrypted with the key {self.id} is damaged") from None

    def _nonce(self, data: bytes, job_id: str) -> bytes:
        if len(data) < LARGE:
            return secrets.token_bytes(NONCE_BYTES)
        scope = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).digest()
        return hmac.digest(self._nonces, scope + data, "sha256")[:NONCE_BYTES]


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=DERIVED_BYTES, salt=None, info=purpose).derive(secret)
