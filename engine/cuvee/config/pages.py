"""Pages of lists: ``[server.pages]``."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from cuvee.config.access import OptionalPath
from cuvee.errors import ConfigError, Mistake
from cuvee.product import Duration, Table

__all__ = ["Pages"]

OWN = secrets.token_hex(32)
"""The key where none is configured. It is made before workers are forked, so all of one server have the same."""
SHORTEST = 32


class Pages(Table):
    """Tokens for the next page, which any server with the same key takes."""

    key: SecretStr = SecretStr("")
    """At least 32 characters, best from the environment: ``"${CUVEE_PAGE_KEY}"``. Without ``key`` and ``key_file`` a
    server makes a key when it starts: its workers share it, other servers and the next start do not."""
    key_file: OptionalPath = None
    """A file that holds the key."""
    expire: Duration = 3600.0
    """After so long a token is not taken any more."""
    most: int = Field(1000, ge=1, le=5000)
    """Items that the pages of one list hold together."""

    @field_validator("key")
    @classmethod
    def _long(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < SHORTEST:
            raise ValueError(f"is shorter than {SHORTEST} characters; `openssl rand -hex 32` makes one")
        return key

    @field_validator("key_file")
    @classmethod
    def _one(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and info.data.get("key") and info.data["key"].get_secret_value():
            raise ValueError("key is set, too; set one of the two")
        return file

    def secret(self, root: Path) -> bytes:
        """32 bytes made of the key; a relative ``key_file`` starts at ``root``.

        Raises:
            ConfigError: the file cannot be read, or holds fewer than 32 characters.
        """
        text = self.key.get_secret_value() or OWN
        if self.key_file is not None:
            try:
                text = (root / self.key_file).read_text().strip()
            except (OSError, UnicodeDecodeError) as problem:
                raise self._mistake(f"cannot be read: {problem}") from None
            if len(text) < SHORTEST:
                raise self._mistake(f"holds fewer than {SHORTEST} characters; `openssl rand -hex 32` makes a key")
        return hashlib.blake2b(text.encode(), digest_size=32, person=b"cuvee pages").digest()

    def _mistake(self, said: str) -> ConfigError:
        return ConfigError([Mistake("cuvee.toml", "server.pages.key_file", f"{self.key_file}: {said}")])
