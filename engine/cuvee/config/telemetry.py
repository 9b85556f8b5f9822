"""How a server can be watched: figures for Prometheus, traces for OpenTelemetry."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from cuvee.product import Table

__all__ = ["Metrics", "Traces"]


class Metrics(Table):
    """Figures for Prometheus, by HTTP on a port of their own."""

    listen: str = ""
    """host:port; port 0 takes any free one. Empty: off. There is neither encryption nor a password, and whoever may
    connect reads the names of products and sources: keep the port inside."""

    @field_validator("listen")
    @classmethod
    def _of_a_kind(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if listen and not (host and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536):
            raise ValueError('must be host:port, such as "127.0.0.1:9464", or empty for none')
        return listen


class Traces(Table):
    """Traces for OpenTelemetry, by OTLP over gRPC; needs the extra ``telemetry``."""

    endpoint: str = ""
    """Of a collector: ``http://host:4317``, or ``https://``. Empty: off. Other settings of the exporter, such as
    headers, are OpenTelemetry's environment variables (``OTEL_EXPORTER_OTLP_HEADERS``)."""
    share: float = Field(0.01, ge=0, le=1)
    """Of the requests whose caller sends no ``traceparent``; one that is sent decides."""

    @field_validator("endpoint")
    @classmethod
    def _of_a_kind(cls, endpoint: str) -> str:
        if endpoint and not re.fullmatch(r"https?://[^/\s]+(:[0-9]{1,5})?/?", endpoint):
            raise ValueError('must be http://host:port or https://host:port, such as "http://127.0.0.1:4317", or empty')
        return endpoint
