"""Where events, users and items are kept, and in which form ids are."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from cuvee.product import Duration, Table
from cuvee.pseudonyms import LEAST_KEY, Pseudonyms

__all__ = ["PrivacyConfig", "StoreConfig"]


class StoreConfig(Table):
    """Where events and the catalogue's changes are kept."""

    url: str = "sqlite:///var/store.db"
    """``sqlite:///file`` or ``postgresql://user@host/name``; a relative file starts at the folder of
    ``cuvee.toml``. Passwords are better kept where libpq looks: ``PGPASSWORD``, ``~/.pgpass``.
    Empty: no store, and the services that need one are not offered."""
    pool: int = Field(8, ge=1, le=256)
    """Connections of one process, for writing and as many for reading."""
    timeout: Duration = 2.0
    """Time limit of a statement, and of the wait for a connection or for another writer."""
    refresh: Duration = 0.2
    """How often a server reads catalogue changes that other processes wrote."""

    @field_validator("url")
    @classmethod
    def _of_a_kind(cls, url: str) -> str:
        if not re.fullmatch(r"|sqlite:///(?!:memory:).+|postgresql://.+", url):
            raise ValueError("must be sqlite:///file, postgresql://user@host/name, or empty for no store")
        try:
            port = urlsplit(url).port if url.startswith("postgresql") else None
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError("its port must be a number from 1 to 65535")
        return url


class PrivacyConfig(Table):
    """How ids of users and sessions are kept."""

    user_ids: Literal["plain", "hashed"] = "plain"
    """``hashed``: ids are replaced by keyed hashes (HMAC-SHA-256) as they come in. Store, datasets, models
    and logs then hold no id, and answers name users by their hashes."""
    key: SecretStr = Field(SecretStr(""), validate_default=True)
    """The secret key of the hashes, 32 characters or more, read from the environment: ``"${CUVEE_ID_KEY}"``.
    Anyone who has it can check whether a hash belongs to a given id. Without it no stored user can be
    found by id again."""

    @field_validator("key")
    @classmethod
    def _long_enough(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        length = len(key.get_secret_value().encode())
        if info.data.get("user_ids") == "hashed" and length < LEAST_KEY:
            raise ValueError(
                f"has {length} bytes; hashed ids need a secret of {LEAST_KEY} or more, such as `openssl rand -hex 32` "
                'gives, out of the environment: key = "${CUVEE_ID_KEY}"'
            )
        return key

    @property
    def pseudonyms(self) -> Pseudonyms:
        """How incoming ids are replaced."""
        return Pseudonyms(self.key.get_secret_value().encode() if self.user_ids == "hashed" else b"")
