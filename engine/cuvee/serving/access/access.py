"""All that one server process knows about who may ask, kept up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import grpc
import structlog

from cuvee.config import Settings
from cuvee.errors import ConfigError, Mistake
from cuvee.serving.access.audit import Audit
from cuvee.serving.access.certificates import Certificates, read_material
from cuvee.serving.access.client_certificates import ClientCertificates
from cuvee.serving.access.exposure import check_exposure, exposure_mistakes, plaintext_warnings
from cuvee.serving.access.gate import Gate
from cuvee.serving.access.identities import Identities
from cuvee.serving.access.signed import SignedTokens, read_keys
from cuvee.serving.access.tokens import Token, Tokens, read_tokens
from cuvee.serving.access.watching import Watched
from cuvee.serving.health import CERTIFICATE, EXPIRED, Health
from cuvee.serving.threads import Threads

__all__ = ["Access", "access_mistakes", "access_warnings"]

log = structlog.get_logger(__name__)

LOOK = 0.5
"""Seconds between two looks at the files: a revoked token is refused by all workers within a second."""
TELL = 10.0
"""Seconds between two lines about refused callers."""
SOON_DAYS = 14


class Access:
    """Of one server process."""

    def __init__(self, settings: Settings, listen: str) -> None:
        """Read certificates, tokens and keys. ``listen``: where the server will listen.

        Raises:
            ConfigError: one of them is wrong, or strangers could reach a server that asks for no credentials.
        """
        check_exposure(settings, listen)
        self._settings = settings
        config, root = settings.server, settings.root
        self._certificates = Certificates(root, config.tls) if config.tls is not None else None
        self._tokens, self._keys = _tokens(settings), _keys(settings)
        audit = config.audit.file
        self._audit = Audit(root / audit if audit is not None else None, settings.privacy.pseudonyms)
        self.gate = Gate(self._identities(), self._audit) if config.authenticates else Gate(audit=self._audit)
        self._threads = Threads("files", 1)
        for warning in access_warnings(settings, listen):
            log.warning(warning)

    def _identities(self) -> Identities:
        config = self._settings.server
        by_certificate = config.tls is not None and config.tls.client_ca is not None
        everything = not config.auth.by_header and not config.auth.certificates
        return Identities(
            None if self._tokens is None else lambda tokens=self._tokens: tokens.value,  # type: ignore[misc]
            None if self._keys is None else lambda keys=self._keys: keys.value,  # type: ignore[misc]
            ClientCertificates(config.auth.certificates, all_scopes=everything) if by_certificate else None,
        )

    def credentials(self) -> grpc.ServerCredentials | None:
        """Those of ``[server.tls]``, which take up new files; None without that table."""
        return self._certificates.credentials() if self._certificates is not None else None

    @property
    def certificate_ends(self) -> float | None:
        """Until when the certificate is valid, in seconds since 1970; None without ``[server.tls]``."""
        return self._certificates.ends if self._certificates is not None else None

    async def run(self, health: Health) -> None:
        """Look at the files until cancelled, and report the certificate's health."""
        before: bool | None = None
        tell_at = time.monotonic() + TELL
        while True:
            await self._threads.submit(self._look)
            if self._certificates is not None and self._certificates.expired != before:
                before = self._certificates.expired
                await (health.not_serving(CERTIFICATE, why=EXPIRED) if before else health.serving(CERTIFICATE))
            if time.monotonic() > tell_at:
                self.gate.tell_refused()
                tell_at = time.monotonic() + TELL
            await asyncio.sleep(LOOK)

    def again(self) -> None:
        """Read everything again at once, whether or not it seems to have changed: SIGHUP."""
        log.info(
            "SIGHUP: read again", hint="certificates, tokens and keys; the rest needs a restart: stop it by SIGTERM"
        )
        self._look(at_once=True)

    def _look(self, *, at_once: bool = False) -> None:
        if self._certificates is not None:
            self._certificates.look(at_once=at_once)
        for watched in (self._tokens, self._keys):
            if watched is not None:
                watched.look(at_once=at_once)
        self._audit.look()

    def close(self) -> None:
        """Stop the thread, and close the audit log."""
        self.gate.tell_refused()
        self._threads.close()
        self._audit.close()


def _tokens(settings: Settings) -> Watched[Tokens] | None:
    given = settings.server.auth.tokens
    if given is None:
        return None
    file = settings.root / given
    return Watched("the file of [server.auth] tokens", [file], lambda: Tokens(read_tokens(file)))


def _keys(settings: Settings) -> Watched[SignedTokens] | None:
    config = settings.server.auth.jwt
    if config is None:
        return None
    file = settings.root / config.jwks
    read: Callable[[], SignedTokens] = lambda: SignedTokens(config, read_keys(file, config.algorithms))  # noqa: E731
    return Watched("the file of [server.auth.jwt] jwks", [file], read)


def access_mistakes(settings: Settings) -> Iterator[Mistake]:
    """What keeps a server from starting, for ``cuvee check``."""
    yield from exposure_mistakes(settings, settings.server.listen)
    tls, root = settings.server.tls, settings.root
    readers: list[Callable[[], object]] = [lambda: _tokens(settings), lambda: _keys(settings)]
    if tls is not None:
        readers.append(lambda: read_material(root, tls))
    for read in readers:
        try:
            read()
        except ConfigError as problem:
            yield from problem.mistakes


def access_warnings(settings: Settings, listen: str) -> Iterator[str]:
    """What an operator should know of files and addresses that can be used."""
    config, root = settings.server, settings.root
    yield from plaintext_warnings(settings, listen)
    if config.insecure and not config.authenticates:
        yield "server.insecure: everybody who reaches this server may read, write and delete all"
    if config.tls is not None:
        problem = read_material(root, config.tls).problem(time.time())
        if problem:
            yield f"server.tls.certificate {problem}"
    named = [(f"server.auth.certificates.{at}", one.products) for at, one in enumerate(config.auth.certificates)]
    if config.auth.tokens is not None:
        now = datetime.now(UTC)
        for token in read_tokens(root / config.auth.tokens).tokens:
            if token.state(now) != "valid":
                continue
            if token.expires is not None and (token.expires - now).days < SOON_DAYS:
                yield f"{_called(token)} expires on {token.expires:%Y-%m-%d}; `cuvee token new` makes another"
            named.append((_called(token), token.products))
    for what, products in named:
        unknown = sorted(set(products or ()) - settings.products.keys())
        if unknown:
            yield f"{what} is for products that are not there: {', '.join(unknown)}"


def _called(token: Token) -> str:
    return f"the token {token.id} ({token.name})"
