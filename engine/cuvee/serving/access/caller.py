"""Who makes a call, and what he may ask for."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cuvee.config import Scope

__all__ = ["ANYBODY", "Caller", "Kind"]


class Kind(enum.StrEnum):
    """By what a caller has shown who he is."""

    ANONYMOUS = "anonymous"
    """By nothing: this server asks for no credentials."""
    TOKEN = "token"  # noqa: S105 - the name of a kind
    """By a token of ``cuvee token new``."""
    JWT = "jwt"
    """By a token that an identity provider has signed."""
    CERTIFICATE = "certificate"
    """By a client certificate."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One client: all calls with the same credentials have the same caller."""

    id: str
    """Names him in logs and counts, and is no secret: a token's id, a JWT's subject, a certificate's name."""
    kind: Kind
    scopes: frozenset[Scope]
    products: frozenset[str] | None = None
    """The products that he may ask for; None: all."""

    @property
    def key(self) -> str:
        """``kind:id``: no two callers share it."""
        return f"{self.kind}:{self.id}"


ANYBODY = Caller("anybody", Kind.ANONYMOUS, frozenset(Scope))
"""Makes all calls of a server that asks for no credentials."""
