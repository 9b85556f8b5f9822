"""Who may ask the server, and for what: ``[server.auth]``, ``[server.admin]``, ``[server.audit]``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from cuvee.product import Duration, Table

__all__ = ["AdminConfig", "AuditConfig", "AuthConfig", "CertificateConfig", "JwtConfig", "Scope"]


class Scope(enum.StrEnum):
    """What a caller may do. Each rpc needs exactly one of them (``cuvee.serving.access.rules``)."""

    RECOMMEND = "recommend"
    """Ask for lists, and read items."""
    WRITE = "write"
    """Write events, items and users."""
    PRIVACY = "privacy"
    """Read, export and delete what is known of a user."""
    ADMIN = "admin"
    """See and change what this server serves."""


OptionalPath = Annotated[Path | None, BeforeValidator(lambda given: None if given == "" else given)]
"""A path; an empty text is none, so that an environment variable can leave it out."""
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a private key. Neither ``none`` nor HMAC: whoever can check an HMAC can make one."""


class JwtConfig(Table):
    """Tokens that an identity provider signs: ``[server.auth.jwt]``."""

    jwks: Path
    """The provider's public keys, a JWKS file; it is read again when it changes."""
    issuer: str = Field(min_length=1)
    """What the claim ``iss`` must be."""
    audience: str = Field(min_length=1)
    """What the claim ``aud`` must be, or contain."""
    algorithms: tuple[Algorithm, ...] = Field(("RS256", "ES256", "EdDSA"), min_length=1)
    leeway: Duration = 30.0
    """How far the clocks of the provider and this server may differ."""
    scope_claim: str = Field("scope", min_length=1)
    """Scopes, as one text with spaces or as a list. Names that are no scopes of Cuvée are ignored."""
    products_claim: str = ""
    """The claim with a list of products; a token without it then reaches none. Empty: every token reaches all."""


class CertificateConfig(Table):
    """What the holder of a client certificate may do: ``[[server.auth.certificates]]``."""

    name: str = ""
    """A subject alternative name of the certificate (DNS name, URI, e-mail); its common name where it has none."""
    subject: str = ""
    """Its whole subject, as in RFC 4514: ``CN=shop,O=Example``. One of the two is needed."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    products: tuple[str, ...] | None = None
    """Unset: all."""

    @model_validator(mode="after")
    def _named(self) -> CertificateConfig:
        if bool(self.name) == bool(self.subject):
            raise ValueError('needs one of name = "shop.example" and subject = "CN=shop,O=Example"')
        return self


class AuthConfig(Table):
    """By what callers are known. Without any of these everybody may ask, as far as ``listen`` lets them."""

    tokens: OptionalPath = None
    """The file of ``cuvee token new``; it is read again when it changes."""
    jwt: JwtConfig | None = None
    certificates: tuple[CertificateConfig, ...] = ()
    """With ``[server.tls] client_ca``. Without any of them, and without tokens and jwt, whoever has a
    certificate of that authority may do everything."""

    @property
    def by_header(self) -> bool:
        """Whether callers may show a token."""
        return self.tokens is not None or self.jwt is not None


class AdminConfig(Table):
    """Where AdminService listens; with this table it is not on ``[server] listen``."""

    listen: str = "127.0.0.1:50052"


class AuditConfig(Table):
    """Where calls of AdminService and calls that need the scope ``privacy`` are written down."""

    file: OptionalPath = None
    """JSON lines are appended to it; unset: they go to the log."""
