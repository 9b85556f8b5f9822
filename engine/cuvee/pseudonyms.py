"""Pseudonyms: ids of users and sessions as keyed hashes, where ``[privacy]`` of ``cuvee.toml`` says so.

``hashed-<8 hex digits of the key>:<64 hex digits>``, the latter HMAC-SHA-256 (RFC 2104) of the id. The
same id has the same pseudonym in every product, so a user is found, merged and forgotten as before.
Without the key nobody can compute an id's pseudonym, so guessing ids does not help. The digits of the
key show whether stored data was written with the same key.
"""

from __future__ import annotations

import hmac
import re

import polars as pl

from cuvee.errors import DataError

__all__ = ["LEAST_KEY", "Pseudonyms"]

LEAST_KEY = 32
"""Bytes: as long as the hash; a shorter key is weaker than it (RFC 2104, section 3)."""
_ANY = r"^hashed-[0-9a-f]{8}:[0-9a-f]{64}$"


class Pseudonyms:
    """Replaces incoming ids by pseudonyms; without a key they stay as they are."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._own = f"hashed-{_hmac(key, chr(0))[:8]}:" if key else ""  # no id holds NUL

    def __bool__(self) -> bool:
        return bool(self._key)

    def of(self, user_id: str) -> str:
        """The pseudonym of an id. A pseudonym stays as it is, so ids out of answers and exports can be used again."""
        if not self._key or not user_id or self.kept_so(user_id):
            return user_id
        return self._own + _hmac(self._key, user_id)

    def of_each(self, ids: pl.Series, where: str) -> pl.Series:
        """The pseudonyms of a column of texts; null and empty stay.

        Raises:
            DataError: one is already a pseudonym, made with another key.
        """
        foreign = ids.str.contains(_ANY)
        if self._key:
            foreign &= ~ids.str.starts_with(self._own)
        if foreign.any():
            raise DataError(self.otherwise(where))
        if not self._key:
            return ids
        known = ids.drop_nulls().unique()
        made = [self.of(one) for one in known]
        return ids.replace_strict(known, made, default=None, return_dtype=pl.String)

    def kept_so(self, user_id: str) -> bool:
        """Whether an id that was stored is kept as it is configured now."""
        return user_id.startswith(self._own) and bool(re.match(_ANY, user_id)) == bool(self._key)

    def check(self, ids: pl.Series, where: str) -> None:
        """Check that stored ids are kept as configured.

        Raises:
            DataError: one is not kept as configured; says what to do.
        """
        marked = ids.str.contains(_ANY) & ids.str.starts_with(self._own)
        if not (marked.all() if self._key else not marked.any()):
            raise DataError(self.otherwise(where))

    def otherwise(self, where: str) -> str:
        """The message where ids are kept in another way than configured."""
        now = "are to be hashed with the key of [privacy]" if self._key else "are to be kept as they are"
        return (
            f"{where} holds ids of users that were kept in another way, and by cuvee.toml they {now}; "
            "set [privacy] as it was, or start anew from the source"
        )


def _hmac(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()
