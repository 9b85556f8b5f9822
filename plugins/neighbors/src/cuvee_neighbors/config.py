"""The settings of ``neighbors``: one table, of which each model reads its own part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from cuvee.recommender import RecommenderConfig
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

__all__ = ["ModelName", "NeighborsConfig"]

ModelName: TypeAlias = Literal["ease", "item_knn", "user_knn", "transitions"]

_HALF_LIFE: Mapping[str, float] = {"ease": 4.0, "item_knn": 2.0, "user_knn": 3.0, "transitions": 2.0}
_NEIGHBOURS: Mapping[str, int] = {"ease": 1_000, "item_knn": 100, "user_knn": 50, "transitions": 200}
_LIKES_HALF_LIFE: Mapping[str, float] = {"user_knn": 30.0}
_ON_VECTORS: Mapping[str, Mapping[str, float]] = {
    "half_life": {"user_knn": 2.0},
    "neighbours": {"item_knn": 200},
    "likes_half_life": {"user_knn": 6.0},
}
_SHRINK: Mapping[str, float] = {"item_knn": 10.0}
_READ_BY: Mapping[str, tuple[ModelName, ...]] = {
    "l2": ("ease",),
    "near": ("ease",),
    "features": ("ease",),
    "exact_items": ("ease",),
    "rank": ("ease",),
    "spoken_for": ("item_knn",),
    "likes_half_life": ("user_knn",),
    "shrink": ("item_knn", "user_knn"),
    "similarity": ("item_knn", "user_knn"),
    "vectors_of": ("item_knn", "user_knn"),
    "window": ("transitions",),
    "power": ("transitions",),
    "smoothing": ("transitions",),
    "damping": ("transitions",),
}


def _default(setting: str, by_model: Mapping[str, float], given: Mapping[str, Any], otherwise: float) -> float:
    model = given.get("model", "")
    on_vectors = _ON_VECTORS[setting] if given.get("vectors_of") is not None else {}
    return on_vectors.get(model, by_model.get(model, otherwise))


class NeighborsConfig(RecommenderConfig):
    """Which model, and how it uses the history."""

    vectors_from: ClassVar[frozenset[str]] = frozenset({"vectors_of"})

    model: ModelName = "ease"
    """``ease``: a linear autoencoder. ``item_knn``: items liked by the same people. ``user_knn``:
    people who like the same items. ``transitions``: what follows what."""
    vectors_of: str | None = None
    """item_knn, user_knn: the recommender of ``cuvee.toml`` whose item vectors (of a deep model, factors,
    content) define the similarity of items, instead of the users who like them."""
    half_life: PositiveFloat | None = Field(default_factory=lambda given: _default("half_life", _HALF_LIFE, given, 4.0))
    """Later events of the history after which an event counts half; None (in TOML the word
    ``"none"``) counts all alike. By default 4 for ease, 2 for item_knn and transitions, 3 for
    user_knn (on vectors 2)."""
    l2: PositiveFloat = 500.0
    """ease: how strongly weights are pulled to 0, in events."""
    near: PositiveFloat | None = None
    """ease: events apart at which two likes of one person count half as a pair; None counts all
    pairs alike. Items chosen in one session say more about each other than those of a long history."""
    features: dict[str, PositiveFloat] = Field(default_factory=dict)
    """ease: columns of labels of the items (``{ tags = 20 }``): two items with the same labels count as
    liked together by so many users more."""
    exact_items: NonNegativeInt = 20_000
    """ease: up to so many items all weights are computed and kept, which is a dense matrix (20,000 items
    make 1.6 GB of it). Larger catalogues keep the largest weights of each item of a history, of pairs
    that somebody likes both of; :mod:`cuvee_neighbors.ease_pruned` says how they are found."""
    rank: PositiveInt = 256
    """ease above ``exact_items``: how many eigenvalues are exact; more cost more and miss less."""
    neighbours: PositiveInt = Field(default_factory=lambda given: int(_default("neighbours", _NEIGHBOURS, given, 50)))
    """item_knn: entries kept for each item proposed; transitions, and ease above ``exact_items``: for each
    item of the history; user_knn: users asked. By default 100 (on vectors 200), 200, 1,000 and 50."""
    spoken_for: PositiveInt = 5_000
    """item_knn: the largest number of items that an item of the history contributes to, the most similar ones.
    In a large catalogue, a very popular item would otherwise have tens of thousands of neighbours."""
    likes_half_life: PositiveFloat | None = Field(
        default_factory=lambda given: _default("likes_half_life", _LIKES_HALF_LIFE, given, 30.0)
    )
    """user_knn: after how many later events a neighbour's like counts half; None (``"none"``) counts all
    alike. Old likes say little about present taste. By default 30, on vectors 6."""
    shrink: NonNegativeFloat = Field(default_factory=lambda given: _SHRINK.get(given.get("model", ""), 0.0))
    """item_knn, user_knn: added to the denominator, so that few common events count less. By
    default 10 and 0."""
    similarity: Literal["cosine", "jaccard"] = "cosine"
    """item_knn, user_knn: the similarity of two sets."""
    window: PositiveInt = 10
    """transitions: how many events ahead still count as following; the d-th counts 1/d."""
    power: PositiveFloat = Field(0.5, le=1)
    """transitions: counts are raised to this power, so that very frequent transitions do not dominate."""
    smoothing: NonNegativeFloat = 50.0
    """transitions: added to the sum that an item's transitions are divided by, so that rare items count
    less."""
    damping: NonNegativeFloat = Field(0.2, le=1)
    """transitions: how much the popularity of the following item is discounted; 0 not at all, 1 fully."""

    @field_validator("half_life", "likes_half_life", "near", mode="before")
    @classmethod
    def _spelt_none(cls, value: Any) -> Any:
        """TOML has no null."""
        return None if isinstance(value, str) and value.lower() == "none" else value

    @model_validator(mode="after")
    def _read_by_the_model(self) -> NeighborsConfig:
        """Refuse a setting that the chosen model would ignore."""
        defaults: dict[str, object] = {
            "features": {},
            "neighbours": _NEIGHBOURS[self.model],
            "shrink": _SHRINK.get(self.model, 0.0),
            "likes_half_life": _LIKES_HALF_LIFE.get(self.model, 30.0),
        }
        for name, models in _READ_BY.items():
            default = defaults.get(name, type(self).model_fields[name].default)
            if self.model not in models and getattr(self, name) != default:
                raise ValueError(f"{name} means nothing to {self.model}; it is a setting of {', '.join(models)}")
        if self.vectors_of is not None:
            for name in ("shrink", "similarity"):
                if getattr(self, name) != defaults.get(name, type(self).model_fields[name].default):
                    raise ValueError(f"{name} is about who likes what; vectors are compared by cosine")
        return self

    @property
    def needs_order(self) -> str | None:
        """What follows what, and that later events count more, unless the half-lives are none."""
        if self.model == "transitions":
            return "transitions: what follows what"
        used = {"half_life": self.half_life}
        if self.model == "user_knn":
            used["likes_half_life"] = self.likes_half_life
        if self.model == "ease":
            used["near"] = self.near
        return ", ".join(f"{name} = {value:g}" for name, value in used.items() if value is not None) or None
