"""The settings `[telemetry]`: what can be watched from outside, and where. All off by default."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, field_validator


class TelemetrySettings(BaseModel):
    """Spans, metrics and logs."""

    model_config = ConfigDict(extra="forbid")

    otlp_endpoint: str = ""
    """Base address of an OTLP/HTTP receiver, such as http://127.0.0.1:4318; empty: the standard
    OTEL_* variables decide. Its key goes into OTEL_EXPORTER_OTLP_HEADERS."""
    texts: bool = False
    """Put prompts and answers into spans."""
    prometheus: str = ""
    """IP:PORT at which a worker serves its metrics; the store's owner takes the next port."""
    log_format: Literal["text", "json"] = "text"

    @field_validator("otlp_endpoint")
    @classmethod
    def _address(cls, address: str) -> str:
        place = urlsplit(address)
        if "@" in place.netloc:
            raise ValueError(
                "a key or password does not belong here: set it in OTEL_EXPORTER_OTLP_HEADERS"
            )
        if address and (place.scheme not in ("http", "https") or not place.hostname):
            raise ValueError("give the base address of an OTLP/HTTP receiver, http://HOST:PORT")
        return address

    @field_validator("prometheus")
    @classmethod
    def _listens(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not address:
            return address
        try:
            ip_address(host.strip("[]"))
            fits = 1 <= int(port) <= 65534
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("give an IP address and a port, such as 127.0.0.1:9464")
        return address

    def metrics_address(self, role: str) -> str:
        """Where a worker of this role serves its metrics; empty: nowhere."""
        if not self.prometheus or role != "store":
            return self.prometheus
        host, _, port = self.prometheus.rpartition(":")
        return f"{host}:{int(port) + 1}"
