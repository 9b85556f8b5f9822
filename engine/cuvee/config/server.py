"""Where and how the server listens, and what it grants."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationInfo, field_validator

from cuvee.config.access import AdminConfig, AuditConfig, AuthConfig
from cuvee.config.limits import Limits
from cuvee.config.pages import Pages
from cuvee.config.telemetry import Metrics, Traces
from cuvee.product import Duration, Table

__all__ = ["ServerConfig", "Tls"]


class Tls(Table):
    """Server certificate; with ``client_ca`` clients must show one, too. Files are read again when they change."""

    certificate: Path
    """PEM: the certificate, and those between it and its authority."""
    key: Path
    """PEM, without a password."""
    client_ca: Path | None = None


class ServerConfig(Table):
    """Where and how the server listens."""

    listen: str = "127.0.0.1:50051"
    insecure: bool = False
    """Lets everybody who reaches ``listen`` ask, also from other machines. Without it a server that other
    machines reach needs ``auth``, or ``tls`` with ``client_ca``."""
    reflection: bool = False
    tls: Tls | None = None
    auth: AuthConfig = AuthConfig()
    admin: AdminConfig | None = None
    audit: AuditConfig = AuditConfig()
    limits: Limits = Limits()
    shutdown_grace: Duration = 10.0
    metrics: Metrics = Metrics()
    pages: Pages = Pages()
    traces: Traces = Traces()

    @field_validator("auth")
    @classmethod
    def _with_client_ca(cls, auth: AuthConfig, info: ValidationInfo) -> AuthConfig:
        tls = info.data.get("tls")
        if auth.certificates and "tls" in info.data and (tls is None or tls.client_ca is None):
            raise ValueError("certificates of clients are only asked for with [server.tls] client_ca; set it")
        return auth

    @property
    def authenticates(self) -> bool:
        """Whether callers must show who they are."""
        by_certificate = self.tls is not None and self.tls.client_ca is not None
        return self.auth.by_header or by_certificate
