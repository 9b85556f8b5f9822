"""Files of products that are written for somebody else: only over what he has seen, and what was there is kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cuvee.errors import EtagMismatch, OperatorError

__all__ = ["ProductFile", "etag_of"]

HISTORY = ".history"
"""The folder beside the products' files for what was there before."""
KEPT = 20


def etag_of(content: bytes | None) -> str:
    """Changes with every byte of a file; empty where there is none."""
    return "" if content is None else hashlib.sha256(content).hexdigest()[:20]


class ProductFile:
    """A product's file. Its methods block."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._history = file.parent / HISTORY / file.stem

    def content(self) -> bytes | None:
        """What is there now; None: nothing.

        Raises:
            OperatorError: it cannot be read.
        """
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise OperatorError(f"{self.file} cannot be read: {problem.strerror}") from None

    def check(self, etag: str) -> None:
        """Check that the file is the one that somebody has seen; whatever it is where ``etag`` is empty.

        Raises:
            EtagMismatch: it is another.
        """
        if etag and etag != (now := etag_of(self.content())):
            raise EtagMismatch(f"{self.file.name} has changed since etag {etag!r} was read; it is {now!r} now")

    def earlier(self) -> bytes:
        """What was there before the last :meth:`write`.

        Raises:
            OperatorError: nothing is known of that.
        """
        kept = sorted(self._history.glob("*.toml"))
        if not kept:
            raise OperatorError(f"nothing was applied to {self.file.name} before, so there is nothing to go back to")
        return kept[-1].read_bytes()

    def write(self, content: bytes, etag: str) -> None:
        """Put a new file in place in one step, and keep the old one.

        Raises:
            EtagMismatch: as of :meth:`check`.
            OperatorError: this process may not write there.
        """
        with self._alone():
            self.check(etag)
            before = self.content()
            if before is not None and before != content:
                name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.toml"
                (self._history / name).write_bytes(before)
                for old in sorted(self._history.glob("*.toml"))[:-KEPT]:
                    old.unlink()
            self._replace(content)

    def bring_back(self, content: bytes, etag: str) -> None:
        """Put what :meth:`earlier` gave in place, and take it out of what is kept; errors as of :meth:`write`."""
        with self._alone():
            self.check(etag)
            kept = sorted(self._history.glob("*.toml"))
            if not kept or kept[-1].read_bytes() != content:
                raise EtagMismatch(f"somebody else has just changed {self.file.name}; look at it again")
            self._replace(content)
            kept[-1].unlink()

    def _replace(self, content: bytes) -> None:
        aside = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        aside.write_bytes(content)
        if self.file.exists():
            aside.chmod(self.file.stat().st_mode & 0o777)
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(self.file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process writes to this product's file."""
        try:
            self._history.mkdir(parents=True, exist_ok=True)
            with (self._history / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as problem:
            raise OperatorError(
                f"this server may not write {self.file}: {problem.strerror}; change the file where it comes from"
            ) from None
