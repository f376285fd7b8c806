"""Which key goes to which server. Reads environment variables and key files, at each call.

A job carries its own model profiles, and a profile may name any address. So a key is only given
to the address that the settings name it for, and OPENAI_API_KEY only to OpenAI itself: nobody can
have a worker's key sent to a server of his own by submitting a job.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from crp.config import ModelSettings, Settings
from crp.errors import ConfigError
from crp.models import ModelProfile

_OPENAI = "api.openai.com"


def key_for(profile: ModelProfile, settings: Settings | None) -> str:
    """Find the key for a profile's address, empty when there is none.

    Raises ConfigError when a setting names a variable or a file that is not there.
    """
    models = dict(settings.models) if settings is not None else {}
    # The job's own alias first: two aliases may share a server and not a key.
    ordered = sorted(models.items(), key=lambda entry: entry[0] != profile.alias)
    for alias, model in ordered:
        if model.provider == "openai" and same_address(model.base_url, profile.base_url):
            key = _read(alias, model)
            if key:
                return key
    if _normal(profile.base_url)[:2] == ("https", _OPENAI):
        return os.environ.get("OPENAI_API_KEY", "").strip()
    return ""


def same_address(one: str, other: str) -> bool:
    """Whether two base URLs mean the same place."""
    return bool(one) and _normal(one) == _normal(other)


def _normal(base_url: str) -> tuple[str, str, str]:
    try:
        parts = urlsplit(base_url.strip())
    except ValueError:  # such as half an IPv6 address: the same as itself only
        return "", "", base_url
    return parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/")


def _read(alias: str, model: ModelSettings) -> str:
    if model.api_key_env:
        key = os.environ.get(model.api_key_env, "")
        if not key.strip():
            raise ConfigError(
                f"setting models.{alias}.api_key_env: the environment variable "
                f"{model.api_key_env!r} is not set"
            )
        return key.strip()
    if model.api_key_file:
        try:
            return Path(model.api_key_file).expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"setting models.{alias}.api_key_file: can not read {model.api_key_file!r}: "
                f"{getattr(error, 'strerror', None) or 'not a text'}"
            ) from None
    return ""
