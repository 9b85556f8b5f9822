"""The settings of ``tfserving``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from cuvee.recommender import ConfigPath, RecommenderConfig
from pydantic import PositiveFloat, PositiveInt, StringConstraints, model_validator

from cuvee_tfserving.training.config import TrainingConfig

__all__ = ["EMBEDDED", "TfServingConfig"]

EMBEDDED = "embedded"
"""The address that means: start an embedded model server."""

Name = Annotated[str, StringConstraints(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]


class TfServingConfig(RecommenderConfig):
    """The model to ask, its server, and its training."""

    serving_only: ClassVar[frozenset[str]] = frozenset(
        {"address", "version", "version_label", "deadline", "model_root", "publish_wait", "checkpoints"}
    )

    address: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1:8500"
    """host:port of the model server (gRPC), or any target that gRPC resolves (``dns:///models:8500``).
    ``embedded``: a server of the recommender's own with the fitted version, for as long as it is loaded."""
    model: Name = "deep"
    """The model's name on the server, and its folder under ``model_root``."""
    version: PositiveInt | Literal["latest", "fitted"] = "latest"
    """Which version to ask: the newest that the server serves, the one trained with the artefact
    (a rollback of artefacts then takes the model back, too; the server must keep that version), or
    a number."""
    version_label: str = ""
    """Ask for the version with this label instead ("stable", "canary")."""
    user_signature: Name = "user_vector"
    """``history`` int32[B, L] -> ``vector`` float32[B, d]."""
    score_signature: Name = "score"
    """``history`` int32[B, L], ``items`` int32[B, M] -> ``scores`` float32[B, M]: of models without
    item vectors."""
    item_signature: Name = "item_vector"
    """``features`` float32[M, F] -> ``vector`` float32[M, d]: of models with an item tower."""
    deadline: PositiveFloat = 1.0
    """Seconds after which a call is cancelled, if the request's own budget is not shorter."""
    model_root: ConfigPath = Path("models")
    """Where ``cuvee fit`` publishes ``<model>/<version>/``, and where the item vectors of a version
    newer than the artefact are read; the model server's base path is ``<model_root>/<model>``. A
    relative path starts at the folder of ``cuvee.toml``."""
    checkpoints: ConfigPath | None = None
    """Folder of the checkpoints of interrupted trainings, from which the next equal fit continues; by
    default ``<model_root>/.training``."""
    publish_wait: PositiveFloat = 60.0
    """Seconds that ``cuvee fit`` waits until the server serves the version that it published."""
    train: bool = True
    """Whether ``cuvee fit`` trains a model; otherwise it uses the newest version in ``model_root``."""
    training: TrainingConfig = TrainingConfig()
    """How the model is built and trained."""
    max_history: PositiveInt | None = None
    """How many of the newest liked events are sent (L); by default ``training.max_history``."""

    @model_validator(mode="after")
    def _one_choice_of_version(self) -> Self:
        if self.version_label and self.version != "latest":
            raise ValueError("set version or version_label, not both")
        return self

    def apart(self, folder: Path) -> Self:
        """Published below ``folder``, and served from there by a server of its own; checkpoints stay where they are."""
        apart = {"address": EMBEDDED, "model_root": folder, "version": "latest", "version_label": ""}
        return self.model_copy(update={**apart, "checkpoints": self.unfinished})

    @property
    def unfinished(self) -> Path:
        """The folder of unfinished trainings."""
        return self.checkpoints or self.model_root / ".training"

    @property
    def length(self) -> int:
        """L."""
        return self.max_history or self.training.max_history

    @property
    def needs_order(self) -> str | None:
        """The transformer learns what comes next."""
        return "transformer: what comes next" if self.train and self.training.architecture == "transformer" else None
