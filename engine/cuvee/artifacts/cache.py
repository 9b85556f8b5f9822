"""Copies of versions from a remote root, on this machine's disk: shared by its processes, and bounded.

``<folder>/<product>/<version>/<model>/...``, each file checked against the manifest before it is used. Whoever uses a
version holds a shared lock on ``<version>/.used`` for as long as it may read a file of it; what nobody holds may be
deleted.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import structlog

__all__ = ["Cache", "Lease"]

log = structlog.get_logger(__name__)

USED = ".used"


class Lease:
    """Keeps a version from being deleted, as long as this object lives."""

    def __init__(self, file: IO[bytes], folder: Path) -> None:
        self._file = file
        self.folder = folder

    def __del__(self) -> None:
        self._file.close()  # which gives the lock back


class Cache:
    """Of one machine."""

    def __init__(self, folder: Path, most: int) -> None:
        """``most``: bytes, beyond which versions that nobody uses are deleted, the one used longest ago first."""
        self._folder = folder
        self._most = most

    def hold(self, product: str, version: str) -> Lease:
        """The folder of a version, which exists then and stays while the lease is kept."""
        folder = self._folder / product / version
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / USED).open("ab")
            fcntl.flock(file, fcntl.LOCK_SH)
            if _same(file, folder / USED):
                os.utime(file.fileno())
                return Lease(file, folder)
            file.close()  # it was deleted before the lock was ours

    def make_room(self, coming: int) -> list[str]:
        """Delete versions that nobody uses until so many more bytes have room; which ones, as product/version."""
        sizes = {one: _size(one) for one in self._versions()}
        total = sum(sizes.values()) + coming
        gone = []
        for one in sorted(sizes, key=_used_at):
            if total <= self._most:
                break
            if _delete(one):
                total -= sizes[one]
                gone.append(f"{one.parent.name}/{one.name}")
        if gone:
            log.info("old versions left the cache", versions=gone, folder=str(self._folder))
        if total > self._most:
            log.warning("the cache is beyond its bound, as all of it is in use", bytes=total, bound=self._most)
        return gone

    def _versions(self) -> Iterator[Path]:
        for product in self._folder.iterdir() if self._folder.is_dir() else ():
            yield from (one for one in product.iterdir() if one.is_dir() and (one / USED).exists())


def _same(file: IO[bytes], path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(file.fileno())
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _used_at(version: Path) -> float:
    try:
        return (version / USED).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(version: Path) -> int:
    total = 0
    for path in version.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # another process deletes it
            continue
    return total


def _delete(version: Path) -> bool:
    """Whether it was deleted; not where somebody holds it."""
    try:
        file = (version / USED).open("ab")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # the mark goes first: whoever comes now makes another one, in a folder of the same name
        aside = version.with_name(f".{version.name}.{os.getpid()}")
        version.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    return True
