"""Files that are read again when they change. Where new ones are wrong, what was read last stays in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from cuvee.errors import ConfigError

__all__ = ["Watched"]

log = structlog.get_logger(__name__)

T = TypeVar("T")
Signature = tuple[tuple[int, int, int] | None, ...]


class Watched(Generic[T]):
    """The value of some files. They are compared by time, size and inode, so that renames and links count, too."""

    def __init__(self, what: str, files: Sequence[Path], read: Callable[[], T]) -> None:
        """``what`` names them in the log; ``read`` raises ConfigError where they are wrong.

        Raises:
            ConfigError: they are wrong already.
        """
        self._what = what
        self._files = files
        self._read = read
        self._signature = self._now()
        self._wrong: Signature | None = None
        self._told = False
        self.value = read()

    def _now(self) -> Signature:
        found: list[tuple[int, int, int] | None] = []
        for file in self._files:
            try:
                stat = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)

    def look(self, *, at_once: bool = False) -> bool:
        """Read the files again if they have changed; whether there is a new value.

        Files that are replaced one after another do not fit together for a moment. So what is wrong is only
        logged if it is the same at the next look, or with ``at_once``.
        """
        signature = self._now()
        if signature == self._signature and not at_once:
            self._wrong, self._told = None, False
            return False
        try:
            value = self._read()
        except ConfigError as problem:
            again = signature == self._wrong
            if (again and not self._told) or at_once:
                log.error(  # noqa: TRY400 - a traceback says nothing more
                    f"{self._what} cannot be used, the last good ones stay",
                    problems=[str(mistake) for mistake in problem.mistakes],
                )
            self._told = (again and self._told) or again or at_once
            self._wrong = signature
            return False
        changed = signature != self._signature
        self._signature, self._wrong, self._told = signature, None, False
        self.value = value
        if changed:
            log.info(f"{self._what} read again")
        return changed
