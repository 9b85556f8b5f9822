"""The configuration's files as they were at one moment: read once, so that what is checked is what is used."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cuvee.environment import from_environment

__all__ = ["Files", "Signature"]

Signature = tuple[tuple[str, int, int, int], ...]
"""Path, time of the last change (ns), size and inode of every file; equal as long as nothing was written."""


@dataclass(frozen=True)
class Files:
    """``cuvee.toml`` and ``products/*.toml``."""

    file: Path
    """``cuvee.toml``; relative paths in it start at its folder."""
    server: bytes | None
    """Its content; None: it is not there, or cannot be read."""
    products: Mapping[str, bytes | None] = field(default_factory=dict)
    """Product -> the content of its file; None: it cannot be read."""

    @classmethod
    def read(cls, file: Path) -> Files:
        """Read all of them; what cannot be read is None."""
        server = _content(file)
        return cls(file, server, {one.stem: _content(one) for one in sorted(_folder(file, server).glob("*.toml"))})

    @property
    def folder(self) -> Path:
        """Where the products' files lie."""
        return _folder(self.file, self.server)

    def path(self, product: str) -> Path:
        """Where a product's file lies."""
        return self.folder / f"{product}.toml"

    def signature(self) -> Signature:
        """Of the files as they are on the disk now."""
        found = []
        for path in (self.file, *sorted(self.folder.glob("*"))):
            if path.suffix not in {".toml", ".json"}:  # a learned blend's model is a .json beside the product
                continue
            try:
                told = path.stat()
            except OSError:
                continue
            found.append((str(path), told.st_mtime_ns, told.st_size, told.st_ino))
        return tuple(found)

    def among(self, products: Mapping[str, bytes | None]) -> Files:
        """The same ``cuvee.toml`` with other products."""
        return Files(self.file, self.server, products)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _folder(file: Path, server: bytes | None) -> Path:
    """The folder that ``products`` names; ``products`` itself where that cannot be read."""
    try:
        named = tomllib.loads((server or b"").decode()).get("products", "products")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        named = "products"
    filled = from_environment({"products": named}, os.environ, lambda _path, _message: None)
    return file.parent / str(filled["products"])
