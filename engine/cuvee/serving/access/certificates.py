"""The server's certificate: read at start, and again when its files change; connections that exist stay as they are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from cuvee.config import Tls
from cuvee.errors import ConfigError, Mistake
from cuvee.serving.access.watching import Watched

__all__ = ["Certificates", "Material", "read_material"]

log = structlog.get_logger(__name__)

DAY = 86_400.0
SOON = 14 * DAY
"""A certificate that is valid for less than this is told of; for short-lived ones it is a fifth of their life."""
TELL_AGAIN = DAY


@dataclass(frozen=True)
class Material:
    """What a handshake needs, as PEM."""

    key: bytes
    chain: bytes
    client_ca: bytes | None
    begins: float
    """Seconds since 1970."""
    ends: float

    def problem(self, now: float) -> str:
        """What is wrong with the certificate's time; empty for nothing."""
        if now >= self.ends:
            return f"has expired {_days(now - self.ends)} ago"
        if now < self.begins:
            return f"is valid in {_days(self.begins - now)} only; is the clock right?"
        if self.ends - now < min(SOON, (self.ends - self.begins) / 5):
            return f"expires in {_days(self.ends - now)}"
        return ""

    def expired(self, now: float) -> bool:
        """Whether no client that checks it will connect."""
        return not self.begins <= now < self.ends


def _days(seconds: float) -> str:
    return f"{seconds / DAY:.1f} days" if seconds > 2 * DAY else f"{seconds / 3600:.1f} hours"


def read_material(root: Path, tls: Tls) -> Material:
    """Read and check the files of ``[server.tls]``.

    Raises:
        ConfigError: with every mistake: a file cannot be read or is no PEM, key and certificate do not fit.
    """
    mistakes: list[Mistake] = []

    def wrong(key: str, message: str) -> None:
        mistakes.append(Mistake(str(root / "cuvee.toml"), f"server.tls.{key}", message))

    def read(key: str, path: Path) -> bytes | None:
        try:
            return (root / path).read_bytes()
        except OSError as problem:
            wrong(key, f"cannot be read: {problem.strerror}: {root / path}")
            return None

    def certificates(key: str, data: bytes | None) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(data) if data is not None else []
        except ValueError:
            wrong(key, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
            return []

    chain, private = read("certificate", tls.certificate), read("key", tls.key)
    client_ca = read("client_ca", tls.client_ca) if tls.client_ca is not None else None
    found = certificates("certificate", chain)
    certificates("client_ca", client_ca)
    try:
        key = load_pem_private_key(private, None) if private is not None else None
    except TypeError:
        wrong("key", "is encrypted with a password; give one without, readable by the server alone")
    except (ValueError, UnsupportedAlgorithm):
        wrong("key", "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
    else:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if (
            key is not None
            and found
            and key.public_key().public_bytes(*form) != found[0].public_key().public_bytes(*form)
        ):
            wrong("key", "is not the key of the certificate")
    if mistakes or private is None or chain is None:
        raise ConfigError(mistakes)
    begins, ends = (t.timestamp() for t in (found[0].not_valid_before_utc, found[0].not_valid_after_utc))
    return Material(private, chain, client_ca, begins, ends)


class Certificates:
    """The certificate of a running server."""

    def __init__(self, root: Path, tls: Tls) -> None:
        """Read the files.

        Raises:
            ConfigError: they are wrong.
        """
        files = [root / path for path in (tls.certificate, tls.key, tls.client_ca) if path is not None]
        self._root, self._tls = root, tls
        self._watched = Watched("the files of [server.tls]", files, self._read)
        self._given = self._watched.value
        self._told, self._told_at = "", float("-inf")

    def _read(self) -> Material:
        found = read_material(self._root, self._tls)
        before = self._watched.value if hasattr(self, "_watched") else None
        now = time.time()
        if before is not None and found.expired(now) and not before.expired(now):
            file = str(self._root / "cuvee.toml")
            raise ConfigError([Mistake(file, "server.tls.certificate", f"the new one {found.problem(now)}")])
        return found

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that take up new files with the next handshake."""

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            # called for each handshake, in a thread of gRPC
            material = self._watched.value
            if material is self._given:
                return None
            self._given = material
            return _configuration(material)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._given),
            fetch,  # type: ignore[arg-type] # None: as before
            require_client_authentication=self._tls.client_ca is not None,
        )

    def look(self, *, at_once: bool = False) -> None:
        """Read the files again if they have changed, and log once a day what is wrong with the certificate's time."""
        self._watched.look(at_once=at_once)
        problem = self._watched.value.problem(time.time())
        kind, now = problem.partition(" ")[0], time.monotonic()
        if problem and (kind != self._told or now > self._told_at + TELL_AGAIN):
            tell = log.error if self.expired else log.warning
            tell(
                f"the certificate of [server.tls] {problem}",
                hint="put a new one and its key in the place of the old; they are read without a restart",
            )
            self._told_at = now
        self._told = kind

    @property
    def expired(self) -> bool:
        """Whether the certificate is not valid at this time."""
        return self._watched.value.expired(time.time())

    @property
    def ends(self) -> float:
        """Until when the certificate is valid, in seconds since 1970."""
        return self._watched.value.ends


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.chain)], material.client_ca)
