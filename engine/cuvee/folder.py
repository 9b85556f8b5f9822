"""A folder whose files appear whole or not at all, on this machine or at any fsspec URL."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from cuvee.errors import OperatorError, UnavailableError

__all__ = ["Folder", "file_system", "reached"]

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
"""They have no folders, so none is made: to make one would make the bucket, too, where its name is misspelt."""


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a folder or fsspec URL, and the path in it.

    Raises:
        OperatorError: no installed package speaks its protocol.
    """
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as problem:
        extra = "; pip install 'cuvee[s3]'" if url.startswith(("s3:", "s3a:")) else ""
        raise OperatorError(f"{url} cannot be used: {problem}{extra}") from None
    return system, str(path).rstrip("/")


@contextmanager
def reached(url: str, *, writing: bool = False) -> Iterator[None]:
    """Errors of the network and of rights as ours. What is not there stays a FileNotFoundError, where it is read."""
    try:
        yield
    except FileNotFoundError as problem:
        if writing:
            raise OperatorError(f"{url} cannot be written: {problem}; make the bucket or folder first") from problem
        raise
    except PermissionError as problem:
        raise OperatorError(f"{url}: no permission: {problem}; check the credentials and the path") from problem
    except (OSError, TimeoutError) as problem:
        raise UnavailableError(f"{url} cannot be reached or written: {problem}; try again") from problem
    except Exception as problem:
        # the S3 client raises errors of its own for what it could not send
        if type(problem).__module__.split(".")[0] not in {"botocore", "aiobotocore", "aiohttp"}:
            raise
        raise UnavailableError(f"{url} cannot be reached: {problem}; check its address and credentials") from problem


class Folder:
    """One folder. Nobody ever sees a part of a file: it is written beside its place and moved there."""

    def __init__(self, url: str) -> None:
        """``url`` is a path or any fsspec URL. Nothing is read or made yet."""
        self.url = url.rstrip("/")
        self._fs, self._path = file_system(url)
        self._local = isinstance(self._fs, LocalFileSystem)
        protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        self._flat = bool(protocols & OBJECT_STORES)

    def _join(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def names(self, under: str = "") -> list[str]:
        """The files and folders directly below, sorted; none where there is no such folder."""
        with reached(self.url):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._join(under), detail=False)
            except FileNotFoundError:
                return []
        names = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in found}
        # an object store may list the folder itself
        return sorted(names - {self._join(under).rsplit("/", 1)[-1], ""})

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""
        with reached(self.url):
            try:
                return bytes(self._fs.cat_file(self._join(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file in one step."""

        def write(path: Path) -> None:
            path.write_bytes(content)

        self.put(name, write)

    def put(self, name: str, write: Callable[[Path], None]) -> None:
        """Have a file written here on the disk, and then appear under its name in one step.

        An interrupted write leaves at most a file whose name begins with a dot.
        """
        target = self._join(name)
        folder, _, last = target.rpartition("/")
        with reached(self.url, writing=True):
            if self._local:
                Path(folder).mkdir(parents=True, exist_ok=True)
                aside = Path(folder) / f".{last}.{os.getpid()}"
                try:
                    write(aside)
                    aside.replace(target)
                finally:
                    aside.unlink(missing_ok=True)
                return
            with tempfile.TemporaryDirectory(prefix="cuvee-") as scratch:
                made = Path(scratch) / last
                write(made)
                beside = f"{folder}/.{last}.{os.getpid()}"
                if not self._flat:
                    self._fs.makedirs(folder, exist_ok=True)
                self._fs.put_file(str(made), beside)
                self._fs.mv(beside, target)

    def remove(self, name: str) -> None:
        """Delete a file or folder, if it is there."""
        with reached(self.url):
            self._fs.invalidate_cache()
            if self._fs.exists(self._join(name)):
                self._fs.rm(self._join(name), recursive=True)
