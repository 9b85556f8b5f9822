"""Callers that show a client certificate: what each may do."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from cuvee.config import CertificateConfig, Scope
from cuvee.errors import Unauthenticated
from cuvee.serving.access.caller import Caller, Kind

__all__ = ["ClientCertificates"]

KEPT = 10_000
"""Certificates that are remembered."""


class ClientCertificates:
    """Finds callers by the certificates that gRPC has checked when they connected."""

    def __init__(self, entries: Sequence[CertificateConfig], *, all_scopes: bool) -> None:
        """``all_scopes``: whoever has a certificate may do everything; otherwise who has an entry, what it says."""
        self._entries = entries
        self._all = all_scopes
        self._known: OrderedDict[bytes, tuple[Caller | None, float]] = OrderedDict()

    def caller(self, pem: bytes, now: float) -> Caller | None:
        """Who holds a certificate; None where no entry names it. ``now``: seconds since 1970.

        Raises:
            Unauthenticated: it has expired since the connection was made.
        """
        digest = hashlib.sha256(pem).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = self._read(pem)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        caller, until = known
        if now >= until:
            raise Unauthenticated("the client certificate has expired")
        return caller

    def _read(self, pem: bytes) -> tuple[Caller | None, float]:
        certificate = x509.load_pem_x509_certificate(pem)
        names, subject = list(_names(certificate)), certificate.subject.rfc4514_string()
        until = certificate.not_valid_after_utc.timestamp()
        who = names[0] if names else subject
        if self._all:
            return Caller(who, Kind.CERTIFICATE, frozenset(Scope)), until
        for entry in self._entries:
            if (entry.name and entry.name in names) or (entry.subject and entry.subject == subject):
                products = None if entry.products is None else frozenset(entry.products)
                return Caller(entry.name or subject, Kind.CERTIFICATE, frozenset(entry.scopes), products), until
        return None, until


def _names(certificate: x509.Certificate) -> Iterable[str]:
    """The subject alternative names that are texts; without any, the common name."""
    try:
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not isinstance(names, x509.SubjectAlternativeName):
        return []
    return [
        one.value for one in names if isinstance(one, x509.DNSName | x509.UniformResourceIdentifier | x509.RFC822Name)
    ]
