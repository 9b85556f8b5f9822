"""JSON web tokens that an identity provider has signed, checked against its public keys (a JWKS file)."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt

from cuvee.config import JwtConfig, Scope
from cuvee.errors import ConfigError, Mistake, Unauthenticated
from cuvee.serving.access.caller import Caller, Kind

__all__ = ["Keys", "SignedTokens", "read_keys"]

KEPT = 10_000
"""Verified tokens that are remembered."""
LONGEST = 8192
"""Characters; HTTP/2 headers of gRPC hold no more."""
LONGEST_SUBJECT = 256

Keys = Mapping[str, jwt.PyJWK]
"""Public keys by their ``kid``."""


def read_keys(file: Path, algorithms: Iterable[str]) -> Keys:
    """Read a JWKS file. Keys for encryption and of algorithms that are not wanted are left out.

    Raises:
        ConfigError: it cannot be read, holds a secret or private key, or none that can be used.
    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as problem:
        raise _wrong(file, f"cannot be read: {problem.strerror}") from None
    except ValueError:
        raise _wrong(file, "is no JSON; it must be a JWKS, as identity providers publish it") from None
    found = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise _wrong(file, 'must be a table with a list "keys"')
    keys: dict[str, jwt.PyJWK] = {}
    for at, one in enumerate(found):
        if not isinstance(one, dict):
            raise _wrong(file, "must be a table", f"keys.{at}")
        if one.get("kty") == "oct" or "d" in one:
            raise _wrong(file, "is a secret or private key; only public keys belong here", f"keys.{at}")
        if one.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(one)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue  # of a kind that is not known here: providers publish others beside those in use
        if key.algorithm_name not in algorithms:
            continue
        name = str(one.get("kid", ""))
        if name in keys:
            raise _wrong(file, "has the kid of another key, or like another one none", f"keys.{at}.kid")
        keys[name] = key
    if not keys:
        raise _wrong(file, f"has no public key for {', '.join(algorithms)}")
    return keys


def _wrong(file: Path, message: str, path: str = "") -> ConfigError:
    return ConfigError([Mistake(str(file), path, message)])


class SignedTokens:
    """Checks tokens against one reading of the keys, and remembers those that were right."""

    def __init__(self, config: JwtConfig, keys: Keys) -> None:
        self._config = config
        self._keys = keys
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    def caller(self, text: str, now: float) -> Caller:
        """Who shows a token. ``now``: seconds since 1970.

        Raises:
            Unauthenticated: it is malformed, not signed by these keys, not for this server, or not valid now.
        """
        digest = hashlib.sha256(text.encode()).digest()
        known = self._verified.get(digest)
        if known is not None:
            if now < known[1]:
                return known[0]
            del self._verified[digest]
        caller, until = self._verify(text)
        self._verified[digest] = caller, until
        if len(self._verified) > KEPT:
            self._verified.popitem(last=False)
        return caller

    def _verify(self, text: str) -> tuple[Caller, float]:
        config = self._config
        if len(text) > LONGEST:
            raise Unauthenticated("the token is too long")
        try:
            key = self._key_for(jwt.get_unverified_header(text))
            claims = jwt.decode(
                text,
                key,
                # the key's own: a token does not choose how it is checked
                algorithms=[key.algorithm_name],
                audience=config.audience,
                issuer=config.issuer,
                leeway=config.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as problem:
            raise Unauthenticated(_told(problem)) from None
        subject = claims["sub"]
        if not 0 < len(subject) <= LONGEST_SUBJECT:
            raise Unauthenticated(f"the token's subject must have 1 to {LONGEST_SUBJECT} characters")
        caller = Caller(subject, Kind.JWT, _scopes(claims.get(config.scope_claim)), self._products(claims))
        return caller, min(float(claims["exp"]) + config.leeway, time.time() + 3600)

    def _key_for(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        name = header.get("kid", "")
        key = self._keys.get(name) if isinstance(name, str) else None
        if key is None and not name and len(self._keys) == 1:
            key = next(iter(self._keys.values()))
        if key is None:
            raise Unauthenticated("the token is signed by a key that this server does not have")
        if "crit" in header:
            raise Unauthenticated("the token has a critical header, which this server does not know")
        return key

    def _products(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        name = self._config.products_claim
        return frozenset(_listed(claims.get(name))) if name else None


def _listed(claim: object) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    return [one for one in claim if isinstance(one, str)] if isinstance(claim, list) else []


def _scopes(claim: object) -> frozenset[Scope]:
    known = {scope.value for scope in Scope}
    return frozenset(Scope(name) for name in _listed(claim) if name in known)


TOLD: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet; are the clocks right?"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.InvalidIssuerError, "the token is of another issuer"),
    (jwt.MissingRequiredClaimError, "the token lacks one of the claims exp, iss, aud, sub"),
)


def _told(problem: jwt.PyJWTError) -> str:
    """In words; the library's own may show what the token holds."""
    return next((words for kind, words in TOLD if isinstance(problem, kind)), "the token is not signed by a known key")
