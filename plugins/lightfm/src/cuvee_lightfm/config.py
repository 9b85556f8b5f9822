"""The settings of ``lightfm``: how it is trained, and how recent events move a user."""

from __future__ import annotations

from typing import Any, Literal

from cuvee.recommender import RecommenderConfig
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

__all__ = ["LightFMConfig"]


class LightFMConfig(RecommenderConfig):
    """One table of ``cuvee.toml``."""

    loss: Literal["warp", "bpr", "logistic", "warp-kos"] = "warp"
    """What is optimised: the top of the list (warp, warp-kos), pairs (bpr), or likes against
    items drawn at random (logistic)."""
    components: PositiveInt = 64
    """Dimensions of the factors."""
    epochs: PositiveInt | None = None
    """Passes over the likes; by default 20 up to a million likes, and as many fewer as there are more, at least 5."""
    learning_rate: PositiveFloat = 0.05
    """Of Adagrad."""
    item_alpha: NonNegativeFloat = 0.0
    """L2 on the factors of items and their features; 1e-6 is a lot."""
    user_alpha: NonNegativeFloat = 0.0
    """L2 on the factors of users and their features."""
    seed: NonNegativeInt = 0
    """Seed of the initial factors, the order of events and the sampling."""
    threads: PositiveInt | None = None
    """Threads of the fit: by default one up to a million likes, and all cores above. With one, equal data and seed
    give equal factors; more do not promise that, and are no faster on small data."""
    user_features: tuple[str, ...] | None = None
    """Columns of the users to learn from; None is every category, number and flag, () is none."""
    item_features: tuple[str, ...] | None = None
    """Columns of the items; None is every category, list of categories, number and flag."""
    half_life: PositiveFloat | None = 1.5
    """Fold-in: later events after which an event counts half; None (in TOML the word ``"none"``)
    counts all alike."""
    recency: float = Field(0.8, ge=0, le=1)
    """Fold-in: the share of a user's vector that comes from the history; the rest is the fitted vector
    (for an unknown user: the average user with his features)."""
    fold_in: Literal["always", "newer"] = "always"
    """Whether the history of a user of the fit is always folded in, or only once it has an event newer
    than those of the fit; until then he gets LightFM's own predictions."""

    index_above: NonNegativeInt = 50_000
    """Catalogues of more items are searched by an index, whose recall is measured at the fit (at least
    0.95 of the 200 best)."""

    @field_validator("half_life", mode="before")
    @classmethod
    def _spelt_none(cls, value: Any) -> Any:
        """TOML has no null."""
        return None if isinstance(value, str) and value.lower() == "none" else value

    @property
    def needs_order(self) -> str | None:
        """Later events count more in the fold-in, unless ``half_life`` is none."""
        return None if self.half_life is None else f"half_life = {self.half_life:g}"
