"""How a server can be watched."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

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
    """Spans of requests, sent to a collector by OTLP over gRPC. Needs the extra ``traces``."""

    endpoint: str = ""
    """``http://host:port``, or ``https://`` for TLS, of a collector. Empty: off. Credentials for it are read from the
    environment variable OTEL_EXPORTER_OTLP_HEADERS alone."""
    certificate: Path | None = None
    """PEM: the authority of the collector's certificate; by default those that gRPC trusts."""
    sample: float = Field(default=0.01, ge=0, le=1)
    """The share of calls that are traced, of those whose caller has not decided that."""
    follow_caller: bool = True
    """Of a call with a ``traceparent``, its caller decides whether it is traced. False: ``sample`` decides; the call
    belongs to the caller's trace all the same."""
    service: str = Field(default="cuvee", min_length=1)
    """The name of this service in traces."""

    @field_validator("endpoint")
    @classmethod
    def _of_a_kind(cls, endpoint: str) -> str:
        if not endpoint:
            return endpoint
        found = re.fullmatch(r"https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})/?", endpoint)
        if found is None or not 0 < int(found[2]) < 65536:
            raise ValueError('must be http://host:port or https://host:port, such as "http://127.0.0.1:4317"')
        if not _installed():
            raise ValueError("needs OpenTelemetry: pip install 'cuvee[traces]', in a checkout '.[traces]'")
        return endpoint


def _installed() -> bool:
    try:
        return (
            find_spec("opentelemetry.sdk") is not None
            and find_spec("opentelemetry.exporter.otlp.proto.grpc") is not None
        )
    except ModuleNotFoundError:  # of a package around it
        return False
