"""Which release of the code this process runs. Reads the installed distribution."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version


@cache
def installed() -> str:
    """Give the version of the distribution as it was when it was first asked for."""
    return version("durable-crp")
