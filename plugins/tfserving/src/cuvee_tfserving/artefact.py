"""What belongs to one version of a model and is read without TensorFlow.

The trainer writes it, :mod:`cuvee_tfserving.publishing` puts it beside the SavedModel (in
``assets.extra``, which the loader passes over), and the recommender's artefact has a copy.
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
"""What the trainer writes beside the SavedModel; a foreign model may have none of it."""
MODEL = "model.json"
"""The artefact's own note of which version it is."""
EXTRA = "assets.extra"


def beside(root: Path, model: str, version: int) -> Path:
    """Where a published version's files are."""
    return root / model / str(version) / EXTRA


@dataclass(frozen=True)
class Artefact:
    """One version: its items' vectors, and how an item that it does not know gets one."""

    version: int
    folder: Path
    n_items: int
    """Items that the model knows; those at or above are newer."""
    vectors: Floats | None
    """float32[n_items, d], mapped; None: the model scores, and has no vectors."""
    features: ItemFeatures | None
    """Features of new items, of models with an item tower."""

    @classmethod
    def read(cls, folder: Path, version: int, n_items: int) -> Artefact:
        """Read what there is; ``n_items`` counts where neither vectors nor the trainer's note say it.

        Raises:
            OSError: the folder cannot be read.
            cuvee.errors.ArtifactError: the vectors are damaged.
        """
        vectors = load_arrays(folder, VECTORS)[VECTORS] if (folder / f"{VECTORS}.npy").exists() else None
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
