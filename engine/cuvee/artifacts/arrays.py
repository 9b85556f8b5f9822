"""Arrays on disk, for ``Recommender.save`` and ``load``: plain npy files, memory-mapped.

npy rather than safetensors, since numpy maps it without a copy: worker processes that load the
same artefact share its pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cuvee.errors import ArtifactError

__all__ = ["load_arrays", "save_arrays"]


def save_arrays(directory: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write each array to ``<name>.npy``. Object arrays raise ValueError: they would need pickle."""
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def load_arrays(directory: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Map the named arrays, read-only.

    Raises :class:`cuvee.errors.ArtifactError` for one that is missing or damaged.
    """
    loaded = {}
    for name in names:
        path = directory / f"{name}.npy"
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as problem:
            raise ArtifactError(f"cannot read {path} ({problem}); run `cuvee fit` again") from problem
        # a plain view, since memmap's own subclass slows every small operation on it
        loaded[name] = mapped.view(np.ndarray)
    return loaded
