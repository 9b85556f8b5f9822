"""The files of one model version that are read without TensorFlow.

The trainer writes them, :mod:`cuvee_tfserving.fitting.publishing` puts them beside the SavedModel (in
``assets.extra``, which the loader ignores), and the recommender's artefact has a copy.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from cuvee import load_arrays
from cuvee.recommender import Floats

from cuvee_tfserving.training.features import ItemFeatures

__all__ = ["EXTRA", "FILES", "Artefact", "beside"]

VECTORS = "item_vectors"
FEATURES = "item_features.json"
META = "meta.json"
FILES = (f"{VECTORS}.npy", FEATURES, META)
"""The files that the trainer writes beside the SavedModel; a model from elsewhere may have none of them."""
MODEL = "model.json"
"""The file in which the artefact notes its version."""
EXTRA = "assets.extra"


def beside(root: Path, model: str, version: int) -> Path:
    """Where a published version's files are."""
    return root / model / str(version) / EXTRA


@dataclass(frozen=True)
class Artefact:
    """One version: its items' vectors, and the features from which new items get one."""

    version: int
    folder: Path
    n_items: int
    """Items that the model knows; those at or above are newer."""
    vectors: Floats | None
    """float32[n_items, d], mapped; None: the model scores, and has no vectors."""
    features: ItemFeatures | None
    """The features of new items, for models with an item tower."""

    @classmethod
    def read(cls, folder: Path, version: int, n_items: int) -> Artefact:
        """Read the existing files; ``n_items`` is used where neither vectors nor the trainer's note give the number.

        Raises:
            OSError: the folder cannot be read.
            cuvee.errors.ArtifactError: the vectors are damaged.
        """
        vectors = None
        if (folder / f"{VECTORS}.npy").exists():
            vectors = load_arrays(folder, {VECTORS: "float32[n, d] finite"})[VECTORS]
        features = folder / FEATURES
        tower = vectors is not None and features.exists()
        meta = json.loads((folder / META).read_text()) if (folder / META).exists() else {}
        return cls(
            version=version,
            folder=folder,
            n_items=int(meta.get("n_items", n_items)) if vectors is None else len(vectors),
            vectors=vectors,
            features=ItemFeatures.load(features) if tower else None,
        )

    @classmethod
    def load(cls, directory: Path) -> Artefact:
        """Read what :meth:`save` wrote."""
        note = json.loads((directory / MODEL).read_text())
        return cls.read(directory, int(note["version"]), int(note["n_items"]))

    def save(self, directory: Path) -> None:
        """Copy the files, and note the version."""
        for name in FILES:
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, directory / name)
        (directory / MODEL).write_text(json.dumps({"version": self.version, "n_items": self.n_items}))

    def with_vectors(self, vectors: Floats) -> Artefact:
        """The same, with vectors for items that are newer too."""
        return replace(self, vectors=vectors)
