"""The files of each product that were in use last, for a worker that takes the place of another.

It starts while the files may be broken, and must serve what the others serve. The folder is the supervisor's own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cuvee.config import Files

__all__ = ["LastGood"]


class LastGood:
    """Of one server, shared by its workers: one file for each product."""

    def __init__(self, folder: Path | None) -> None:
        """Without a folder nothing is kept."""
        self._folder = folder

    @property
    def products(self) -> tuple[str, ...]:
        """Those of which files are kept."""
        return () if self._folder is None else tuple(one.stem for one in self._folder.glob("*.json"))

    def get(self, product: str, like: Files) -> Files | None:
        """The files that a product was last served under; ``like`` says where they lie."""
        if self._folder is None:
            return None
        try:
            kept = json.loads((self._folder / f"{product}.json").read_text())
        except FileNotFoundError:
            return None
        return Files(like.file, kept["server"].encode(), {product: kept["product"].encode()})

    def put(self, product: str, files: Files | None) -> None:
        """Keep what a product is served under now; None: it is there no more."""
        if self._folder is None:
            return
        file = self._folder / f"{product}.json"
        content = files.products.get(product) if files is not None else None
        if files is None or files.server is None or content is None:
            file.unlink(missing_ok=True)
            return
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps({"server": files.server.decode(), "product": content.decode()}))
        aside.replace(file)
