"""How a client reaches a Temporal of the user's own: TLS, client certificates, keys, profiles.

Reads the files and variables that the settings name, and Temporal's own configuration file where
they name a profile of it; ours win. Nothing of what it reads is part of an error.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crp.config import TemporalSettings, temporal_profile
from crp.errors import ConfigError

if TYPE_CHECKING:
    from temporalio.service import TLSConfig


def arguments(given: TemporalSettings) -> dict[str, Any]:
    """Give what `Client.connect` needs beside the address and what is ours. Raises ConfigError."""
    found: dict[str, Any] = {}
    if given.profile:
        found |= temporal_profile(given.profile).to_client_connect_config()
    ours: dict[str, Any] = {"namespace": given.namespace}
    if key := api_key(given):
        ours["api_key"] = key
    if (own := tls(given)) is not None:
        ours["tls"] = own
    kept: dict[str, Any] = {
        name: found[name] for name in ("api_key", "tls", "rpc_metadata") if name in found
    }
    return kept | ours


HANDSHAKES = {
    r"UnknownIssuer": "its certificate was signed by nobody we trust: name the signer's "
    "certificate in temporal.tls_ca_file",
    r"NotValidForName": "its certificate is for another name: set temporal.tls_server_name",
    r"Expired": "its certificate has expired",
    r"InvalidCertificate": "its certificate can not be used",
    r"InvalidMessage|corrupt message": "it does not speak TLS",
    r"transport error|operation was canceled": "the connection broke right after it was made; a "
    "server that wants another certificate of ours, or one at all, does that: see "
    "temporal.tls_cert_file",
    r"client_cert|private key": "our certificate and its key can not be used",
}
"""What the core says of a connection that is not made, and what it means."""


def explained(error: Exception) -> str:
    """Say in one line why there is no connection."""
    text = str(error).strip() or type(error).__name__
    known = next((what for mark, what in HANDSHAKES.items() if re.search(mark, text)), "")
    if known:
        return known
    # The last message in what the core says, which wraps it several times.
    messages = re.findall(r'message: "([^"]+)"', text)
    return messages[-1] if messages else text.splitlines()[0]


def api_key(given: TemporalSettings) -> str | None:
    """Read the API key. Raises ConfigError when its variable or its file is not there."""
    if given.api_key_env:
        if key := os.environ.get(given.api_key_env, "").strip():
            return _sendable(key, "api_key_env")
        what = f"the variable {given.api_key_env!r} is not set"
        raise ConfigError(f"setting temporal.api_key_env: {what}")
    if given.api_key_file:
        text = _read("api_key_file", given.api_key_file).decode("ascii", "replace").strip()
        return _sendable(text, "api_key_file")
    return None


def tls(given: TemporalSettings) -> TLSConfig | bool | None:
    """Give the TLS of our own settings; None where they say nothing of it."""
    from temporalio.service import TLSConfig

    files = (given.tls_ca_file, given.tls_cert_file, given.tls_server_name)
    if not any(files):
        return given.tls or None
    return TLSConfig(
        server_root_ca_cert=_certificate("tls_ca_file", given.tls_ca_file),
        client_cert=_certificate("tls_cert_file", given.tls_cert_file),
        client_private_key=_certificate("tls_key_file", given.tls_key_file),
        domain=given.tls_server_name or None,
    )


def _certificate(setting: str, path: str) -> bytes | None:
    if not path:
        return None
    data = _read(setting, path)
    if b"-----BEGIN " not in data:
        raise ConfigError(f"setting temporal.{setting}: {path} is not a PEM file")
    return data


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        what = f"{path} can not be read: {error.strerror or error}"
        raise ConfigError(f"setting temporal.{setting}: {what}") from None


def _sendable(key: str, setting: str) -> str:
    # gRPC would name the whole header, key included, in its error.
    if not key or not (key.isascii() and key.isprintable()):
        raise ConfigError(f"setting temporal.{setting}: what it names is not a key")
    return key
