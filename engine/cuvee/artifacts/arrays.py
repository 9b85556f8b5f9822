"""Arrays on disk, for ``Recommender.save`` and ``load``: plain npy files, memory-mapped.

npy rather than safetensors, since numpy maps it without a copy: worker processes that load the
same artefact share its pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from cuvee.errors import ArtifactError

__all__ = ["load_arrays", "save_arrays"]


def save_arrays(directory: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write each array to ``<name>.npy``. Object arrays raise ValueError: they would need pickle."""
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


_MAPPED: WeakValueDictionary[tuple[str, int, int, int, int], npt.NDArray[Any]] = WeakValueDictionary()
"""The files that are mapped now, by path, inode and modification time. A mapping keeps its file open."""


def _mapped(path: Path) -> npt.NDArray[Any]:
    found = path.stat()
    key = (str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    mapped = _MAPPED.get(key)
    if mapped is None:
        # this reads npy alone: np.load would open archives as well
        mapped = np.lib.format.open_memmap(path, mode="r")
        _MAPPED[key] = mapped
    return mapped


def load_arrays(directory: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Map the named arrays, read-only. A file that is mapped already and has not changed is not opened again.

    So models that are reloaded as the catalogue grows share their mapped files.

    Raises :class:`cuvee.errors.ArtifactError` for one that is missing or damaged.
    """
    loaded = {}
    for name in names:
        path = directory / f"{name}.npy"
        try:
            mapped = _mapped(path)
        except Exception as problem:  # numpy's parser of headers raises whatever it meets
            why = str(problem) or type(problem).__name__
            raise ArtifactError(f"cannot read {path} ({why}); run `cuvee fit` again") from problem
        # a plain view: every small operation on the memmap subclass is slower
        loaded[name] = mapped.view(np.ndarray)
    return loaded
