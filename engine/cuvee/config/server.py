"""Where and how the server listens, and what it grants."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from cuvee.config.telemetry import Metrics, Traces
from cuvee.product import Duration, Table

__all__ = ["Limits", "ServerConfig", "Tls"]


class Tls(Table):
    """Server certificate; with ``client_ca`` clients must show one, too."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Limits(Table):
    """What the server grants."""

    deadline: Duration = 1.0
    """Deadline for callers that set none, and the longest one that a caller may set."""
    threads: int = Field(8, ge=1, le=256)
    """Slots of each source's pool."""
    max_message_bytes: int = Field(4 * 2**20, ge=1024)


class ServerConfig(Table):
    """Where and how the server listens."""

    listen: str = "127.0.0.1:50051"
    reflection: bool = False
    tls: Tls | None = None
    limits: Limits = Limits()
    shutdown_grace: Duration = 10.0
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
