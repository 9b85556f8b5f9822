"""The state of a training run: npz and JSON in one folder, replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cuvee import Dataset

from cuvee_tfserving.training.config import TrainingConfig

__all__ = ["Standing", "fingerprint", "read", "write"]

Arrays = Mapping[str, Sequence[npt.NDArray[np.generic]]]
_RUN_LENGTH = {"epochs", "patience", "time_limit"}


@dataclass
class Standing:
    """The state of a run apart from its weights."""

    fingerprint: str
    epoch: int = 0
    """Epochs done."""
    best_epoch: int = 0
    best: float = -1.0
    """The best validation NDCG@10."""
    seconds: float = 0.0
    """Seconds spent in total, without interruptions."""
    curve: list[dict[str, float]] = field(default_factory=list)


def fingerprint(data: Dataset, config: TrainingConfig) -> str:
    """Equal for runs of which one may continue the other; only settings of their length may differ."""
    digest = hashlib.sha256(config.model_dump_json(exclude=_RUN_LENGTH).encode())
    digest.update(data.catalog.items.digest().encode())
    for column in (data.events.offsets, data.events.items, data.events.weights):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def write(folder: Path, standing: Standing, arrays: Arrays) -> None:
    """Write a checkpoint, replacing the last one."""
    aside = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    flat = {f"{name}.{n}": array for name, group in arrays.items() for n, array in enumerate(group)}
    np.savez(aside / "arrays.npz", **flat)  # type: ignore[arg-type]
    (aside / "standing.json").write_text(json.dumps(asdict(standing)))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read(folder: Path) -> tuple[Standing, dict[str, list[npt.NDArray[np.generic]]]] | None:
    """What :meth:`write` wrote, or None."""
    if not folder.exists():
        # killed between the two renames: the checkpoint before is complete
        folder = folder.with_name(f".{folder.name}.old")
    if not (folder / "standing.json").exists():
        return None
    standing = Standing(**json.loads((folder / "standing.json").read_text()))
    groups: dict[str, list[npt.NDArray[np.generic]]] = {}
    with np.load(folder / "arrays.npz", allow_pickle=False) as flat:
        for name in sorted(flat.files, key=lambda name: (name.split(".")[0], int(name.split(".")[1]))):
            groups.setdefault(name.split(".")[0], []).append(flat[name])
    return standing, groups
