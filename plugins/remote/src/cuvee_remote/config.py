"""The settings of ``remote``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from cuvee.recommender import RecommenderConfig
from pydantic import Field, JsonValue, PositiveFloat, StringConstraints

__all__ = ["RemoteConfig"]


class RemoteConfig(RecommenderConfig):
    """Where the recommender is, and what it is told."""

    serving_only: ClassVar[frozenset[str]] = frozenset({"address", "deadline", "start_wait", "measuring"})

    address: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1:50071"
    """host:port, or any target that gRPC resolves (``unix:/run/remote.sock``)."""
    deadline: PositiveFloat = 1.0
    """Seconds after which a call is cancelled, if the request's own budget is not shorter."""
    start_wait: PositiveFloat = 10.0
    """Seconds that ``cuvee fit`` waits for the recommender to be there."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """What its fit is told: its own settings. A change asks for a new fit."""
    measuring: bool = False
    """Whether a fit is for a measurement alone. ``cuvee evaluate`` and ``cuvee tune`` set it themselves."""

    def apart(self, folder: Path) -> Self:
        """A fit whose model answers nobody else."""
        return self.model_copy(update={"measuring": True})
