"""Bearer tokens of our own: how one looks, and the file that says which there are.

A token is ``cuvee_<id>_<secret>``. The id is no secret; the secret is 40 random characters (238 bits). The file
holds the SHA-256 of the whole token. A password hash, which is slow on purpose, would protect secrets that
people choose, and that can be guessed; 238 random bits cannot, so it would only make each call slower.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import string
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from cuvee.config import Scope
from cuvee.errors import ConfigError, Mistake, Unauthenticated
from cuvee.product import Table
from cuvee.serving.access.caller import Caller, Kind

__all__ = ["SHAPE", "Token", "TokenFile", "Tokens", "change_tokens", "new_token", "read_tokens"]

PREFIX = "cuvee_"
LETTERS = string.ascii_letters + string.digits
SHAPE = re.compile(r"cuvee_([0-9a-f]{12})_[0-9A-Za-z]{40}")
"""What a secret scanner may look for."""
NOBODY = bytes(32)
"""Compared with where there is no such id, so that this takes as long."""


class Token(Table):
    """What is kept of a token: everything but its secret."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    """For people: who has it."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    scopes: tuple[Scope, ...] = Field(min_length=1)
    products: tuple[str, ...] | None = None
    """None: all."""
    created: AwareDatetime
    expires: AwareDatetime | None = None
    """None: never."""
    revoked: AwareDatetime | None = None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """What a server thinks of it."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class TokenFile(Table):
    """The file."""

    version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()


def new_token(
    name: str, scopes: Sequence[Scope], products: Sequence[str] | None, expires: datetime | None
) -> tuple[str, Token]:
    """A new secret, which is kept nowhere, and what is kept of it."""
    own = secrets.token_hex(6)
    text = f"{PREFIX}{own}_{''.join(secrets.choice(LETTERS) for _ in range(40))}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text, Token(
        id=own,
        name=name,
        sha256=digest,
        scopes=tuple(scopes),
        products=None if products is None else tuple(products),
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
    )


def read_tokens(file: Path) -> TokenFile:
    """Read the file.

    Raises:
        ConfigError: it is not there or cannot be read, or is no such file; shows nothing of what it holds.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _wrong(file, "does not exist; `cuvee token new NAME --scope recommend` makes it") from None
    except OSError as problem:
        raise _wrong(file, f"cannot be read: {problem.strerror}") from None
    try:
        found = TokenFile.model_validate_json(data)
    except ValidationError as problem:
        said = [
            Mistake(str(file), ".".join(str(part) for part in error["loc"]), error["msg"])
            for error in problem.errors(include_input=False, include_url=False)
        ]
        raise ConfigError(said) from None
    ids = [token.id for token in found.tokens]
    if len(set(ids)) < len(ids):
        raise _wrong(file, "names one id twice; remove one of the two")
    return found


def _wrong(file: Path, message: str) -> ConfigError:
    return ConfigError([Mistake(str(file), "", message)])


def change_tokens(file: Path, change: Callable[[TokenFile], TokenFile]) -> None:
    """Change the file as a whole; others who change it wait, and those who read it see the old or the new one.

    Raises:
        ConfigError: it is there and cannot be read, or it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file):
            mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
            before = read_tokens(file) if file.exists() else TokenFile()
            _replace(file, change(before), mode)
    except OSError as problem:
        raise _wrong(file, f"cannot be written: {problem.strerror}") from None


class _alone:  # noqa: N801 - a context manager
    """Holds a lock beside a file; the file itself is replaced."""

    def __init__(self, file: Path) -> None:
        self._path = file.with_name(f".{file.name}.lock")

    def __enter__(self) -> None:
        self._lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(ImportError):  # on Windows two commands at the same moment are not kept apart
            import fcntl  # noqa: PLC0415

            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


def _replace(file: Path, content: TokenFile, mode: int) -> None:
    text = json.dumps(content.model_dump(mode="json"), indent=2) + "\n"
    handle, made = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(made).chmod(mode)
        Path(made).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(made).unlink()
        raise


class Tokens:
    """The tokens of one reading of the file, ready to be compared with."""

    def __init__(self, content: TokenFile) -> None:
        self.content = content
        self._known = {token.id: (bytes.fromhex(token.sha256), token, _caller(token)) for token in content.tokens}

    def caller(self, text: str, now: float) -> Caller:
        """Who shows a token. ``now``: seconds since 1970.

        Raises:
            Unauthenticated: it is none of these, has expired or was revoked. The latter two are only
                told to whoever has the secret.
        """
        shaped = SHAPE.fullmatch(text)
        digest, token, caller = self._known.get(shaped[1] if shaped else "", (NOBODY, None, None))
        same = hmac.compare_digest(hashlib.sha256(text.encode()).digest(), digest)
        if not same or token is None or caller is None:
            raise Unauthenticated("this server does not know the token; `cuvee token new` makes one")
        if token.revoked is not None:
            raise Unauthenticated(f"the token {token.id} was revoked; ask the operator for another one")
        if token.expires is not None and token.expires.timestamp() <= now:
            raise Unauthenticated(f"the token {token.id} has expired; ask the operator for another one")
        return caller


def _caller(token: Token) -> Caller:
    products = None if token.products is None else frozenset(token.products)
    return Caller(token.id, Kind.TOKEN, frozenset(token.scopes), products)
